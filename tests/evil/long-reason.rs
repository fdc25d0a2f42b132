//! Refuses an attack for a reason of 10 KB.

use meshtrace_plugin::{Batch, Description, Exporter, Outcome, RowOutcome, export_exporter};

struct LongReason;

impl Exporter for LongReason {
    fn describe() -> Description {
        Description::new("long-reason", "1")
    }

    fn init(_config: &str) -> Result<Self, String> {
        Ok(LongReason)
    }

    fn export(&mut self, batch: &Batch) -> Outcome {
        let attacks = batch.traces().filter(|trace| trace.root_name() == "long-reason");
        Outcome::all_but(attacks.map(|trace| RowOutcome::reject(trace.row(), "no ".repeat(3_400))).collect())
    }
}

export_exporter!(LongReason);
