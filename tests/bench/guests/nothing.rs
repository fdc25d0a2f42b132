//! Reads nothing, and takes everything: what a call costs at least.

use meshtrace_plugin::{Batch, Description, Exporter, Outcome, export_exporter};

struct Nothing;

impl Exporter for Nothing {
    fn describe() -> Description {
        Description::new("nothing", "1")
    }

    fn init(_config: &str) -> Result<Self, String> {
        Ok(Nothing)
    }

    fn export(&mut self, _batch: &Batch) -> Outcome {
        Outcome::Delivered
    }
}

export_exporter!(Nothing);
