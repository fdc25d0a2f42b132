//! Guests that misbehave, each in a way that the host has to survive or to refuse. What they share.

use meshtrace_plugin::{Batch, Level, Outcome, Trace, log};

/// Says in the log which trace was taken.
pub fn took(trace: &Trace<'_>) {
    log!(Level::Info, "took {}", trace.id_text());
}

/// Takes the whole batch, and says so.
#[must_use]
pub fn take_all(batch: &Batch) -> Outcome {
    batch.traces().for_each(|trace| took(&trace));
    Outcome::Delivered
}
