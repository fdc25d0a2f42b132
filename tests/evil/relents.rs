//! Refuses traces whose root operation is `unwanted` for good, the first time; says which part of which trace it took.

use std::collections::HashSet;

use meshtrace_plugin::{Batch, Description, Exporter, Level, Outcome, RowOutcome, Trace, export_exporter, log};

struct Relents {
    refused: HashSet<String>,
}

impl Exporter for Relents {
    fn describe() -> Description {
        Description::new("relents", "1")
    }

    fn init(_config: &str) -> Result<Self, String> {
        Ok(Relents { refused: HashSet::new() })
    }

    fn export(&mut self, batch: &Batch) -> Outcome {
        Outcome::all_but(batch.traces().filter_map(|trace| self.refuse(&trace)).collect())
    }
}

impl Relents {
    fn refuse(&mut self, trace: &Trace<'_>) -> Option<RowOutcome> {
        if trace.root_name() == "unwanted" && self.refused.insert(trace.id_text().to_owned()) {
            return Some(RowOutcome::reject(trace.row(), "not yet"));
        }
        log!(Level::Info, "took part {} of {}, {} spans", trace.part(), trace.id_text(), trace.span_count());
        None
    }
}

export_exporter!(Relents);
