//! `traceidratio`: a share of the traces, as the samplers of OpenTelemetry's SDKs choose it.

use serde::Deserialize;

use crate::config::Block;
use crate::decision::{Decision, Input};

/// A share of all traces by the lower half of the id, as `TraceIdRatioBased` in the SDKs for Python, Go and Rust: a trace that
/// they keep at some ratio is kept here at the same.
#[derive(Debug)]
pub struct TraceIdRatio {
    /// Ids below this are kept. Of 128 bits, as for ratio 1 it is above the greatest id.
    bound: u128,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    ratio: f64,
}

impl TraceIdRatio {
    pub(super) fn read(block: Block) -> Result<Self, String> {
        let Settings { ratio } = block.settings()?;
        if !(0.0..=1.0).contains(&ratio) {
            return Err(format!("ratio is {ratio}; give a number from 0 to 1"));
        }
        Ok(TraceIdRatio {
            bound: (ratio * 2_f64.powi(64)).round_ties_even() as u128,
        })
    }

    pub(super) fn evaluate(&self, input: &Input<'_>) -> Decision {
        Decision::sampled_if(self.keeps(u128::from_be_bytes(input.trace.id())))
    }

    fn keeps(&self, id: u128) -> bool {
        id & u128::from(u64::MAX) < self.bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{asked_of_id, block, refusal};

    fn of(ratio: f64) -> TraceIdRatio {
        TraceIdRatio::read(block("traceidratio", &format!(r#"{{"ratio":{ratio}}}"#))).unwrap()
    }

    #[test]
    fn the_lower_half_of_the_id_decides() {
        // The bounds are those of `TraceIdRatioBased.get_bound_for_rate` in the SDK for Python.
        let cases = [
            (0.0, 0_u128),
            (1e-9, 18_446_744_074),
            (0.001, 18_446_744_073_709_552),
            (0.1, 1_844_674_407_370_955_264),
            (0.25, 4_611_686_018_427_387_904),
            (1.0 / 3.0, 6_148_914_691_236_516_864),
            (0.999_999, 18_446_725_626_965_477_376),
            (1.0, 18_446_744_073_709_551_616),
        ];
        for (ratio, bound) in cases {
            let rule = of(ratio);
            assert_eq!(rule.bound, bound, "{ratio}");
            for upper in [0, u128::MAX << 64] {
                assert_eq!(rule.keeps(upper), bound > 0);
                assert!(bound == 0 || rule.keeps(upper | (bound - 1)));
                assert!(bound > u128::from(u64::MAX) || !rule.keeps(upper | bound));
            }
        }
    }

    #[test]
    fn the_id_of_the_trace_is_asked() {
        // "0" is 0x30, which makes a lower half at 18.8 %; "~" is 0x7e, at 49.4 %.
        let cases = [("~~~~~~~~00000000", true), ("00000000~~~~~~~~", false), ("0000000000000000", true), ("~~~~~~~~~~~~~~~~", false)];
        for (id, sampled) in cases {
            assert_eq!(asked_of_id("traceidratio", r#"{"ratio":0.2}"#, id), sampled, "{id}");
            assert!(asked_of_id("traceidratio", r#"{"ratio":1}"#, id) && !asked_of_id("traceidratio", r#"{"ratio":0}"#, id));
        }
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(refusal("traceidratio", r#"{"ratio":1.5}"#), "ratio is 1.5; give a number from 0 to 1");
        assert_eq!(refusal("traceidratio", r#"{"ratio":-0.1}"#), "ratio is -0.1; give a number from 0 to 1");
        assert_eq!(refusal("traceidratio", "{}"), "missing field `ratio`");
    }
}
