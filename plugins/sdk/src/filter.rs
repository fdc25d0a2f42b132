//! What a filter implements.

use crate::{Batch, Decisions, Description};

/// A filter: decides which traces are kept, and may change them before any exporter sees them.
///
/// The host calls [`describe`](Filter::describe) and [`init`](Filter::init) once, then [`decide`](Filter::decide) per batch and
/// [`flush`](Filter::flush) before it drops the instance. It never calls two of them at the same time. A panic ends the
/// instance and its memory; what becomes of the batch then says the filter's `on-failure` setting.
pub trait Filter: Sized {
    /// Who the plugin is. Must not fail and must not depend on state.
    fn describe() -> Description;

    /// Makes the filter from its config, a JSON object as text (`{}` when the operator gave none).
    ///
    /// # Errors
    /// The text is shown to the operator, and the instance is not used: name the setting, what was given and what is allowed.
    fn init(config: &str) -> Result<Self, String>;

    /// Decides on every trace of the batch. Start from [`Decisions::pass_all`], and say what is to be otherwise. Verdicts on
    /// late parts are ignored, their trace having been decided already; edits of them are made.
    ///
    /// # Errors
    /// A failure of the whole batch, handled as the filter's `on-failure` setting says.
    fn decide(&mut self, batch: &Batch) -> Result<Decisions, String>;

    /// Writes out what is held back.
    ///
    /// # Errors
    /// The text is logged.
    fn flush(&mut self) -> Result<(), String> {
        Ok(())
    }
}
