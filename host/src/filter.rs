//! Filters decide on complete traces, in order, before any exporter and the store see them.
//!
//! ```text
//! decided traces ──► flow (a batch, cut once) ──► trial (a batch before one filter) ──► … ──► export
//!                                                    │ seat: a filter's place, which outlives it
//!                                                    └──► settlements: what was dropped, what became a dead letter
//! ```
//!
//! - `flow` cuts batches. `seat` holds a filter and what waits for it, `trial` offers it a batch, `failures` knows what is done when that fails.
//! - `verdicts` and `edits` do what was decided. `reasons` and `status` count. `recent` knows what people ask for.
//! - `stage` is the thread, `outlet` its end; `handle` is how others ask it and change its filters while it runs, `commands` what is done then.
//!
//! Must never: know how a filter is built, or where traces go afterwards.

mod commands;
mod edits;
mod failures;
mod flow;
mod handle;
mod outlet;
mod reasons;
mod recent;
mod seat;
mod stage;
mod status;
#[cfg(test)]
mod tests;
mod trial;
mod verdicts;

pub use flow::FilteredBatch;
pub use handle::{Counts, Handle};
pub use recent::Known;
pub use seat::{OnFailure, Slot};
pub use stage::{Remember, Stage, run};
pub use status::{FilterSummary, ReasonCount};

use std::sync::Arc;

use crate::batch::{Resident, TraceBatch};
use crate::model::Value;

/// What decides on traces.
pub trait Filter: Resident {
    /// Decides on every trace of the batch.
    ///
    /// # Errors
    /// There is no decision: the call failed (a trap, a time limit), the filter said that it cannot decide, or it answered what makes no sense.
    fn decide(&mut self, batch: &Arc<TraceBatch>) -> Result<Decisions, String>;
}

/// What a filter decided.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decisions {
    /// One for each trace of the batch.
    pub verdicts: Vec<Verdict>,
    /// Changes, in the order in which they are to be made. Every row is one of the batch.
    pub edits: Vec<Edit>,
}

/// What a filter thinks of one trace. Any drop wins over any keep of another filter; all passing means keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// No opinion.
    Pass,
    /// It is to be kept, and why.
    Keep(Option<Arc<str>>),
    /// It is to be dropped, and why.
    Drop(Option<Arc<str>>),
}

/// One change to a trace or to one span.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// What is changed.
    pub target: Target,
    /// What of it, and how.
    pub change: Change,
}

/// What an edit changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Every span of the trace in this row.
    Trace(usize),
    /// The span in this row, counted over all spans of the batch.
    Span(usize),
}

/// How it is changed.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The operation's name is replaced.
    Name(String),
    /// The error text is replaced, or removed.
    Error(Option<String>),
    /// The attribute with this key is set, replaced or removed. Numbers are finite, JSON is well-formed.
    Attribute(String, Option<Value>),
}
