//! Loops for ever in `init`.

use meshtrace_plugin::{Batch, Description, Exporter, Outcome, export_exporter};

struct InitSpins;

impl Exporter for InitSpins {
    fn describe() -> Description {
        Description::new("init-spins", "1")
    }

    fn init(_config: &str) -> Result<Self, String> {
        loop {
            std::hint::black_box(());
        }
    }

    fn export(&mut self, _batch: &Batch) -> Outcome {
        Outcome::Delivered
    }
}

export_exporter!(InitSpins);
