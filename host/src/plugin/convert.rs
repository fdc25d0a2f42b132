//! What guests answer, as the stages know it. An answer that makes no sense is none: which trace was meant cannot be known.

use std::sync::Arc;
use std::time::Duration;

use super::bindings::meshtrace::plugin::types;
use crate::batch::TraceBatch;
use crate::export::{Outcome, RowOutcome};
use crate::filter::{Change, Decisions, Edit, Target, Verdict};
use crate::model::{Text, Value};

/// What became of a batch of so many rows.
pub(super) fn outcome(outcome: types::Outcome, rows: usize) -> Outcome {
    match outcome {
        types::Outcome::Delivered => Outcome::Delivered,
        types::Outcome::Retry(ms) => Outcome::Retry {
            after: Some(Duration::from_millis(ms.into())).filter(|pause| !pause.is_zero()),
            reason: "the plugin asked to be offered it again".into(),
        },
        types::Outcome::Rejected(reason) => Outcome::Rejected(reason),
        types::Outcome::Partial(left) => partial(left, rows).unwrap_or_else(|wrong| Outcome::Failed(format!("export-batch: {wrong}"))),
    }
}

fn partial(left: Vec<types::RowOutcome>, rows: usize) -> Result<Outcome, String> {
    let mut seen = vec![false; rows];
    for outcome in &left {
        let row = row(outcome.trace, rows, "trace")?;
        if std::mem::replace(&mut seen[row], true) {
            return Err(format!("it answered twice about trace row {row}"));
        }
    }
    let row = |row: types::RowOutcome| RowOutcome {
        row: row.trace as usize,
        retry_after: row.retry_after_ms.map(|ms| Duration::from_millis(ms.into())),
        reason: row.reason,
    };
    Ok(Outcome::Partial(left.into_iter().map(row).collect()))
}

/// A row that the batch has.
fn row(row: u32, rows: usize, what: &str) -> Result<usize, String> {
    let row = row as usize;
    if row < rows { Ok(row) } else { Err(format!("it answered about {what} row {row}, the batch has {rows}")) }
}

/// What was decided about the traces of `batch`.
pub(super) fn decisions(decisions: types::Decisions, batch: &TraceBatch) -> Result<Decisions, String> {
    let types::Decisions { codes, reasons, reason_texts, edits } = decisions;
    let rows = batch.traces().len();
    if codes.len() != rows {
        return Err(format!("it gave {} verdicts, the batch has {rows} traces", codes.len()));
    }
    if !reasons.is_empty() && reasons.len() != rows {
        return Err(format!("it gave {} reasons, the batch has {rows} traces; expected as many, or none", reasons.len()));
    }
    let texts: Vec<Arc<str>> = reason_texts.into_iter().map(Arc::from).collect();
    let reason = |row: usize| match reasons.get(row).map_or(0, |index| *index as usize) {
        0 => Ok(None),
        index => match texts.get(index - 1) {
            Some(text) => Ok(Some(Arc::clone(text))),
            None => Err(format!("the reason of trace row {row} is number {index}, it gave {} reason texts", texts.len())),
        },
    };
    let verdict = |(row, code)| {
        Ok(match code {
            0 => Verdict::Pass,
            1 => Verdict::Keep(reason(row)?),
            2 => Verdict::Drop(reason(row)?),
            other => return Err(format!("the verdict on trace row {row} is {other}; expected 0 (pass), 1 (keep) or 2 (drop)")),
        })
    };
    let verdicts = codes.into_iter().enumerate().map(verdict).collect::<Result<_, _>>()?;
    let spans = batch.traces().iter().map(|trace| trace.spans.len()).sum();
    let edits = edits.into_iter().map(|change| edit(change, rows, spans)).collect::<Result<_, _>>()?;
    Ok(Decisions { verdicts, edits })
}

fn edit(edit: types::Edit, traces: usize, spans: usize) -> Result<Edit, String> {
    let target = match edit.target {
        types::EditTarget::Trace(trace) => Target::Trace(row(trace, traces, "trace")?),
        types::EditTarget::Span(span) => Target::Span(row(span, spans, "span")?),
    };
    let text = |what: &str, value| match value {
        types::Value::Text(text) => Ok(text),
        _ => Err(format!("it set {what} to something else than a text")),
    };
    let change = match (edit.field, edit.value) {
        (types::EditField::Name, None) => return Err("it removed a name; a name can only be replaced".into()),
        (types::EditField::Name, Some(value)) => Change::Name(text("a name", value)?),
        (types::EditField::Error, value) => Change::Error(value.map(|value| text("an error text", value)).transpose()?),
        (types::EditField::Attribute(key), value) => {
            let value = value.map(|value| attribute(&key, value)).transpose()?;
            Change::Attribute(key, value)
        }
    };
    Ok(Edit { target, change })
}

/// A value as the model has it: numbers are finite, JSON is well-formed.
fn attribute(key: &str, value: types::Value) -> Result<Value, String> {
    Ok(match value {
        types::Value::Text(text) => Value::Text(Text::own(&text)),
        types::Value::Boolean(value) => Value::Bool(value),
        types::Value::Integer(number) => Value::Integer(number),
        types::Value::Double(number) if number.is_finite() => Value::Double(number),
        types::Value::Double(number) => return Err(format!("it set the attribute {key:?} to {number}; numbers are finite")),
        types::Value::Json(text) => match serde_json::from_str::<serde::de::IgnoredAny>(&text) {
            Ok(_) => Value::Json(Text::own(&text)),
            Err(error) => return Err(format!("it set the attribute {key:?} to JSON that is none: {error}")),
        },
    })
}
