//! Panics in `init`.

use meshtrace_plugin::{Batch, Description, Exporter, Outcome, export_exporter};

struct InitTraps;

impl Exporter for InitTraps {
    fn describe() -> Description {
        Description::new("init-traps", "1")
    }

    fn init(config: &str) -> Result<Self, String> {
        panic!("no config is good enough, {config} neither")
    }

    fn export(&mut self, _batch: &Batch) -> Outcome {
        Outcome::Delivered
    }
}

export_exporter!(InitTraps);
