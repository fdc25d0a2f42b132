//! `rate_limiting` and `bytes_limiting`: as many spans or bytes per second as a token bucket has.

use serde::Deserialize;

use crate::bucket::Bucket;
use crate::config::Block;
use crate::decision::{Decision, Input};

/// So many spans per second. A trace takes as many tokens as it has spans.
#[derive(Debug)]
pub struct RateLimiting(Bucket);

/// So many bytes per second. A trace takes as many tokens as its OTLP encoding has bytes.
#[derive(Debug)]
pub struct BytesLimiting(Bucket);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spans {
    spans_per_second: u64,
    burst_capacity: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bytes {
    bytes_per_second: u64,
    burst_capacity: Option<u64>,
}

impl RateLimiting {
    pub(super) fn read(block: Block) -> Result<Self, String> {
        let Spans { spans_per_second, burst_capacity } = block.settings()?;
        bucket("spans_per_second", spans_per_second, burst_capacity).map(RateLimiting)
    }

    pub(super) fn evaluate(&mut self, input: &Input<'_>) -> Decision {
        Decision::sampled_if(self.0.take(input.now, u64::from(input.trace.span_count())))
    }
}

impl BytesLimiting {
    pub(super) fn read(block: Block) -> Result<Self, String> {
        let Bytes { bytes_per_second, burst_capacity } = block.settings()?;
        bucket("bytes_per_second", bytes_per_second, burst_capacity).map(BytesLimiting)
    }

    pub(super) fn evaluate(&mut self, input: &Input<'_>) -> Decision {
        Decision::sampled_if(self.0.take(input.now, (input.size_bytes)(input.batch, input.trace.row())))
    }
}

/// The bucket for a rate; it holds twice the rate unless another bound (0: none) is given.
fn bucket(key: &str, per_second: u64, burst: Option<u64>) -> Result<Bucket, String> {
    if per_second == 0 {
        return Err(format!("{key} is 0; give 1 or more, or use the type always_off"));
    }
    let burst = burst.filter(|burst| *burst > 0).unwrap_or(per_second.saturating_mul(2));
    Ok(Bucket::new(per_second, burst))
}

#[cfg(test)]
mod tests {
    use crate::testing::{Asked, refusal, span};

    /// When (ms), how large, whether sampled.
    type Steps = &'static [(u64, u64, bool)];

    const CASES: [(&str, Steps); 4] = [
        // Twice the rate at once, then at the rate.
        (r#""RATE":10"#, &[(0, 12, true), (0, 8, true), (0, 1, false), (100, 1, true), (100, 1, false), (1_100, 10, true)]),
        (r#""RATE":10,"burst_capacity":0"#, &[(0, 20, true), (0, 1, false)]),
        // More than the burst never passes, however long it has been quiet; and takes nothing.
        (r#""RATE":10,"burst_capacity":5"#, &[(0, 6, false), (3_600_000, 6, false), (3_600_000, 5, true), (3_600_000, 1, false)]),
        // What does not fit leaves room for what does.
        (r#""RATE":5"#, &[(0, 7, true), (0, 4, false), (0, 3, true), (0, 1, false)]),
    ];

    #[test]
    fn spans_are_tokens() {
        for (block, steps) in CASES {
            let mut asked = Asked::new("rate_limiting", &format!("{{{}}}", block.replace("RATE", "spans_per_second")));
            for (ms, spans, sampled) in steps {
                let size = usize::try_from(*spans).unwrap();
                assert_eq!(asked.at(*ms, vec![span(); size]), *sampled, "{block}: {spans} at {ms} ms");
            }
        }
    }

    #[test]
    fn bytes_are_tokens() {
        for (block, steps) in CASES {
            let mut asked = Asked::new("bytes_limiting", &format!("{{{}}}", block.replace("RATE", "bytes_per_second")));
            for (ms, bytes, sampled) in steps {
                assert_eq!(asked.sized(*ms, *bytes), *sampled, "{block}: {bytes} at {ms} ms");
            }
        }
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            refusal("rate_limiting", r#"{"spans_per_second":0}"#),
            "spans_per_second is 0; give 1 or more, or use the type always_off"
        );
        assert_eq!(
            refusal("bytes_limiting", r#"{"bytes_per_second":1.5}"#),
            "bytes_per_second: invalid type: floating point `1.5`, expected u64"
        );
        assert_eq!(
            refusal("bytes_limiting", r#"{"spans_per_second":1}"#),
            "unknown field `spans_per_second`, expected `bytes_per_second` or `burst_capacity`"
        );
        assert_eq!(refusal("rate_limiting", r#"{"burst_capacity":10}"#), "missing field `spans_per_second`");
    }
}
