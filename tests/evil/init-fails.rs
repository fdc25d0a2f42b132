//! Refuses to be started.

use meshtrace_plugin::{Batch, Description, Exporter, Outcome, export_exporter};

struct InitFails;

impl Exporter for InitFails {
    fn describe() -> Description {
        Description::new("init-fails", "1")
    }

    fn init(config: &str) -> Result<Self, String> {
        Err(format!("the key \"endpoint\" is missing in {config}; give a URL"))
    }

    fn export(&mut self, _batch: &Batch) -> Outcome {
        Outcome::Delivered
    }
}

export_exporter!(InitFails);
