//! Was built for a later contract, and needs nothing that only the later one has.

mod later {
    include!(concat!(env!("OUT_DIR"), "/later.rs"));
}

use later::meshtrace::plugin::host_log::{self, Level};
use later::meshtrace::plugin::traces;
use later::meshtrace::plugin::types::Outcome;

evil::bare!(
    later,
    trace_exporter,
    "ahead",
    fn export_batch() -> Outcome {
        host_log::log(Level::Info, &format!("took {} traces", traces::count()));
        Outcome::Delivered
    }
);
