//! Answers an attack with an outcome of a trace that the batch does not have.

use meshtrace_plugin::{Batch, Description, Exporter, Outcome, RowOutcome, export_exporter};

struct Rows;

impl Exporter for Rows {
    fn describe() -> Description {
        Description::new("rows", "1")
    }

    fn init(_config: &str) -> Result<Self, String> {
        Ok(Rows)
    }

    fn export(&mut self, batch: &Batch) -> Outcome {
        if evil::is_attack(batch, "rows") {
            return Outcome::Partial(vec![RowOutcome::reject(4_000_000_000, "which one?")]);
        }
        evil::take_all(batch)
    }
}

export_exporter!(Rows);
