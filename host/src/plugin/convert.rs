//! What guests answer, as the stages know it. An answer that makes no sense is none: which trace was meant cannot be known.

use std::sync::Arc;
use std::time::Duration;

use super::bindings::meshtrace::plugin::types;
use super::text::Reader;
use crate::batch::TraceBatch;
use crate::export::{Outcome, RowOutcome};
use crate::filter::{Change, Decisions, Edit, Target, Verdict};
use crate::model::Value;

/// What became of a batch of so many rows.
pub(super) fn outcome(outcome: types::Outcome, rows: usize, reader: Reader<'_>) -> Outcome {
    match outcome {
        types::Outcome::Delivered => Outcome::Delivered,
        types::Outcome::Retry(ms) => Outcome::Retry {
            after: Some(Duration::from_millis(ms.into())).filter(|pause| !pause.is_zero()),
            reason: "the plugin asked to be offered it again".into(),
        },
        types::Outcome::Rejected(reason) => Outcome::Rejected(reader.read(reason)),
        types::Outcome::Partial(left) => {
            partial(left, rows, reader).unwrap_or_else(|wrong| Outcome::Failed(format!("export-batch: {wrong}")))
        }
    }
}

fn partial(left: Vec<types::RowOutcome>, rows: usize, reader: Reader<'_>) -> Result<Outcome, String> {
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
        reason: reader.read(row.reason),
    };
    Ok(Outcome::Partial(left.into_iter().map(row).collect()))
}

/// A row that the batch has.
fn row(row: u32, rows: usize, what: &str) -> Result<usize, String> {
    let row = row as usize;
    if row < rows { Ok(row) } else { Err(format!("it answered about {what} row {row}, the batch has {rows}")) }
}

/// What was decided about the traces of `batch`.
pub(super) fn decisions(decisions: types::Decisions, batch: &TraceBatch, reader: Reader<'_>) -> Result<Decisions, String> {
    let types::Decisions { codes, reasons, reason_texts, edits } = decisions;
    let rows = batch.traces().len();
    if codes.len() != rows {
        return Err(format!("it gave {} verdicts, the batch has {rows} traces", codes.len()));
    }
    if !reasons.is_empty() && reasons.len() != rows {
        return Err(format!("it gave {} reasons, the batch has {rows} traces; expected as many, or none", reasons.len()));
    }
    let texts: Vec<Arc<str>> = reason_texts.into_iter().map(|text| reader.read(text).into()).collect();
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
        types::Value::Text(text) => Value::Text(text.into()),
        types::Value::Boolean(value) => Value::Bool(value),
        types::Value::Integer(number) => Value::Integer(number),
        types::Value::Double(number) if number.is_finite() => Value::Double(number),
        types::Value::Double(number) => return Err(format!("it set the attribute {key:?} to {number}; numbers are finite")),
        types::Value::Json(text) => match serde_json::from_str::<serde::de::IgnoredAny>(&text) {
            Ok(_) => Value::Json(text.into()),
            Err(error) => return Err(format!("it set the attribute {key:?} to JSON that is none: {error}")),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::sample;
    use crate::plugin::{Counters, Limits};

    fn with_reader<T>(convert: impl FnOnce(Reader<'_>) -> T) -> T {
        convert(Reader {
            limits: &Limits::default(),
            counters: &Counters::default(),
        })
    }

    /// Two traces of three spans together.
    fn decided(given: types::Decisions) -> Result<Decisions, String> {
        let traces =
            [vec!["a", "b"], vec!["c"]].map(|ids| Arc::new(sample::trace(ids[0], ids.iter().map(|id| sample::span(id)).collect())));
        with_reader(|reader| decisions(given, &TraceBatch::new(traces.to_vec()), reader))
    }

    fn verdicts(codes: &[u8], reasons: &[u32], texts: &[&str]) -> types::Decisions {
        types::Decisions {
            codes: codes.to_vec(),
            reasons: reasons.to_vec(),
            reason_texts: texts.iter().map(|text| (*text).to_owned()).collect(),
            edits: Vec::new(),
        }
    }

    fn edited(target: types::EditTarget, field: types::EditField, value: Option<types::Value>) -> Result<Vec<Edit>, String> {
        let edits = vec![types::Edit { target, field, value }];
        decided(types::Decisions { edits, ..verdicts(&[0, 0], &[], &[]) }).map(|decisions| decisions.edits)
    }

    #[test]
    fn verdicts_come_with_their_reasons() {
        let decisions = decided(verdicts(&[1, 2], &[2, 0], &["unused", "slow"])).expect("it makes sense");
        assert_eq!(decisions.verdicts, [Verdict::Keep(Some("slow".into())), Verdict::Drop(None)]);
        assert_eq!(decided(verdicts(&[0, 0], &[], &[])).expect("it makes sense").verdicts, [Verdict::Pass, Verdict::Pass]);
    }

    #[test]
    fn decisions_that_make_no_sense_are_none() {
        let cases = [
            (verdicts(&[0], &[], &[]), "it gave 1 verdicts, the batch has 2 traces"),
            (verdicts(&[0; 3], &[], &[]), "it gave 3 verdicts, the batch has 2 traces"),
            (verdicts(&[0; 2], &[0; 3], &[]), "it gave 3 reasons, the batch has 2 traces; expected as many, or none"),
            (verdicts(&[0, 3], &[], &[]), "the verdict on trace row 1 is 3; expected 0 (pass), 1 (keep) or 2 (drop)"),
            (verdicts(&[1, 1], &[1, 2], &["x"]), "the reason of trace row 1 is number 2, it gave 1 reason texts"),
            (verdicts(&[1, 1], &[u32::MAX, 0], &["x"]), "the reason of trace row 0 is number 4294967295, it gave 1 reason texts"),
        ];
        for (given, expected) in cases {
            assert_eq!(decided(given), Err(expected.into()));
        }
    }

    #[test]
    fn edits_reach_rows_that_are_there() {
        use types::EditField::{Error, Name};
        use types::EditTarget::{Span, Trace};
        let text = |text: &str| Some(types::Value::Text(text.into()));
        let edits = edited(Span(2), Name, text("x"));
        assert_eq!(
            edits,
            Ok(vec![Edit {
                target: Target::Span(2),
                change: Change::Name("x".into())
            }])
        );
        assert_eq!(edited(Span(3), Name, text("x")), Err("it answered about span row 3, the batch has 3".into()));
        assert_eq!(edited(Trace(2), Error, None), Err("it answered about trace row 2, the batch has 2".into()));
        assert_eq!(
            edited(Trace(1), Error, None),
            Ok(vec![Edit {
                target: Target::Trace(1),
                change: Change::Error(None)
            }])
        );
    }

    #[test]
    fn edits_carry_values_that_make_sense() {
        use types::EditField::{Attribute, Error, Name};
        let edit = |field, value| edited(types::EditTarget::Trace(0), field, value).map(|edits| edits[0].change.clone());
        let key = || Attribute("k".into());
        assert_eq!(edit(Name, None), Err("it removed a name; a name can only be replaced".into()));
        assert_eq!(edit(Error, Some(types::Value::Integer(1))), Err("it set an error text to something else than a text".into()));
        let nan = edit(key(), Some(types::Value::Double(f64::NAN)));
        assert_eq!(nan, Err("it set the attribute \"k\" to NaN; numbers are finite".into()));
        let torn = edit(key(), Some(types::Value::Json("{".into()))).expect_err("half an object");
        assert!(torn.starts_with("it set the attribute \"k\" to JSON that is none: EOF"), "{torn}");
        assert_eq!(edit(key(), None), Ok(Change::Attribute("k".into(), None)));
        let json = Change::Attribute("k".into(), Some(Value::Json("[1]".into())));
        assert_eq!(edit(key(), Some(types::Value::Json("[1]".into()))), Ok(json));
    }

    #[test]
    fn rows_of_an_outcome_are_there_and_come_once() {
        let row = |trace| types::RowOutcome {
            trace,
            retry_after_ms: Some(5),
            reason: "r\n".into(),
        };
        let answer = |rows: &[u32]| {
            with_reader(|reader| outcome(types::Outcome::Partial(rows.iter().map(|trace| row(*trace)).collect()), 2, reader))
        };
        let expected = RowOutcome {
            row: 1,
            retry_after: Some(Duration::from_millis(5)),
            reason: r"r\n".into(),
        };
        assert_eq!(answer(&[1]), Outcome::Partial(vec![expected]));
        assert_eq!(answer(&[0, 2]), Outcome::Failed("export-batch: it answered about trace row 2, the batch has 2".into()));
        assert_eq!(answer(&[0, 0]), Outcome::Failed("export-batch: it answered twice about trace row 0".into()));
    }
}
