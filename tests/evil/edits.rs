//! A filter that changes a span which the batch does not have.

mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "filter" });
}

use bindings::exports::meshtrace::plugin::trace_filter::{Decisions, Description, Guest};
use bindings::meshtrace::plugin::traces;
use bindings::meshtrace::plugin::types::{Edit, EditField, EditTarget, Value};

struct Edits;

impl Guest for Edits {
    fn describe() -> Description {
        Description {
            name: "edits".into(),
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
            codes: vec![0; traces::count() as usize],
            reasons: Vec::new(),
            reason_texts: Vec::new(),
            edits: vec![Edit {
                target: EditTarget::Span(4_000_000_000),
                field: EditField::Name,
                value: Some(Value::Text("whose?".into())),
            }],
        })
    }

    fn flush() -> Result<(), String> {
        Ok(())
    }
}

bindings::export!(Edits with_types_in bindings);
