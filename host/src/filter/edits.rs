//! Edits of traces: the changes that a filter wants, checked before one of them is made.
//!
//! One edit of a trace reaches all its spans, so a small answer could ask for a lot: what it comes to is bounded.

use std::ops::AddAssign;
use std::sync::Arc;

use super::{Change, Edit, Target};
use crate::batch::TraceBatch;
use crate::model::{Attribute, Attributes, NameTable, Span, Text, Trace, Value};

/// What the edits of one batch may come to: bytes that they write, counting [`EDIT_BYTES`] for each span that each reaches.
const COST_MAX: usize = 64 * 1024 * 1024;

/// What an edit of one span costs beside its texts, also when it removes something.
const EDIT_BYTES: usize = 56;

/// Attributes that a span may come to have by edits; more are not added.
const SPAN_ATTRIBUTES: usize = 2_048;

/// Names that filters together may add to the process' table. Further texts are held by their spans, as those that do not repeat.
pub(super) const NEW_NAMES: usize = 4_096;

/// An edit of a trace in a row, or of one of its spans.
#[derive(Debug)]
pub(super) struct Placed {
    pub row: usize,
    span: Option<usize>,
    change: Change,
}

/// What edits have come to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Made {
    pub edits: usize,
    pub refused: usize,
}

impl AddAssign for Made {
    fn add_assign(&mut self, other: Made) {
        self.edits += other.edits;
        self.refused += other.refused;
    }
}

/// Whether these edits can be made on `batch`.
///
/// # Errors
/// Which row is not there, or that they come to too much.
pub(super) fn check(edits: &[Edit], batch: &TraceBatch) -> Result<(), String> {
    if edits.is_empty() {
        return Ok(());
    }
    let traces = batch.traces();
    let span_count: usize = traces.iter().map(|trace| trace.spans.len()).sum();
    let mut cost = 0_usize;
    for edit in edits {
        let spans = match edit.target {
            Target::Trace(row) => match traces.get(row) {
                Some(trace) => trace.spans.len(),
                None => return Err(format!("it edited trace row {row}, and the batch has {} of them, counted from 0", traces.len())),
            },
            Target::Span(row) if row < span_count => 1,
            Target::Span(row) => return Err(format!("it edited span row {row}, and the batch has {span_count} of them, counted from 0")),
        };
        cost = cost.saturating_add(spans.saturating_mul(EDIT_BYTES + edit.change.text_bytes()));
    }
    if cost > COST_MAX {
        return Err(format!(
            "its {} edits come to {cost} bytes over all spans that they reach; at most {COST_MAX} are made for one batch",
            edits.len()
        ));
    }
    Ok(())
}

/// Edits of the traces `traces`, which stand in a batch from row `first` on; in their order. Only after [`check`].
pub(super) fn place(edits: Vec<Edit>, traces: &[Arc<Trace>], first: usize) -> impl Iterator<Item = Placed> {
    let by_span = edits.iter().any(|edit| matches!(edit.target, Target::Span(_)));
    // Where each trace's spans begin.
    let mut starts = Vec::new();
    if by_span {
        let mut next = 0;
        for trace in traces {
            starts.push(next);
            next += trace.spans.len();
        }
    }
    edits.into_iter().map(move |Edit { target, change }| match target {
        Target::Trace(row) => Placed { row: first + row, span: None, change },
        Target::Span(span) => {
            // The last trace that begins there or before; those without spans begin where the next does.
            let row = starts.partition_point(|start| *start <= span).saturating_sub(1);
            let start = starts.get(row).copied().unwrap_or(0);
            Placed {
                row: first + row,
                span: Some(span - start),
                change,
            }
        }
    })
}

/// Makes edits of one trace, in their order.
pub(super) fn make(trace: &mut Trace, edits: impl Iterator<Item = Placed>, names: &mut NameTable) -> Made {
    let mut made = Made::default();
    let mut opened: Vec<Opened<'_>> = trace.spans.iter_mut().map(|span| Opened { span, attributes: None }).collect();
    for edit in edits {
        let change = Ready::of(edit.change, names);
        let spans = match edit.span {
            None => &mut opened[..],
            Some(at) => opened.get_mut(at..=at).unwrap_or_default(),
        };
        made.edits += 1;
        made.refused += spans.iter_mut().map(|span| usize::from(!change.make(span))).sum::<usize>();
    }
    opened.into_iter().for_each(Opened::close);
    made
}

/// A span that is being changed. Its attributes are unpacked once, however many changes there are.
struct Opened<'t> {
    span: &'t mut Span,
    attributes: Option<Vec<(Text, Value)>>,
}

impl Opened<'_> {
    /// Keys in byte order, each once.
    fn attributes(&mut self) -> &mut Vec<(Text, Value)> {
        let own = |attribute: Attribute<'_>| (attribute.key.into(), attribute.value.owned());
        self.attributes.get_or_insert_with(|| self.span.attributes.iter().map(own).collect())
    }

    fn close(self) {
        if let Some(attributes) = self.attributes {
            let held = attributes.iter().map(|(key, value)| Attribute { key: key.into(), value: value.view() });
            self.span.attributes = Attributes::of(held.collect());
        }
    }
}

impl Change {
    fn text_bytes(&self) -> usize {
        match self {
            Change::Name(text) | Change::Error(Some(text)) => text.len(),
            Change::Error(None) | Change::Attribute(_, None) => 0,
            Change::Attribute(key, Some(value)) => key.len() + value.view().text_bytes(),
        }
    }
}

/// A change in the model's own terms, to be made on any number of spans.
enum Ready {
    Name(Text),
    Error(Text),
    Set(Text, Value),
    Remove(String),
}

impl Ready {
    fn of(change: Change, names: &mut NameTable) -> Ready {
        match change {
            Change::Name(text) => Ready::Name(names.text(&text)),
            Change::Error(text) => Ready::Error(text.map_or(Text::ABSENT, |text| names.text(&text))),
            Change::Attribute(key, None) => Ready::Remove(key),
            Change::Attribute(key, Some(value)) => Ready::Set(names.text(&key), value),
        }
    }

    /// Makes it; false when there is no room for it.
    fn make(&self, opened: &mut Opened<'_>) -> bool {
        let find = |attributes: &[(Text, Value)], key: &str| attributes.binary_search_by(|(own, _)| own.as_str().cmp(key));
        match self {
            Ready::Name(text) => opened.span.name = text.clone(),
            Ready::Error(text) => opened.span.error = text.clone(),
            Ready::Set(key, value) => {
                let attributes = opened.attributes();
                match find(attributes, key.as_str()) {
                    Ok(at) => attributes[at].1 = value.clone(),
                    Err(_) if attributes.len() >= SPAN_ATTRIBUTES => return false,
                    Err(at) => attributes.insert(at, (key.clone(), value.clone())),
                }
            }
            Ready::Remove(key) => {
                let attributes = opened.attributes();
                if let Ok(at) = find(attributes, key) {
                    attributes.remove(at);
                }
            }
        }
        true
    }
}
