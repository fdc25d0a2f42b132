//! Sleeps for an hour at an attack: the engine's clock ends no host function.

use std::time::Duration;

use meshtrace_plugin::{Batch, Description, Exporter, Outcome, export_exporter};

struct Sleep;

impl Exporter for Sleep {
    fn describe() -> Description {
        Description::new("sleep", "1")
    }

    fn init(_config: &str) -> Result<Self, String> {
        Ok(Sleep)
    }

    fn export(&mut self, batch: &Batch) -> Outcome {
        if evil::is_attack(batch, "sleep") {
            std::thread::sleep(Duration::from_secs(3_600));
        }
        evil::take_all(batch)
    }
}

export_exporter!(Sleep);
