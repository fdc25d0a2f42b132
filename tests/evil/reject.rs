//! Refuses traces whose root operation is `unwanted`, and has those whose root operation is `later` offered twice.

use evil::Met;
use meshtrace_plugin::{Batch, Description, Exporter, Outcome, RowOutcome, export_exporter};

struct Reject {
    met: Met,
}

impl Exporter for Reject {
    fn describe() -> Description {
        Description::new("reject", "1")
    }

    fn init(_config: &str) -> Result<Self, String> {
        Ok(Reject { met: Met::default() })
    }

    fn export(&mut self, batch: &Batch) -> Outcome {
        self.met.take_all_but(batch, |met, trace| {
            match trace.root_name() {
                "unwanted" => return Some(RowOutcome::reject(trace.row(), "nobody wants this one")),
                "later" if met.is_new(trace) => return Some(RowOutcome::retry(trace.row(), 10, "not now")),
                _ => evil::took(trace),
            }
            None
        })
    }
}

export_exporter!(Reject);
