//! Panics at a trace whose root operation is `poison`, and takes all others.

use meshtrace_plugin::{Batch, Description, Exporter, Outcome, export_exporter};

struct Trap;

impl Exporter for Trap {
    fn describe() -> Description {
        Description::new("trap", "1")
    }

    fn init(_config: &str) -> Result<Self, String> {
        Ok(Trap)
    }

    fn export(&mut self, batch: &Batch) -> Outcome {
        assert!(batch.traces().all(|trace| trace.root_name() != "poison"), "a poisoned trace");
        evil::take_all(batch)
    }
}

export_exporter!(Trap);
