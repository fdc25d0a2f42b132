//! What an exporter implements, and what it answers.

pub use crate::glue::exporter::meshtrace::plugin::types::{Outcome, RowOutcome};

use crate::{Batch, Description};

/// An exporter: takes batches of finished traces somewhere.
///
/// The host calls [`describe`](Exporter::describe) and [`init`](Exporter::init) once, then [`export`](Exporter::export) per
/// batch and [`flush`](Exporter::flush) before it drops the instance. It never calls two of them at the same time. A panic
/// ends the instance and its memory; the host builds a new one.
pub trait Exporter: Sized {
    /// Who the plugin is. Must not fail and must not depend on state.
    fn describe() -> Description;

    /// Makes the exporter from its config, a JSON object as text (`{}` when the operator gave none).
    ///
    /// # Errors
    /// The text is shown to the operator, and the instance is not used: name the setting, what was given and what is allowed.
    fn init(config: &str) -> Result<Self, String>;

    /// Takes a batch. What is answered as delivered is never offered again.
    fn export(&mut self, batch: &Batch) -> Outcome;

    /// Writes out what is held back. What `export` called delivered counts as delivered whatever this answers, so hold back
    /// nothing that must not be lost.
    ///
    /// # Errors
    /// The text is logged.
    fn flush(&mut self) -> Result<(), String> {
        Ok(())
    }
}

impl Outcome {
    /// Nothing was taken; the host offers the same traces again after its own back-off.
    #[must_use]
    pub fn retry() -> Self {
        Outcome::Retry(0)
    }

    /// All were taken but these; none left out means delivered.
    #[must_use]
    pub fn all_but(rows: Vec<RowOutcome>) -> Self {
        if rows.is_empty() { Outcome::Delivered } else { Outcome::Partial(rows) }
    }
}

impl RowOutcome {
    /// The trace is to be offered again after `after_ms` milliseconds.
    #[must_use]
    pub fn retry(trace: u32, after_ms: u32, reason: impl Into<String>) -> Self {
        RowOutcome {
            trace,
            retry_after_ms: Some(after_ms),
            reason: reason.into(),
        }
    }

    /// The trace will never be taken: the host moves it to the dead-letter stream with the reason.
    #[must_use]
    pub fn reject(trace: u32, reason: impl Into<String>) -> Self {
        RowOutcome {
            trace,
            retry_after_ms: None,
            reason: reason.into(),
        }
    }
}
