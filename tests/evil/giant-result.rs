//! Answers an attack with a reason of 17 MiB, and a trace whose root operation is `long` with one of 10 KB.

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
        match batch.traces().map(|trace| trace.root_name().to_owned()).find(|name| name == evil::ATTACK || name == "long") {
            Some(name) if name == "long" => Outcome::Rejected("no ".repeat(3_400)),
            Some(_) => Outcome::Rejected("no".repeat(17 << 19)),
            None => evil::take_all(batch),
        }
    }
}

export_exporter!(GiantResult);
