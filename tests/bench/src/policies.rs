//! Which traces the sampling filter keeps.

use std::ops::RangeInclusive;

/// Errors, slow ones and a tenth of the rest.
pub const SAMPLING: &str = r#"
[config]
policies = [
  { name = "errors", type = "status_code", status_code = { status_codes = ["ERROR"] } },
  { name = "slow", type = "latency", latency = { threshold_ms = 1000 } },
  { name = "tenth", type = "probabilistic", probabilistic = { sampling_percentage = 10 } },
]
"#;
/// The same policies, but the last keeps all.
pub const KEEP_ALL: &str = r#"
[config]
policies = [
  { name = "errors", type = "status_code", status_code = { status_codes = ["ERROR"] } },
  { name = "slow", type = "latency", latency = { threshold_ms = 1000 } },
  { name = "all", type = "always_sample" },
]
"#;
/// The share of traces that [`SAMPLING`] keeps: 1 % fail, 2 % are slow, and a tenth of the rest.
pub const KEPT: RangeInclusive<f64> = 0.11..=0.15;
