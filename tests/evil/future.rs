//! Was built for a later contract, and needs a getter that only the later one has.

mod later {
    include!(concat!(env!("OUT_DIR"), "/later.rs"));
}

use later::meshtrace::plugin::traces;
use later::meshtrace::plugin::types::Outcome;

evil::bare!(
    later,
    trace_exporter,
    "future",
    fn export_batch() -> Outcome {
        Outcome::Retry(traces::tomorrow())
    }
);
