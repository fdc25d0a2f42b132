//! Collects things to wait for without end at an attack.

use meshtrace_plugin::{Batch, Description, Exporter, Outcome, export_exporter};
use wasip2::clocks::monotonic_clock::subscribe_duration;

struct Pollables;

impl Exporter for Pollables {
    fn describe() -> Description {
        Description::new("pollables", "1")
    }

    fn init(_config: &str) -> Result<Self, String> {
        Ok(Pollables)
    }

    fn export(&mut self, batch: &Batch) -> Outcome {
        let mut hoard = Vec::new();
        while evil::is_attack(batch, "pollables") {
            hoard.push(subscribe_duration(u64::MAX));
        }
        evil::take_all(batch)
    }
}

export_exporter!(Pollables);
