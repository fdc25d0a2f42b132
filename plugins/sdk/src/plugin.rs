//! What exporters and filters have in common: who they are, and what they may offer besides.

pub use crate::glue::exporter::meshtrace::plugin::types::Description;

/// A plugin that can say something about what it has seen: `export_exporter!(Type, report)`, `export_filter!(Type, report)`.
pub trait Report {
    /// A JSON document, served under the plugin's name.
    ///
    /// # Errors
    /// The text is shown to whoever asked.
    fn report(&mut self) -> Result<String, String>;
}

/// A plugin whose memory is carried over to its next instance: `export_exporter!(Type, state)`, `export_filter!(Type, state)`.
pub trait State {
    /// Bytes that [`restore`](State::restore) of this or a later version understands.
    fn snapshot(&mut self) -> Vec<u8>;

    /// Takes over an earlier instance's snapshot; called after `init`, before the first batch.
    ///
    /// # Errors
    /// The text is logged, and the plugin starts afresh: leave it as `init` made it.
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
