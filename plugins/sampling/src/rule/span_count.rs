//! `span_count`: how many spans the trace has.

use serde::Deserialize;

use crate::config::Block;
use crate::decision::{Decision, Input};

/// Traces with at least and at most so many spans.
#[derive(Debug)]
pub struct SpanCount {
    min: u32,
    max: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    min_spans: Option<u32>,
    max_spans: Option<u32>,
}

impl SpanCount {
    pub(super) fn read(block: Block) -> Result<Self, String> {
        let Settings { min_spans, max_spans } = block.settings()?;
        if min_spans.is_none() && max_spans.is_none() {
            return Err("has no bound; give min_spans, max_spans or both".to_owned());
        }
        // A trace has a span at least, so 0 says "none" as a maximum, as in the reference.
        let (min, max) = (min_spans.unwrap_or(0), max_spans.filter(|max| *max > 0).unwrap_or(u32::MAX));
        if max < min {
            return Err(format!("max_spans is {max}, less than min_spans, {min}; give at least {min}, or 0 for no maximum"));
        }
        Ok(SpanCount { min, max })
    }

    pub(super) fn evaluate(&self, input: &Input<'_>) -> Decision {
        Decision::sampled_if((self.min..=self.max).contains(&input.trace.span_count()))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{ask, refusal, span};

    #[test]
    fn both_bounds_are_within() {
        let cases = [
            (r#"{"min_spans":3}"#, 2, false),
            (r#"{"min_spans":3}"#, 3, true),
            (r#"{"min_spans":3,"max_spans":0}"#, 99, true),
            (r#"{"min_spans":2,"max_spans":4}"#, 1, false),
            (r#"{"min_spans":2,"max_spans":4}"#, 2, true),
            (r#"{"min_spans":2,"max_spans":4}"#, 4, true),
            (r#"{"min_spans":2,"max_spans":4}"#, 5, false),
            (r#"{"max_spans":1}"#, 1, true),
            (r#"{"max_spans":1}"#, 2, false),
            (r#"{"min_spans":0}"#, 1, true),
        ];
        for (block, count, sampled) in cases {
            assert_eq!(ask("span_count", block, vec![span(); count]), sampled, "{block} {count}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(refusal("span_count", "{}"), "has no bound; give min_spans, max_spans or both");
        assert_eq!(
            refusal("span_count", r#"{"min_spans":5,"max_spans":4}"#),
            "max_spans is 4, less than min_spans, 5; give at least 5, or 0 for no maximum"
        );
    }
}
