//! A filter that gives one verdict more than there are traces.

mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "filter" });
}

use bindings::meshtrace::plugin::traces;
use bindings::meshtrace::plugin::types::Decisions;

evil::bare!(
    bindings,
    trace_filter,
    "verdicts",
    fn decide() -> Result<Decisions, String> {
        Ok(Decisions {
            codes: vec![2; traces::count() as usize + 1],
            reasons: Vec::new(),
            reason_texts: Vec::new(),
            edits: Vec::new(),
        })
    }
);
