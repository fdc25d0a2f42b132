//! Kept traces to every exporter, and their receipts back to the source.
//!
//! Batches come cut, for all exporters; each exporter has its own thread and a short queue. A trace's receipts go back when every exporter
//! has taken it (or one has refused it for good), so an exporter that stalls holds the stream: the backlog stays in the log.
//!
//! Must never: know how an exporter is built, or what the log is.

mod delivery;
mod stage;
mod suspects;
mod worker;

pub use stage::{Export, Handle, run};
pub use worker::{Worker, WorkerStatus, WorkerSummary};

use std::sync::Arc;
use std::time::Duration;

use crate::batch::{Resident, TraceBatch};

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
