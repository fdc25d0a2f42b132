//! Answers an attack with a reason of 17 MiB.

use meshtrace_plugin::{Batch, Description, Exporter, Outcome, export_exporter};

struct GiantResult;

impl Exporter for GiantResult {
    fn describe() -> Description {
        Description::new("giant-result", "1")
    }

    fn init(_config: &str) -> Result<Self, String> {
        Ok(GiantResult)
    }

    fn export(&mut self, batch: &Batch) -> Outcome {
        if evil::is_attack(batch, "giant-result") {
            return Outcome::Rejected("no".repeat(17 << 19));
        }
        evil::take_all(batch)
    }
}

export_exporter!(GiantResult);
