//! Asks three times to be offered the batch again, then takes everything.

use meshtrace_plugin::{Batch, Description, Exporter, Outcome, export_exporter};

struct Retry {
    refusals_left: u32,
}

impl Exporter for Retry {
    fn describe() -> Description {
        Description::new("retry", "1")
    }

    fn init(_config: &str) -> Result<Self, String> {
        Ok(Retry { refusals_left: 3 })
    }

    fn export(&mut self, batch: &Batch) -> Outcome {
        match self.refusals_left.checked_sub(1) {
            Some(left) => {
                self.refusals_left = left;
                Outcome::Retry(10)
            }
            None => evil::take_all(batch),
        }
    }
}

export_exporter!(Retry);
