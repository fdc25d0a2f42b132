//! Was built for a later contract, and needs nothing that only the later one has.

mod later {
    include!(concat!(env!("OUT_DIR"), "/later.rs"));
}

use later::exports::meshtrace::plugin::trace_exporter::{Description, Guest, Outcome};
use later::meshtrace::plugin::host_log::{self, Level};
use later::meshtrace::plugin::traces;

struct Ahead;

impl Guest for Ahead {
    fn describe() -> Description {
        Description {
            name: "ahead".into(),
            version: "1".into(),
            config_schema: String::new(),
            parallel: false,
        }
    }

    fn init(_config: String) -> Result<(), String> {
        Ok(())
    }

    fn export_batch() -> Outcome {
        host_log::log(Level::Info, &format!("took {} traces", traces::count()));
        Outcome::Delivered
    }

    fn flush() -> Result<(), String> {
        Ok(())
    }
}

later::export!(Ahead with_types_in later);
