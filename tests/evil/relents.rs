//! Refuses traces whose root operation is `unwanted` for good, the first time; says which part of which trace it took.

use evil::Met;
use meshtrace_plugin::{Batch, Description, Exporter, Level, Outcome, RowOutcome, export_exporter, log};

struct Relents {
    met: Met,
}

impl Exporter for Relents {
    fn describe() -> Description {
        Description::new("relents", "1")
    }

    fn init(_config: &str) -> Result<Self, String> {
        Ok(Relents { met: Met::default() })
    }

    fn export(&mut self, batch: &Batch) -> Outcome {
        self.met.take_all_but(batch, |met, trace| {
            if trace.root_name() == "unwanted" && met.is_new(trace) {
                return Some(RowOutcome::reject(trace.row(), "not yet"));
            }
            log!(Level::Info, "took part {} of {}, {} spans", trace.part(), trace.id_text(), trace.span_count());
            None
        })
    }
}

export_exporter!(Relents);
