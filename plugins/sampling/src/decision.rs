//! What is asked of a policy, and what it answers.

use std::time::Duration;

use meshtrace_plugin::{Batch, Trace};

/// What one policy says of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Keep it.
    Sampled,
    /// No reason to keep it; another policy may have one.
    NotSampled,
    /// Drop it, whatever other policies say.
    Dropped,
}

impl Decision {
    /// Sampled if so.
    #[must_use]
    pub fn sampled_if(matches: bool) -> Self {
        if matches { Decision::Sampled } else { Decision::NotSampled }
    }
}

/// What a policy may look at. Columns are fetched when a policy first reads them, so each reads only what it needs.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The batch of the trace.
    pub batch: &'a Batch,
    /// The trace to decide on.
    pub trace: Trace<'a>,
    /// The clock of the limits, read once per batch: the time since any fixed moment.
    pub now: Duration,
    /// The size of a trace of the batch in bytes, encoded as OTLP.
    pub size_bytes: fn(&Batch, u32) -> u64,
}
