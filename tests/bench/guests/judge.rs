//! A filter that looks at traces as a whole only: drops those that are neither failed nor slow.

use meshtrace_plugin::{Batch, Decisions, Description, Filter, export_filter};

/// Slower traces are kept.
const SLOW_NS: u64 = 1_000_000_000;

struct Judge;

impl Filter for Judge {
    fn describe() -> Description {
        Description::new("judge", "1").parallel()
    }

    fn init(_config: &str) -> Result<Self, String> {
        Ok(Judge)
    }

    fn decide(&mut self, batch: &Batch) -> Result<Decisions, String> {
        let mut decisions = Decisions::pass_all(batch);
        for trace in batch.traces() {
            if !trace.is_failed() && trace.duration_ns().is_none_or(|ns| ns < SLOW_NS) {
                decisions.drop(trace.row(), "unremarkable");
            }
        }
        Ok(decisions)
    }
}

export_filter!(Judge);
