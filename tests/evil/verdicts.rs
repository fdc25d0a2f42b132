//! A filter that gives one verdict more than there are traces.

mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "filter" });
}

use bindings::exports::meshtrace::plugin::trace_filter::{Decisions, Description, Guest};
use bindings::meshtrace::plugin::traces;

struct Verdicts;

impl Guest for Verdicts {
    fn describe() -> Description {
        Description {
            name: "verdicts".into(),
            version: "1".into(),
            config_schema: String::new(),
            parallel: false,
        }
    }

    fn init(_config: String) -> Result<(), String> {
        Ok(())
    }

    fn decide() -> Result<Decisions, String> {
        Ok(Decisions {
            codes: vec![2; traces::count() as usize + 1],
            reasons: Vec::new(),
            reason_texts: Vec::new(),
            edits: Vec::new(),
        })
    }

    fn flush() -> Result<(), String> {
        Ok(())
    }
}

bindings::export!(Verdicts with_types_in bindings);
