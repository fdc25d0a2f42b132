//! Refuses traces whose root operation is `unwanted`, and has those whose root operation is `later` offered twice.

use std::collections::HashSet;

use meshtrace_plugin::{Batch, Description, Exporter, Outcome, RowOutcome, Trace, export_exporter};

struct Reject {
    met: HashSet<String>,
}

impl Exporter for Reject {
    fn describe() -> Description {
        Description::new("reject", "1")
    }

    fn init(_config: &str) -> Result<Self, String> {
        Ok(Reject { met: HashSet::new() })
    }

    fn export(&mut self, batch: &Batch) -> Outcome {
        Outcome::all_but(batch.traces().filter_map(|trace| self.refuse(&trace)).collect())
    }
}

impl Reject {
    fn refuse(&mut self, trace: &Trace<'_>) -> Option<RowOutcome> {
        match trace.root_name() {
            "unwanted" => return Some(RowOutcome::reject(trace.row(), "nobody wants this one")),
            "later" if self.met.insert(trace.id_text().to_owned()) => return Some(RowOutcome::retry(trace.row(), 10, "not now")),
            _ => evil::took(trace),
        }
        None
    }
}

export_exporter!(Reject);
