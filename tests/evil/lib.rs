//! Guests that misbehave, each in a way that the host has to survive or to refuse. What they share.

pub mod torture;

use std::io;

use meshtrace_plugin::{Batch, Level, Outcome, Trace, log};

/// The root operation of a trace at which most attack.
pub const ATTACK: &str = "attack";

/// Whether one of the traces is an attack.
#[must_use]
pub fn is_attack(batch: &Batch) -> bool {
    batch.traces().any(|trace| trace.root_name() == ATTACK)
}

/// What came of a try, in the words of the language.
#[must_use]
pub fn kind<T>(result: &io::Result<T>) -> String {
    result.as_ref().err().map_or_else(|| "done".into(), |error| error.kind().to_string())
}

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
