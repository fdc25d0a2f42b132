//! Was built for a later contract, and needs a getter that only the later one has.

mod later {
    include!(concat!(env!("OUT_DIR"), "/later.rs"));
}

use later::exports::meshtrace::plugin::trace_exporter::{Description, Guest, Outcome};
use later::meshtrace::plugin::traces;

struct Future;

impl Guest for Future {
    fn describe() -> Description {
        Description {
            name: "future".into(),
            version: "1".into(),
            config_schema: String::new(),
            parallel: false,
        }
    }

    fn init(_config: String) -> Result<(), String> {
        Ok(())
    }

    fn export_batch() -> Outcome {
        Outcome::Retry(traces::tomorrow())
    }

    fn flush() -> Result<(), String> {
        Ok(())
    }
}

later::export!(Future with_types_in later);
