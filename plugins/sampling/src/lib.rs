//! The `sampling` filter: which traces are kept, by the policies of OpenTelemetry Collector's `tail_sampling` processor.
//!
//! Same names, same keys, same results, so that an operator's policies can be taken over as they are; the README has them all,
//! and says where this goes by the reference's documentation and not by its code.
//!
//! - **One decision per trace**: dropped if a policy drops it, else kept if a policy samples it, else dropped as "not sampled".
//!   The reason names the policy. Late parts follow their trace's decision, which is the host's to remember: they are passed, and
//!   use up no limit.
//! - **Cheap things first**: policies on duration, number of spans, failure and id read columns with one value per trace. Spans,
//!   and attributes after them, are read when a policy needs them for a trace that is not decided yet.
//! - **Limits** go by the clock of the instance that has them, so only one instance runs. A new one starts with full buckets.

mod attribute;
mod bucket;
mod config;
mod counters;
mod decision;
mod policies;
mod policy;
mod rule;
#[cfg(test)]
mod testing;

use std::time::{Duration, Instant};

use meshtrace_plugin::{Batch, Decisions, Description, Filter, Report, export_filter};

use config::Config;
use counters::{Counters, Totals};
use decision::Input;
use policies::{Outcome, Policies};

/// Why a trace is dropped that no policy samples.
const NOT_SAMPLED: &str = "not sampled";

/// The time since any fixed moment.
type Clock = Box<dyn Fn() -> Duration>;

/// The filter.
pub struct Sampling {
    policies: Policies,
    counters: Counters,
    totals: Totals,
    clock: Clock,
}

impl Sampling {
    fn new(config: &str, clock: Clock) -> Result<Self, String> {
        let policies = Policies::new(Config::parse(config)?);
        Ok(Sampling {
            counters: Counters::new(&policies),
            policies,
            totals: Totals::default(),
            clock,
        })
    }
}

impl Filter for Sampling {
    fn describe() -> Description {
        Description::new("sampling", env!("CARGO_PKG_VERSION")).config_schema(include_str!("../config.schema.json"))
    }

    fn init(config: &str) -> Result<Self, String> {
        let start = Instant::now();
        Sampling::new(config, Box::new(move || start.elapsed()))
    }

    fn decide(&mut self, batch: &Batch) -> Result<Decisions, String> {
        let mut decisions = Decisions::pass_all(batch);
        let now = if self.policies.is_stateful() { (self.clock)() } else { Duration::ZERO };
        for trace in batch.traces() {
            if trace.part() > 0 {
                self.totals.late_parts += 1;
                continue;
            }
            match self.policies.decide(&Input { batch, trace, now, size_bytes }) {
                Outcome::Kept(reason) => decisions.keep(trace.row(), reason),
                Outcome::Dropped(reason) => decisions.drop(trace.row(), reason),
                Outcome::NotSampled => {
                    self.totals.not_sampled += 1;
                    decisions.drop(trace.row(), NOT_SAMPLED);
                }
            }
        }
        self.counters.tell(&self.policies, self.totals);
        Ok(decisions)
    }
}

impl Report for Sampling {
    fn report(&mut self) -> Result<String, String> {
        let report = counters::Report::new(&self.policies, self.totals);
        serde_json::to_string(&report).map_err(|error| format!("the report cannot be written: {error}"))
    }
}

/// The size of a trace as OTLP, which the host encodes once for all plugins.
fn size_bytes(batch: &Batch, trace: u32) -> u64 {
    batch.otlp(trace..trace.saturating_add(1)).len() as u64
}

export_filter!(Sampling, report);

#[cfg(test)]
mod tests;
