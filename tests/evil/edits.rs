//! A filter that changes a span which the batch does not have.

mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "filter" });
}

use bindings::meshtrace::plugin::traces;
use bindings::meshtrace::plugin::types::{Decisions, Edit, EditField, EditTarget, Value};

evil::bare!(
    bindings,
    trace_filter,
    "edits",
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
);
