//! What a plugin implements, and what it answers.

pub use crate::glue::exporter::meshtrace::plugin::types::{Description, Outcome, RowOutcome};

use crate::Batch;

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

/// An exporter that can say something about what it has seen: `export_exporter!(Type, report)`.
pub trait Report: Exporter {
    /// A JSON document, served under the plugin's name.
    ///
    /// # Errors
    /// The text is shown to whoever asked.
    fn report(&mut self) -> Result<String, String>;
}

/// An exporter whose memory is carried over to its next instance: `export_exporter!(Type, state)`.
pub trait State: Exporter {
    /// Bytes that [`restore`](State::restore) of this or a later version understands.
    fn snapshot(&mut self) -> Vec<u8>;

    /// Takes over an earlier instance's snapshot; called after `init`, before the first batch.
    ///
    /// # Errors
    /// The text is logged, and the exporter starts afresh: leave it as `init` made it.
    fn restore(&mut self, snapshot: &[u8]) -> Result<(), String>;
}

impl Description {
    /// A plugin without config, of which one instance runs at a time.
    #[must_use]
    pub fn new(name: &str, version: &str) -> Self {
        Description {
            name: name.to_owned(),
            version: version.to_owned(),
            config_schema: String::new(),
            parallel: false,
        }
    }

    /// Adds the JSON Schema (2020-12) of the config.
    #[must_use]
    pub fn config_schema(mut self, schema: &str) -> Self {
        schema.clone_into(&mut self.config_schema);
        self
    }

    /// Says that several instances may run side by side, each seeing a part of the batches.
    #[must_use]
    pub fn parallel(mut self) -> Self {
        self.parallel = true;
        self
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
