//! `latency`: how long the trace took.

use serde::Deserialize;

use crate::config::Block;
use crate::decision::{Decision, Input};

/// Traces that took more than a bound, in whole milliseconds, and up to another if there is one.
#[derive(Debug)]
pub struct Latency {
    above_ms: u64,
    up_to_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    threshold_ms: Option<u64>,
    upper_threshold_ms: Option<u64>,
}

impl Latency {
    pub(super) fn read(block: Block) -> Result<Self, String> {
        let Settings { threshold_ms, upper_threshold_ms } = block.settings()?;
        if threshold_ms.is_none() && upper_threshold_ms.is_none() {
            return Err("has no bound; give threshold_ms, upper_threshold_ms or both".to_owned());
        }
        // No trace takes at most 0 ms and more than another bound, so 0 says "none" here, as in the reference.
        let (above_ms, up_to_ms) = (threshold_ms.unwrap_or(0), upper_threshold_ms.filter(|ms| *ms > 0));
        match up_to_ms {
            Some(up_to_ms) if up_to_ms <= above_ms => Err(format!(
                "upper_threshold_ms is {up_to_ms}, and no trace takes more than {above_ms} ms (threshold_ms) and at most that; \
                 give more than {above_ms}, or 0 for no upper bound"
            )),
            _ => Ok(Latency { above_ms, up_to_ms }),
        }
    }

    pub(super) fn evaluate(&self, input: &Input<'_>) -> Decision {
        // A trace of which no span has both a start and an end took nobody knows how long.
        let Some(ns) = input.trace.duration_ns() else { return Decision::NotSampled };
        let ms = ns / 1_000_000;
        Decision::sampled_if(ms > self.above_ms && self.up_to_ms.is_none_or(|bound| ms <= bound))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{ask, refusal, span};
    use meshtrace_plugin::testing::TestSpan;

    fn lasting(us: u64) -> Vec<TestSpan> {
        vec![TestSpan {
            start_unix_ns: Some(1_000_000_000),
            duration_ns: Some(us * 1000),
            ..span()
        }]
    }

    #[test]
    fn above_the_lower_bound_and_up_to_the_upper() {
        let cases = [
            (r#"{"threshold_ms":500}"#, 499_999, false),
            (r#"{"threshold_ms":500}"#, 500_000, false),
            // Whole milliseconds are compared.
            (r#"{"threshold_ms":500}"#, 500_999, false),
            (r#"{"threshold_ms":500}"#, 501_000, true),
            (r#"{"threshold_ms":500,"upper_threshold_ms":800}"#, 500_000, false),
            (r#"{"threshold_ms":500,"upper_threshold_ms":800}"#, 501_000, true),
            (r#"{"threshold_ms":500,"upper_threshold_ms":800}"#, 800_999, true),
            (r#"{"threshold_ms":500,"upper_threshold_ms":800}"#, 801_000, false),
            (r#"{"threshold_ms":500,"upper_threshold_ms":0}"#, 1_000_000_000, true),
            (r#"{"threshold_ms":0}"#, 999, false),
            (r#"{"threshold_ms":0}"#, 1_000, true),
            (r#"{"upper_threshold_ms":2}"#, 0, false),
            (r#"{"upper_threshold_ms":2}"#, 2_000, true),
            (r#"{"upper_threshold_ms":2}"#, 3_000, false),
        ];
        for (block, us, sampled) in cases {
            assert_eq!(ask("latency", block, lasting(us)), sampled, "{block} {us} µs");
        }
    }

    #[test]
    fn it_is_the_time_from_the_first_start_to_the_last_end_in_any_order_of_spans() {
        let at = |start_ms: u64, ms: u64| TestSpan {
            start_unix_ns: Some((1_000 + start_ms) * 1_000_000),
            duration_ns: Some(ms * 1_000_000),
            ..span()
        };
        let block = r#"{"threshold_ms":10,"upper_threshold_ms":50}"#;
        // Older versions of the reference stopped at the child, which alone is within the bounds.
        assert!(!ask("latency", block, vec![at(0, 200), at(10, 30)]));
        assert!(!ask("latency", block, vec![at(0, 20), at(100, 20)]));
        assert!(ask("latency", block, vec![at(0, 5), at(30, 20)]));
    }

    #[test]
    fn an_unknown_duration_is_not_sampled() {
        let open = TestSpan { start_unix_ns: Some(1), ..span() };
        assert!(!ask("latency", r#"{"threshold_ms":0}"#, vec![open, span()]));
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(refusal("latency", "{}"), "has no bound; give threshold_ms, upper_threshold_ms or both");
        assert_eq!(
            refusal("latency", r#"{"threshold_ms":500,"upper_threshold_ms":500}"#),
            "upper_threshold_ms is 500, and no trace takes more than 500 ms (threshold_ms) and at most that; \
             give more than 500, or 0 for no upper bound"
        );
        assert_eq!(refusal("latency", r#"{"threshold":5}"#), "unknown field `threshold`, expected `threshold_ms` or `upper_threshold_ms`");
        assert_eq!(refusal("latency", r#"{"threshold_ms":-1}"#), "threshold_ms: invalid value: integer `-1`, expected u64");
        assert_eq!(refusal("latency", r#"{"threshold_ms":"5s"}"#), "threshold_ms: invalid type: string \"5s\", expected u64");
    }
}
