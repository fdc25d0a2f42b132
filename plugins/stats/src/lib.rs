//! The `stats` exporter: counts, rates and quantiles over every trace since its state began.
//!
//! - **A trace is counted once**, at its first export, with the verdict and duration it had then. Late parts are no traces:
//!   they count under `late_parts`, their spans, operations and agents are added, and one with a failed span counts under
//!   `failed_late_parts`. It does not turn its trace into a failed one: whether that was counted as failed already is not
//!   remembered.
//! - **Averages and quantiles of durations** are over the traces whose duration is known. Counts and averages are exact;
//!   quantiles come from a histogram with at most 1 % of error ([`Histogram`]).
//! - **Names are bounded** in number (`max_operations`, `max_agents`) and size (256 bytes). Spans of names that found no place
//!   are counted in `other`, and as the row `other` among the top operations.
//! - **Delivery is at least once**: a trace that comes again after a crash is counted again.
//! - **The host keeps its state every 5 s.** When an instance fails, the next one goes on from what was kept last, so what was
//!   counted in up to 5 s may be missing.

mod config;
mod histogram;
mod names;
mod snapshot;
mod totals;

use std::time::{SystemTime, UNIX_EPOCH};

use meshtrace_plugin::{Batch, Description, Exporter, Level, Outcome, Report, State, export_exporter, log};

pub use config::Config;
pub use histogram::Histogram;
pub use names::Names;
pub use totals::{Counters, Met, Totals};

/// The exporter.
pub struct Stats {
    config: Config,
    totals: Totals,
}

impl Exporter for Stats {
    fn describe() -> Description {
        Description::new("stats", env!("CARGO_PKG_VERSION")).config_schema(include_str!("../config.schema.json"))
    }

    fn init(config: &str) -> Result<Self, String> {
        let config = Config::parse(config)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Stats {
            config,
            totals: Totals::new(i64::try_from(now.as_millis()).unwrap_or(0)),
        })
    }

    fn export(&mut self, batch: &Batch) -> Outcome {
        let met = self.totals.add(batch, &self.config);
        let warn = |key: &str, bound: usize| {
            log!(Level::Warning, "{key} = {bound} is reached: what has no place among them counts as other. Raise {key} to see more");
        };
        if met.operations {
            warn("max_operations", self.config.max_operations);
        }
        if met.agents {
            warn("max_agents", self.config.max_agents);
        }
        Outcome::Delivered
    }
}

impl Report for Stats {
    fn report(&mut self) -> Result<String, String> {
        serde_json::to_string(&self.totals.report()).map_err(|error| format!("the report cannot be written: {error}"))
    }
}

impl State for Stats {
    fn snapshot(&mut self) -> Vec<u8> {
        snapshot::write(&self.totals)
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), String> {
        let mut totals = snapshot::read(snapshot)?;
        totals.operations.shrink_to(self.config.max_operations);
        totals.agents.shrink_to(self.config.max_agents);
        self.totals = totals;
        Ok(())
    }
}

export_exporter!(Stats, report, state);

#[cfg(test)]
mod tests;
