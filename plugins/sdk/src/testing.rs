//! Batches for tests, made natively: `cargo test` runs a plugin's logic without a host.
//!
//! ```
//! use meshtrace_plugin::testing::{self, TestSpan, TestTrace};
//!
//! let span = TestSpan { id: "s1".into(), name: "tool:get_weather".into(), agent: "weather".into(), ..Default::default() };
//! let batch = testing::batch(&[TestTrace { id: "t1".into(), spans: vec![span], ..Default::default() }]);
//! assert_eq!(batch.traces().next().unwrap().spans().next().unwrap().name(), "tool:get_weather");
//! ```

use std::collections::{BTreeSet, HashMap};

use crate::columns::Cells;
use crate::strings::Strings;
use crate::{Batch, Columns, Span, Status};

/// A trace for a test.
#[derive(Clone, Debug, Default)]
pub struct TestTrace {
    /// The id as it came.
    pub id: String,
    /// 0 for a trace, 1, 2 … for a late part.
    pub part: u32,
    /// Whether it was decided before every span had ended.
    pub incomplete: bool,
    /// What [`Trace::json`](crate::Trace::json) answers.
    pub json: Vec<u8>,
    /// What [`Batch::otlp`] answers for this row; rows are joined.
    pub otlp: Vec<u8>,
    /// Its spans; keep them in order of start.
    pub spans: Vec<TestSpan>,
}

/// A span for a test.
#[derive(Clone, Debug, Default)]
pub struct TestSpan {
    /// The id as it came.
    pub id: String,
    /// The parent's id as it came.
    pub parent: Option<String>,
    /// The operation; empty = absent.
    pub name: String,
    /// The agent's name; empty = absent.
    pub agent: String,
    /// Its start.
    pub start_unix_ns: Option<u64>,
    /// What it took.
    pub duration_ns: Option<u64>,
    /// Whether it succeeded.
    pub status: Status,
    /// The error text.
    pub error: Option<String>,
    /// Whether it never ended.
    pub open: bool,
    /// Text attributes.
    pub attributes: Vec<(String, String)>,
}

#[derive(Default)]
struct Interner {
    texts: Vec<String>,
    indexes: HashMap<String, u32>,
}

impl Interner {
    fn index(&mut self, text: &str) -> u32 {
        *self.indexes.entry(text.to_owned()).or_insert_with(|| {
            self.texts.push(text.to_owned());
            self.texts.len() as u32 - 1
        })
    }

    fn optional(&mut self, text: Option<&str>) -> u32 {
        text.filter(|text| !text.is_empty()).map_or(0, |text| self.index(text))
    }
}

#[derive(Default)]
struct Builder {
    strings: Interner,
    cells: Cells,
    spans: u32,
}

/// A batch of these traces. Columns that tests have no fields for (resources, events, links) are empty, ids are derived from
/// the first bytes of their text.
#[must_use]
pub fn batch(traces: &[TestTrace]) -> Batch {
    let mut builder = Builder::default();
    // The absent string; a text that is present and empty gets an index of its own.
    builder.strings.texts.push(String::new());
    for trace in traces {
        builder.trace(trace);
        for span in &trace.spans {
            builder.span(trace, span);
        }
    }
    let columns = Columns::filled(traces.len() as u32, builder.spans, builder.cells);
    let mut batch = Batch::filled(columns, Strings::filled(&builder.strings.texts));
    batch.documents = traces.iter().map(|trace| trace.json.clone()).collect();
    batch.requests = traces.iter().map(|trace| trace.otlp.clone()).collect();
    batch
}

impl Builder {
    fn trace(&mut self, trace: &TestTrace) {
        let (strings, cells, spans) = (&mut self.strings, &mut self.cells, &trace.spans);
        let failed = spans.iter().filter(|span| span.status == Status::Error).count() as u32;
        let agents: BTreeSet<&str> = spans.iter().map(|span| &*span.agent).filter(|name| !name.is_empty()).collect();
        let start = spans.iter().filter_map(|span| span.start_unix_ns).min();
        let end = spans.iter().filter_map(|span| span.start_unix_ns?.checked_add(span.duration_ns?)).max();
        let root = spans.iter().position(|span| span.parent.is_none());
        let root_span = root.map(|at| &spans[at]);
        let orphaned = spans.iter().any(|span| span.parent.as_ref().is_some_and(|id| spans.iter().all(|other| other.id != *id)));
        let bits = [failed > 0, trace.incomplete, root.is_none(), trace.part > 0, orphaned, start.is_none() || end.is_none()];
        let flags = (0..).zip(bits).map(|(bit, set)| u32::from(set) << bit).sum();

        push_all(&mut cells.trace_ids, &id_bytes::<16>(&trace.id));
        push(&mut cells.trace_id_texts, strings.index(&trace.id));
        push(&mut cells.trace_base_times_ms, start.map_or(0, |ns| (ns / 1_000_000) as i64));
        push(&mut cells.trace_durations_ns, start.zip(end).map_or(0, |(start, end)| end.saturating_sub(start)));
        push(&mut cells.trace_first_spans, self.spans);
        push(&mut cells.trace_span_counts, spans.len() as u32);
        push(&mut cells.trace_failed_counts, failed);
        push(&mut cells.trace_agent_counts, agents.len() as u32);
        push(&mut cells.trace_roots, root.map_or(0, |at| self.spans + at as u32 + 1));
        push(&mut cells.trace_root_names, strings.optional(root_span.map(|span| &*span.name)));
        push(&mut cells.trace_root_agents, strings.optional(root_span.map(|span| &*span.agent)));
        push(&mut cells.trace_parts, trace.part);
        push(&mut cells.trace_flags, flags);
    }

    fn span(&mut self, trace: &TestTrace, span: &TestSpan) {
        let (strings, cells) = (&mut self.strings, &mut self.cells);
        let first = self.spans - trace.spans.iter().position(|other| std::ptr::eq(other, span)).unwrap_or(0) as u32;
        let base_ms = trace.spans.iter().filter_map(|span| span.start_unix_ns).min().unwrap_or(0) / 1_000_000;
        let parent = span.parent.as_ref().and_then(|id| trace.spans.iter().position(|other| other.id == *id));
        let bits = [span.start_unix_ns.is_none(), span.duration_ns.is_none(), span.open];
        let flags = (0..).zip(bits).map(|(bit, set)| u32::from(set) << bit).sum();

        push_all(&mut cells.span_ids, &id_bytes::<8>(&span.id));
        push(&mut cells.span_id_texts, strings.index(&span.id));
        push(&mut cells.span_parents, parent.map_or(0, |at| first + at as u32 + 1));
        push(&mut cells.span_parent_texts, strings.optional(span.parent.as_deref()));
        push(&mut cells.span_names, strings.optional(Some(&span.name)));
        push(&mut cells.span_agents, strings.optional(Some(&span.agent)));
        push(&mut cells.span_statuses, span.status as u8);
        push(&mut cells.span_errors, span.error.as_deref().map_or(0, |text| strings.index(text)));
        push(&mut cells.span_start_offsets_ns, span.start_unix_ns.map_or(0, |ns| ns - base_ms * 1_000_000));
        push(&mut cells.span_durations_ns, span.duration_ns.unwrap_or(0));
        push(&mut cells.span_flags, flags);
        let mut attributes = span.attributes.clone();
        attributes.sort();
        for (key, value) in &attributes {
            push(&mut cells.attribute_keys, strings.index(key));
            push(&mut cells.attribute_values, strings.index(value));
            push(&mut cells.attribute_types, 0);
        }
        let end = cells.attribute_keys.get().map_or(0, Vec::len) as u32;
        push(&mut cells.attribute_ends, end);
        self.spans += 1;
    }
}

/// What the host answers for `attributes.column`, from the other columns.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn attribute_column(batch: &Batch, key: &str) -> Vec<u32> {
    let value_index = |row| {
        let columns = batch.columns();
        let run = crate::columns::run(columns.attribute_ends(), row, columns.attribute_keys().len());
        let found = run.into_iter().find(|at| batch.text(columns.attribute_keys()[*at as usize]) == key);
        found.map_or(0, |at| columns.attribute_values()[at as usize])
    };
    (0..batch.columns().span_count()).map(value_index).collect()
}

fn push<T>(column: &mut std::cell::OnceCell<Vec<T>>, value: T) {
    column.get_or_init(Vec::new);
    if let Some(column) = column.get_mut() {
        column.push(value);
    }
}

fn push_all(column: &mut std::cell::OnceCell<Vec<u8>>, bytes: &[u8]) {
    for byte in bytes {
        push(column, *byte);
    }
}

fn id_bytes<const N: usize>(id: &str) -> [u8; N] {
    std::array::from_fn(|at| id.as_bytes().get(at).copied().unwrap_or(1))
}

/// All spans of a batch, trace by trace.
pub fn spans(batch: &Batch) -> impl Iterator<Item = Span<'_>> {
    batch.traces().flat_map(|trace| trace.spans())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;
    use std::time::Duration;

    const START: u64 = 1_795_221_702_944_652_801;

    fn sample() -> Batch {
        let root = TestSpan {
            id: "root".into(),
            name: "tool:a".into(),
            agent: "one".into(),
            start_unix_ns: Some(START),
            duration_ns: Some(300_000_001),
            status: Status::Ok,
            ..TestSpan::default()
        };
        let child = TestSpan {
            id: "child".into(),
            parent: Some("root".into()),
            name: "tool:b".into(),
            agent: "two".into(),
            start_unix_ns: Some(START + 1),
            status: Status::Error,
            error: Some(String::new()),
            open: true,
            attributes: vec![("z".into(), "1".into()), ("capability".into(), "weather".into())],
            ..TestSpan::default()
        };
        batch(&[
            TestTrace {
                id: "first".into(),
                spans: vec![TestSpan::default()],
                ..TestTrace::default()
            },
            TestTrace {
                id: "t".into(),
                spans: vec![root, child],
                part: 2,
                ..TestTrace::default()
            },
        ])
    }

    #[test]
    fn rows_read_what_the_columns_say() {
        let batch = sample();
        let trace = batch.trace(1).unwrap();
        let spans: Vec<Span> = trace.spans().collect();
        assert_eq!((trace.id_text(), trace.part(), trace.span_count(), trace.agent_count()), ("t", 2, 2, 2));
        assert!(trace.is_failed() && trace.is_late() && !trace.is_rootless() && !trace.is_incomplete());
        assert_eq!((trace.start_unix_ns(), trace.duration_ns()), (Some(START), Some(300_000_001)));
        assert_eq!(trace.root().unwrap().name(), "tool:a");
        assert_eq!(spans[0].duration(), Some(Duration::from_nanos(300_000_001)));
        assert_eq!(spans[1].start_unix_ns(), Some(START + 1), "nanoseconds survive");
        assert_eq!((spans[1].duration(), spans[1].end(), spans[1].error()), (None, None, Some("")));
        assert_eq!(spans[1].parent().unwrap().id_text(), "root");
        assert!(spans[1].is_open() && spans[1].is_failed());
    }

    #[test]
    fn attributes_are_found_by_key_and_in_order() {
        let batch = sample();
        let child = spans(&batch).last().unwrap();
        assert_eq!(child.attribute("capability"), Some("weather"));
        assert_eq!((child.attribute("none"), child.attribute_value("z")), (None, Some(Value::Text("1"))));
        assert_eq!(child.attributes().map(|(key, _)| key).collect::<Vec<_>>(), ["capability", "z"]);
        assert_eq!(batch.trace(0).unwrap().spans().next().unwrap().attribute("capability"), None);
    }

    #[test]
    fn missing_columns_and_rows_read_as_absent() {
        let batch = Batch::default();
        assert!(batch.is_empty() && batch.trace(0).is_none() && batch.text(7).is_empty());
        let stray = Span { batch: &batch, trace: 3, row: 9 };
        assert_eq!((stray.name(), stray.id(), stray.start()), ("", [0; 8], None));
        assert_eq!((stray.attributes().count(), stray.events().count(), stray.links().count()), (0, 0, 0));
        assert_eq!(stray.trace().spans().count(), 0);
    }
}
