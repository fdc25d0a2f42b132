//! Columns from traces made for tests.

use std::collections::{BTreeSet, HashMap};

use super::{TestResource, TestSpan, TestTrace};
use crate::columns::Cells;
use crate::strings::Strings;
use crate::{Batch, Columns, OwnedValue, Status};

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
struct Builder<'a> {
    strings: Interner,
    cells: Cells,
    spans: u32,
    /// Those of each resource row: a span that has the same belongs to it.
    resources: Vec<(&'a str, &'a TestResource)>,
}

/// The batch that `traces` make.
pub(super) fn build(traces: &[TestTrace]) -> Batch {
    finished(traces, built(traces))
}

/// The same, with a last attribute value that is none of its strings.
pub(super) fn build_damaged(traces: &[TestTrace]) -> Batch {
    let mut builder = built(traces);
    if let Some(last) = builder.cells.attribute_values.get_mut().and_then(|values| values.last_mut()) {
        *last = u32::MAX;
    }
    finished(traces, builder)
}

fn built(traces: &[TestTrace]) -> Builder<'_> {
    let mut builder = Builder::default();
    // The absent string; a text that is present and empty gets an index of its own.
    builder.strings.texts.push(String::new());
    for trace in traces {
        builder.trace(trace);
        for span in &trace.spans {
            builder.span(trace, span);
        }
    }
    builder
}

fn finished(traces: &[TestTrace], builder: Builder) -> Batch {
    let columns = Columns::filled(traces.len() as u32, builder.spans, builder.cells);
    let mut batch = Batch::filled(columns, Strings::filled(&builder.strings.texts));
    batch.documents = traces.iter().map(|trace| trace.json.clone()).collect();
    batch.requests = traces.iter().map(|trace| trace.otlp.clone()).collect();
    batch
}

impl<'a> Builder<'a> {
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

    fn span(&mut self, trace: &TestTrace, span: &'a TestSpan) {
        let resource = self.resource(span);
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
        push(&mut cells.span_resources, resource);
        push(&mut cells.span_kinds, span.kind as u8);
        push(&mut cells.span_statuses, span.status as u8);
        push(&mut cells.span_errors, span.error.as_deref().map_or(0, |text| strings.index(text)));
        push(&mut cells.span_start_offsets_ns, span.start_unix_ns.map_or(0, |ns| ns - base_ms * 1_000_000));
        push(&mut cells.span_durations_ns, span.duration_ns.unwrap_or(0));
        push(&mut cells.span_flags, flags);
        for (key, text, kind) in sorted(&span.attributes) {
            push(&mut cells.attribute_keys, strings.index(key));
            push(&mut cells.attribute_values, strings.index(&text));
            push(&mut cells.attribute_types, kind);
        }
        let end = cells.attribute_keys.get().map_or(0, Vec::len) as u32;
        push(&mut cells.attribute_ends, end);
        self.spans += 1;
    }

    /// The resource row of a span, made when there is none like it.
    fn resource(&mut self, span: &'a TestSpan) -> u32 {
        let wanted = (&*span.agent, &span.resource);
        if let Some(row) = self.resources.iter().position(|known| *known == wanted) {
            return row as u32;
        }
        self.resources.push(wanted);
        let (strings, cells, resource) = (&mut self.strings, &mut self.cells, &span.resource);
        push(&mut cells.resource_names, strings.optional(Some(&span.agent)));
        push(&mut cells.resource_ids, strings.optional(Some(&resource.id)));
        push(&mut cells.resource_addresses, strings.optional(Some(&resource.address)));
        push(&mut cells.resource_runtimes, strings.optional(Some(&resource.runtime)));
        for (key, text, kind) in sorted(&resource.attributes) {
            push(&mut cells.resource_keys, strings.index(key));
            push(&mut cells.resource_values, strings.index(&text));
            push(&mut cells.resource_types, kind);
        }
        let end = cells.resource_keys.get().map_or(0, Vec::len) as u32;
        push(&mut cells.resource_ends, end);
        self.resources.len() as u32 - 1
    }
}

/// Attributes with keys in byte order, values as text and type.
fn sorted(attributes: &[(String, OwnedValue)]) -> Vec<(&str, String, u8)> {
    let text = |value: &OwnedValue| match value {
        OwnedValue::Text(text) => (text.clone(), 0),
        OwnedValue::Boolean(value) => (value.to_string(), 1),
        OwnedValue::Integer(value) => (value.to_string(), 2),
        OwnedValue::Double(value) => (value.to_string(), 3),
        OwnedValue::Json(text) => (text.clone(), 4),
    };
    let mut sorted: Vec<(&str, String, u8)> = Vec::with_capacity(attributes.len());
    for (key, value) in attributes {
        let (text, kind) = text(value);
        sorted.push((key, text, kind));
    }
    sorted.sort_by_key(|(key, ..)| *key);
    sorted
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
