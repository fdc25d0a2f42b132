//! What a filter answers: a verdict per trace, and edits.

pub use crate::glue::exporter::meshtrace::plugin::types::{Edit, EditField, EditTarget as Target};

use std::collections::HashMap;

use crate::glue::exporter::meshtrace::plugin::types;
use crate::{Batch, OwnedValue, Span, Trace};

/// A filter's verdict on one trace. Any drop wins over any keep of another filter; when all pass, the trace is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// No opinion.
    Pass,
    /// Keep it, and why; `""` when no reason was given.
    Keep(&'a str),
    /// Drop it, and why; `""` when no reason was given.
    Drop(&'a str),
}

/// What a filter decided on a batch: a verdict per trace row, and the edits to make, in the order in which they were asked for.
///
/// ```
/// use meshtrace_plugin::testing::{batch, TestTrace};
/// use meshtrace_plugin::{Decisions, Verdict};
///
/// let batch = batch(&[TestTrace::default(), TestTrace::default()]);
/// let mut decisions = Decisions::pass_all(&batch);
/// for trace in batch.traces().filter(|trace| !trace.is_failed()) {
///     decisions.drop(trace.row(), "nothing failed");
///     decisions.set_attribute(trace, "seen.by", "my-filter");
/// }
/// assert_eq!(decisions.verdict(1), Verdict::Drop("nothing failed"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Decisions {
    /// 0 pass, 1 keep, 2 drop.
    codes: Vec<u8>,
    /// Index into `reason_texts` + 1; 0 = none.
    reasons: Vec<u32>,
    reason_texts: Vec<String>,
    reason_indexes: HashMap<String, u32>,
    edits: Vec<Edit>,
    /// Number of span rows of the batch.
    spans: u32,
    /// The first row that was named and is not in the batch: the whole answer is an error then, as nothing tells what was meant.
    stray: Option<String>,
}

impl Decisions {
    /// No opinion on any trace of the batch, and nothing to change.
    #[must_use]
    pub fn pass_all(batch: &Batch) -> Self {
        Decisions {
            codes: vec![0; batch.len()],
            reasons: vec![0; batch.len()],
            reason_texts: Vec::new(),
            reason_indexes: HashMap::new(),
            edits: Vec::new(),
            spans: batch.columns().span_count(),
            stray: None,
        }
    }

    /// Keeps the trace in this row. The reason is for people, and `""` for none; each distinct one crosses to the host once.
    ///
    /// Like every method here, it makes the filter's answer an error when the batch has no such row.
    pub fn keep(&mut self, trace: u32, reason: &str) {
        self.decide(trace, 1, reason);
    }

    /// Drops the trace in this row. The reason is for people, and `""` for none; each distinct one crosses to the host once.
    pub fn drop(&mut self, trace: u32, reason: &str) {
        self.decide(trace, 2, reason);
    }

    /// Takes back what was said about the trace in this row.
    pub fn pass(&mut self, trace: u32) {
        self.decide(trace, 0, "");
    }

    /// Sets, or replaces, an attribute: of one span, or of every span of a trace.
    pub fn set_attribute(&mut self, target: impl Into<Target>, key: impl Into<String>, value: impl Into<OwnedValue>) {
        self.edit(target, EditField::Attribute(key.into()), Some(value.into()));
    }

    /// Removes an attribute, where there is one.
    pub fn remove_attribute(&mut self, target: impl Into<Target>, key: impl Into<String>) {
        self.edit(target, EditField::Attribute(key.into()), None);
    }

    /// Sets, or replaces, the error text. The status stays what it is.
    pub fn set_error(&mut self, target: impl Into<Target>, text: impl Into<String>) {
        self.edit(target, EditField::Error, Some(OwnedValue::Text(text.into())));
    }

    /// Removes the error text, where there is one. The status stays what it is.
    pub fn remove_error(&mut self, target: impl Into<Target>) {
        self.edit(target, EditField::Error, None);
    }

    /// Replaces the operation's name. A name cannot be removed.
    pub fn set_name(&mut self, target: impl Into<Target>, name: impl Into<String>) {
        self.edit(target, EditField::Name, Some(OwnedValue::Text(name.into())));
    }

    /// What has been decided on the trace in this row; a pass for a row that the batch does not have.
    #[must_use]
    pub fn verdict(&self, trace: u32) -> Verdict<'_> {
        let row = trace as usize;
        let index = self.reasons.get(row).and_then(|reason| reason.checked_sub(1));
        let reason = index.and_then(|index| self.reason_texts.get(index as usize)).map_or("", |text| text);
        match self.codes.get(row) {
            Some(1) => Verdict::Keep(reason),
            Some(2) => Verdict::Drop(reason),
            _ => Verdict::Pass,
        }
    }

    /// The edits so far, in order.
    #[must_use]
    pub fn edits(&self) -> &[Edit] {
        &self.edits
    }

    fn decide(&mut self, trace: u32, code: u8, reason: &str) {
        let row = trace as usize;
        if row >= self.codes.len() {
            return self.went_astray("trace", trace, self.codes.len());
        }
        self.codes[row] = code;
        self.reasons[row] = self.reason(reason);
    }

    fn reason(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        if let Some(known) = self.reason_indexes.get(text) {
            return *known;
        }
        self.reason_texts.push(text.to_owned());
        let index = u32::try_from(self.reason_texts.len()).unwrap_or(u32::MAX);
        self.reason_indexes.insert(text.to_owned(), index);
        index
    }

    fn edit(&mut self, target: impl Into<Target>, field: EditField, value: Option<OwnedValue>) {
        let target = target.into();
        match target {
            Target::Trace(row) if row as usize >= self.codes.len() => self.went_astray("trace", row, self.codes.len()),
            Target::Span(row) if row >= self.spans => self.went_astray("span", row, self.spans as usize),
            _ => self.edits.push(Edit { target, field, value }),
        }
    }

    fn went_astray(&mut self, what: &str, row: u32, count: usize) {
        self.stray.get_or_insert_with(|| {
            format!("the filter answered for {what} row {row}, and the batch has {count} {what} rows, counted from 0")
        });
    }

    /// The contract's record.
    pub(crate) fn into_record(self) -> Result<types::Decisions, String> {
        if let Some(stray) = self.stray {
            return Err(stray);
        }
        Ok(types::Decisions {
            codes: self.codes,
            reasons: if self.reason_texts.is_empty() { Vec::new() } else { self.reasons },
            reason_texts: self.reason_texts,
            edits: self.edits,
        })
    }
}

impl From<Trace<'_>> for Target {
    fn from(trace: Trace<'_>) -> Self {
        Target::Trace(trace.row())
    }
}

impl From<Span<'_>> for Target {
    fn from(span: Span<'_>) -> Self {
        Target::Span(span.row())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{TestSpan, TestTrace, batch};

    fn two_traces() -> Batch {
        let trace = TestTrace {
            spans: vec![TestSpan::default(), TestSpan::default()],
            ..TestTrace::default()
        };
        batch(&[trace.clone(), trace])
    }

    #[test]
    fn nothing_said_is_a_pass_without_reasons() {
        let record = Decisions::pass_all(&two_traces()).into_record().unwrap();
        assert_eq!((record.codes, record.reasons, record.reason_texts.len(), record.edits.len()), (vec![0, 0], vec![], 0, 0));
    }

    #[test]
    fn each_reason_crosses_once_and_the_last_word_counts() {
        let mut decisions = Decisions::pass_all(&two_traces());
        decisions.drop(0, "fast");
        decisions.keep(1, "fast");
        decisions.keep(0, "slow");
        assert_eq!((decisions.verdict(0), decisions.verdict(1)), (Verdict::Keep("slow"), Verdict::Keep("fast")));
        decisions.pass(1);
        assert_eq!((decisions.verdict(1), decisions.verdict(7)), (Verdict::Pass, Verdict::Pass));
        let record = decisions.into_record().unwrap();
        assert_eq!((record.codes, record.reasons, record.reason_texts), (vec![1, 0], vec![2, 0], vec!["fast".into(), "slow".into()]));
    }

    #[test]
    fn edits_keep_their_order_and_types() {
        let batch = two_traces();
        let span = batch.trace(1).unwrap().spans().nth(1).unwrap();
        let mut decisions = Decisions::pass_all(&batch);
        decisions.set_attribute(span, "n", 7_i64);
        decisions.set_attribute(Target::Trace(0), "j", OwnedValue::Json("[1]".into()));
        decisions.remove_attribute(span, "n");
        decisions.set_error(span, "text");
        decisions.remove_error(batch.trace(0).unwrap());
        decisions.set_name(span, "name");
        let edit = |target, field, value| Edit { target, field, value };
        let attribute = |key: &str| EditField::Attribute(key.into());
        let expected = [
            edit(Target::Span(3), attribute("n"), Some(OwnedValue::Integer(7))),
            edit(Target::Trace(0), attribute("j"), Some(OwnedValue::Json("[1]".into()))),
            edit(Target::Span(3), attribute("n"), None),
            edit(Target::Span(3), EditField::Error, Some("text".into())),
            edit(Target::Trace(0), EditField::Error, None),
            edit(Target::Span(3), EditField::Name, Some("name".into())),
        ];
        assert_eq!(decisions.edits(), expected);
        assert_eq!(decisions.into_record().unwrap().edits, expected);
    }

    #[test]
    fn a_row_that_is_not_there_makes_the_answer_an_error() {
        let cases = [("trace", 2, "trace row 2, and the batch has 2 trace rows"), ("span", 4, "span row 4, and the batch has 4 span rows")];
        for (what, row, part) in cases {
            let mut decisions = Decisions::pass_all(&two_traces());
            match what {
                "trace" => decisions.drop(row, "x"),
                _ => decisions.set_name(Target::Span(row), "x"),
            }
            decisions.keep(0, "later and right");
            let error = decisions.into_record().unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
