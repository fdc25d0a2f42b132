//! What edits make of traces.

use super::{TestSpan, TestTrace};
use crate::{Decisions, Edit, EditField, OwnedValue, Target};

/// The traces after a filter's edits, as the host makes them. Verdicts change nothing here.
///
/// ```
/// use meshtrace_plugin::testing::{TestSpan, TestTrace, batch, edited};
/// use meshtrace_plugin::{Decisions, Target};
///
/// let traces = [TestTrace { spans: vec![TestSpan::default()], ..Default::default() }];
/// let mut decisions = Decisions::pass_all(&batch(&traces));
/// decisions.set_name(Target::Span(0), "renamed");
/// assert_eq!(edited(&traces, &decisions)[0].spans[0].name, "renamed");
/// ```
#[must_use]
pub fn edited(traces: &[TestTrace], decisions: &Decisions) -> Vec<TestTrace> {
    let mut traces = traces.to_vec();
    for edit in decisions.edits() {
        match edit.target {
            Target::Trace(row) => traces[row as usize].spans.iter_mut().for_each(|span| apply(span, edit)),
            Target::Span(row) => {
                let span = traces.iter_mut().flat_map(|trace| &mut trace.spans).nth(row as usize);
                span.into_iter().for_each(|span| apply(span, edit));
            }
        }
    }
    traces
}

fn apply(span: &mut TestSpan, edit: &Edit) {
    match (&edit.field, &edit.value) {
        (EditField::Attribute(key), value) => {
            span.attributes.retain(|(known, _)| known != key);
            span.attributes.extend(value.clone().map(|value| (key.clone(), value)));
        }
        (EditField::Error, value) => span.error = value.as_ref().map(text),
        (EditField::Name, Some(value)) => span.name = text(value),
        (EditField::Name, None) => {}
    }
}

fn text(value: &OwnedValue) -> String {
    match value {
        OwnedValue::Text(text) | OwnedValue::Json(text) => text.clone(),
        OwnedValue::Boolean(value) => value.to_string(),
        OwnedValue::Integer(value) => value.to_string(),
        OwnedValue::Double(value) => value.to_string(),
    }
}
