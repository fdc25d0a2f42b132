//! Loops for ever at an attack.

use meshtrace_plugin::{Batch, Description, Exporter, Outcome, export_exporter};

struct Spin;

impl Exporter for Spin {
    fn describe() -> Description {
        Description::new("spin", "1")
    }

    fn init(_config: &str) -> Result<Self, String> {
        Ok(Spin)
    }

    fn export(&mut self, batch: &Batch) -> Outcome {
        while evil::is_attack(batch, "spin") {
            std::hint::black_box(());
        }
        evil::take_all(batch)
    }
}

export_exporter!(Spin);
