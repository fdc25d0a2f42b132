//! The `redact` filter: removes, hashes or masks secrets before any exporter and the query store see them.
//!
//! - **Where it looks**: keys and values of attributes, error texts, names of operations; of late parts, too. JSON, and text that
//!   holds JSON, is looked into string by string, number by number and key by key.
//! - **What it cannot reach**: agents' own data (resources), events, links, scopes and ids, as the contract has no edits for them. What
//!   it finds there (ids aside) it counts as `out_of_reach`, and says once in the log.
//! - **It fails closed**: whatever it cannot read or do is an error of the whole batch, and with `on-failure = "hold"` nothing of
//!   the batch goes on. A panic ends the instance, with the same result.
//! - **It decides nothing**: every trace passes.

mod config;
mod finder;
mod hash;
mod json;
mod pass;
mod ready;
mod rules;
#[cfg(test)]
mod tests;
mod text;

use meshtrace_plugin::{Batch, Decisions, Description, Filter, Level, export_filter, log, metrics};

pub use config::{Action, Config, Place, RuleConfig};
pub use hash::Hasher;
pub use pass::{Found, redact_batch};
pub use ready::{READY, Ready};
pub use rules::Rules;
pub use text::Tally;

/// The filter.
pub struct Redact {
    rules: Rules,
    /// Whether it has said that something is out of reach: once per instance, not per batch.
    warned: bool,
}

impl Filter for Redact {
    fn describe() -> Description {
        Description::new("redact", env!("CARGO_PKG_VERSION")).config_schema(include_str!("../config.schema.json")).parallel()
    }

    fn init(config: &str) -> Result<Self, String> {
        let config = Config::parse(config, |name| std::env::var(name).ok())?;
        Ok(Redact {
            rules: Rules::new(&config)?,
            warned: false,
        })
    }

    fn decide(&mut self, batch: &Batch) -> Result<Decisions, String> {
        let found = redact_batch(&self.rules, batch).map_err(|error| format!("nothing of the batch was redacted: {error}"))?;
        let Tally { masked, hashed, removed } = found.tally;
        let counts = [("masked", masked), ("hashed", hashed), ("removed", removed), ("out_of_reach", found.out_of_reach)];
        for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            metrics::add(name, count);
        }
        if found.out_of_reach > 0 && !self.warned {
            self.warned = true;
            log!(
                Level::Warning,
                "{} texts of agents' own data, events, links or scopes match a rule, where no filter can change them; they are exported \
                 as they are. The counter out_of_reach goes on counting",
                found.out_of_reach
            );
        }
        Ok(found.decisions)
    }
}

export_filter!(Redact);
