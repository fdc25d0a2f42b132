//! Panics when it is asked to write out what it holds back.

use meshtrace_plugin::{Batch, Description, Exporter, Outcome, export_exporter};

struct FlushTraps;

impl Exporter for FlushTraps {
    fn describe() -> Description {
        Description::new("flush-traps", "1")
    }

    fn init(_config: &str) -> Result<Self, String> {
        Ok(FlushTraps)
    }

    fn export(&mut self, batch: &Batch) -> Outcome {
        evil::take_all(batch)
    }

    fn flush(&mut self) -> Result<(), String> {
        panic!("nothing can be written")
    }
}

export_exporter!(FlushTraps);
