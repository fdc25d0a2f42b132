//! Kept traces to every exporter, and their receipts back to the source.
//!
//! Batches come cut, for all exporters; each exporter has threads of its own and a short queue. A trace's receipts go back when every required
//! exporter has taken it (or one has refused it for good), so one that stalls holds the stream: the backlog stays in the log. One
//! that is not required loses what it cannot keep up with. Exporters come, are replaced between two batches, and go, while traces flow.
//!
//! Must never: know how an exporter is built, or what the log is.

mod attempt;
mod breaker;
mod delivery;
mod group;
mod handle;
mod handover;
mod lane;
mod room;
mod stage;
mod status;
mod suspects;
#[cfg(test)]
mod tests;

pub use handle::Handle;
pub use stage::{Export, run};
pub use status::Summary;

use std::sync::Arc;
use std::time::Duration;

use crate::batch::{Resident, TraceBatch};

/// An exporter that is to run.
pub struct Member {
    /// The plugin's name.
    pub name: String,
    /// Its instances, one at least: they take batches side by side.
    pub exporters: Vec<Box<dyn Exporter>>,
    /// On which terms it runs.
    pub terms: Terms,
    /// How long it waits for the end of its predecessor's call, if it has one that runs, before it is given up.
    pub within: Duration,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member").field("name", &self.name).field("terms", &self.terms).finish_non_exhaustive()
    }
}

/// On which terms an exporter runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Whether a trace waits for it. If not, it loses what it cannot keep up with.
    pub required: bool,
    /// Batches that may wait for it, at least 1.
    pub queue: usize,
    /// Traces that it is offered in one call, at most; at least 1.
    pub max_traces: usize,
}

/// What takes batches of traces for good.
pub trait Exporter: Resident {
    /// Takes all traces of the batch, or says which not.
    fn export(&mut self, batch: &Arc<TraceBatch>) -> Outcome;
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All traces were taken.
    Delivered,
    /// None was taken; the same again after this long, or after a pause of our own choice.
    Retry {
        /// As asked for by the exporter.
        after: Option<Duration>,
        /// Why, for people.
        reason: String,
    },
    /// None will ever be taken.
    Rejected(String),
    /// All were taken but these.
    Partial(Vec<RowOutcome>),
    /// There is no instance, and making one failed: none was offered anything.
    NotStarted(String),
    /// The call failed (a trap, a time limit): the exporter has started afresh, and which trace it was is not known.
    Failed(String),
}

/// A trace that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowOutcome {
    /// Its row in the batch.
    pub row: usize,
    /// When to offer it again; `None` = never.
    pub retry_after: Option<Duration>,
    /// Why, for people.
    pub reason: String,
}
