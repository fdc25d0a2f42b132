//! A batch turned on its side: one list per property, as plugins read it. What each column means is written in `wit/batch.wit`.

use std::collections::HashMap;
use std::sync::Arc;

use ahash::RandomState;

use super::Strings;
use super::strings::StringsBuilder;
use crate::model::{Attributes, Kind, Resource, Span, SpanState, Status, Trace, UnixNanos};

/// All columns of a batch.
#[derive(Debug, Default)]
pub struct Columns {
    /// One row per trace.
    pub traces: TraceColumns,
    /// One row per span.
    pub spans: SpanColumns,
    /// One row per distinct resource.
    pub resources: ResourceColumns,
    /// Runs of attributes, one run per span.
    pub attributes: AttributeColumns,
    /// The texts that the others point to.
    pub strings: Strings,
}

macro_rules! columns {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Default, PartialEq)]
        #[expect(missing_docs, reason = "each column is described where plugins read it, in wit/batch.wit")]
        pub struct $name { $(pub $field: Vec<$type>),* }
    };
}

columns!(
    /// The interface `traces`.
    TraceColumns {
        ids: u8, id_texts: u32, base_times_ms: i64, durations_ns: u64, first_spans: u32, span_counts: u32, failed_counts: u32,
        agent_counts: u32, roots: u32, root_names: u32, root_agents: u32, parts: u32, flags: u32,
    }
);
columns!(
    /// The interface `spans`.
    SpanColumns {
        ids: u8, id_texts: u32, parents: u32, parent_texts: u32, names: u32, agents: u32, resources: u32, kinds: u8, statuses: u8,
        errors: u32, start_offsets_ns: u64, durations_ns: u64, flags: u32, scopes: u32,
    }
);
columns!(
    /// The interface `resources`.
    ResourceColumns { names: u32, ids: u32, addresses: u32, runtimes: u32, ends: u32, keys: u32, values: u32, types: u8 }
);
columns!(
    /// The interface `attributes`.
    AttributeColumns { ends: u32, keys: u32, values: u32, types: u8 }
);

/// Room for so many strings of each span: its id, and what is its own of its attributes.
const STRINGS_PER_SPAN: usize = 4;

const FAILED: u32 = 1;
const INCOMPLETE: u32 = 2;
const ROOTLESS: u32 = 4;
const LATE: u32 = 8;
const ORPHANED: u32 = 16;
const TRACE_DURATION_UNKNOWN: u32 = 32;

const START_UNKNOWN: u32 = 1;
const DURATION_UNKNOWN: u32 = 2;
const OPEN: u32 = 4;

impl Columns {
    /// The columns of these traces.
    pub fn build(traces: &[Arc<Trace>]) -> Columns {
        let spans: usize = traces.iter().map(|trace| trace.spans.len()).sum();
        let mut strings = StringsBuilder::with_capacity(STRINGS_PER_SPAN * spans);
        let facts: Vec<Facts> = traces.iter().map(|trace| Facts::of(trace)).collect();
        let mut columns = Columns {
            traces: TraceColumns::build(traces, &facts, &mut strings),
            ..Columns::default()
        };
        strings.end_section(0);
        let mut resources = Rows::default();
        for ((trace, facts), first) in traces.iter().zip(&facts).zip(columns.traces.first_spans.clone()) {
            for (at, span) in trace.spans.iter().enumerate() {
                let row = resources.row(&span.resource);
                let parent = facts.parents[at].map_or(0, |parent| first + parent as u32 + 1);
                columns.spans.push(span, facts.base_ms, row, parent, &mut strings);
            }
        }
        for resource in &resources.in_order {
            columns.resources.push(resource, &mut strings);
        }
        strings.end_section(1);
        for span in traces.iter().flat_map(|trace| &trace.spans) {
            let AttributeColumns { ends, keys, values, types } = &mut columns.attributes;
            push_attributes(&span.attributes, keys, values, types, &mut strings);
            ends.push(keys.len() as u32);
        }
        strings.end_section(2);
        columns.strings = strings.finish();
        columns
    }

    /// For each span the string index of its attribute `key`, 0 where it has none.
    pub fn attribute_column(&self, key: &str) -> Vec<u32> {
        let wanted = self.attributes.keys.iter().copied().find(|index| self.strings.get(*index as usize) == key);
        let AttributeColumns { ends, keys, values, .. } = &self.attributes;
        let mut start = 0;
        let mut column = Vec::with_capacity(ends.len());
        for end in ends {
            let run = start..*end as usize;
            start = run.end;
            let at = wanted.and_then(|wanted| keys[run.clone()].iter().position(|own| *own == wanted));
            column.push(at.map_or(0, |at| values[run.start + at]));
        }
        column
    }
}

/// What is worked out once per trace.
struct Facts {
    base_ms: u64,
    parents: Vec<Option<usize>>,
    root: Option<usize>,
}

impl Facts {
    fn of(trace: &Trace) -> Facts {
        Facts {
            base_ms: trace.start().map_or(0, UnixNanos::get) / 1_000_000,
            parents: trace.parents(),
            root: trace.root(),
        }
    }
}

impl TraceColumns {
    /// The columns of the traces alone: the same as those beside all others, indexes of texts included.
    pub fn alone(traces: &[Arc<Trace>]) -> TraceColumns {
        let facts: Vec<Facts> = traces.iter().map(|trace| Facts::of(trace)).collect();
        TraceColumns::build(traces, &facts, &mut StringsBuilder::with_capacity(2 * traces.len()))
    }

    fn build(traces: &[Arc<Trace>], facts: &[Facts], strings: &mut StringsBuilder) -> TraceColumns {
        let (mut columns, mut first) = (TraceColumns::default(), 0);
        for (trace, facts) in traces.iter().zip(facts) {
            columns.push(trace, facts, first, strings);
            first += trace.spans.len() as u32;
        }
        columns
    }

    fn push(&mut self, trace: &Trace, facts: &Facts, first: u32, strings: &mut StringsBuilder) {
        self.ids.extend_from_slice(&trace.id.to_bytes());
        self.id_texts.push(strings.present(trace.id.text(&mut [0; 32])));
        self.base_times_ms.push(facts.base_ms as i64);
        self.durations_ns.push(trace.duration_nanos().unwrap_or(0));
        self.first_spans.push(first);
        self.span_counts.push(trace.spans.len() as u32);
        self.failed_counts.push(trace.failed_spans() as u32);
        self.agent_counts.push(trace.agents().len() as u32);
        let root = facts.root.map(|at| (at, &trace.spans[at]));
        self.roots.push(root.map_or(0, |(at, _)| first + at as u32 + 1));
        self.root_names.push(root.map_or(0, |(_, span)| strings.text(&span.name)));
        self.root_agents.push(root.map_or(0, |(_, span)| strings.text(&span.resource.name)));
        self.parts.push(trace.part);
        let orphaned = trace
            .spans
            .iter()
            .zip(&facts.parents)
            .any(|(span, parent)| parent.is_none() && span.parent.as_ref().is_some_and(|id| *id != span.id));
        let bits = [
            (!trace.success(), FAILED),
            (!trace.complete(), INCOMPLETE),
            (trace.spans.iter().all(|span| span.parent.is_some()), ROOTLESS),
            (trace.part > 0, LATE),
            (orphaned, ORPHANED),
            (trace.duration_nanos().is_none(), TRACE_DURATION_UNKNOWN),
        ];
        self.flags.push(bits.iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum());
    }
}

impl SpanColumns {
    fn push(&mut self, span: &Span, base_ms: u64, resource: u32, parent: u32, strings: &mut StringsBuilder) {
        self.ids.extend_from_slice(&span.id.to_bytes());
        self.id_texts.push(strings.present(span.id.text(&mut [0; 16])));
        self.parents.push(parent);
        self.parent_texts.push(span.parent.as_ref().map_or(0, |id| strings.present(id.text(&mut [0; 16]))));
        self.names.push(strings.text(&span.name));
        self.agents.push(strings.text(&span.resource.name));
        self.resources.push(resource);
        self.kinds.push(kind_code(span.kind));
        self.statuses.push(match span.status {
            Status::Unset => 0,
            Status::Ok => 1,
            Status::Error => 2,
        });
        self.errors.push(strings.text(&span.error));
        self.start_offsets_ns.push(span.start.map_or(0, |start| start.get().saturating_sub(base_ms * 1_000_000)));
        self.durations_ns.push(span.duration().map_or(0, |duration| duration.nanos()));
        let bits =
            [(span.start.is_none(), START_UNKNOWN), (span.duration().is_none(), DURATION_UNKNOWN), (span.state == SpanState::Open, OPEN)];
        self.flags.push(bits.iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum());
        self.scopes.push(0);
    }
}

fn kind_code(kind: Kind) -> u8 {
    match kind {
        Kind::Unspecified => 0,
        Kind::Internal => 1,
        Kind::Server => 2,
        Kind::Client => 3,
        Kind::Producer => 4,
        Kind::Consumer => 5,
    }
}

impl ResourceColumns {
    fn push(&mut self, resource: &Resource, strings: &mut StringsBuilder) {
        self.names.push(strings.text(&resource.name));
        self.ids.push(strings.text(&resource.id));
        self.addresses.push(strings.text(&resource.address));
        self.runtimes.push(strings.text(&resource.runtime));
        push_attributes(&resource.attributes, &mut self.keys, &mut self.values, &mut self.types, strings);
        self.ends.push(self.keys.len() as u32);
    }
}

fn push_attributes(attributes: &Attributes, keys: &mut Vec<u32>, values: &mut Vec<u32>, types: &mut Vec<u8>, strings: &mut StringsBuilder) {
    for attribute in attributes {
        keys.push(strings.key(attribute.key));
        values.push(strings.present(&attribute.value.text()));
        types.push(attribute.value.type_code());
    }
}

/// Distinct resources, in order of first appearance. Most are the very same allocation; equal ones of different allocations are found by
/// comparing with those of the same name.
#[derive(Default)]
struct Rows<'a> {
    by_address: HashMap<*const Resource, u32, RandomState>,
    by_name: HashMap<(&'a str, &'a str), Vec<u32>, RandomState>,
    in_order: Vec<&'a Resource>,
}

impl<'a> Rows<'a> {
    fn row(&mut self, resource: &'a Arc<Resource>) -> u32 {
        if let Some(row) = self.by_address.get(&Arc::as_ptr(resource)) {
            return *row;
        }
        let alike = self.by_name.entry((resource.name.as_str(), resource.id.as_str())).or_default();
        let row = match alike.iter().find(|row| *self.in_order[**row as usize] == **resource) {
            Some(row) => *row,
            None => {
                let row = self.in_order.len() as u32;
                self.in_order.push(resource);
                alike.push(row);
                row
            }
        };
        self.by_address.insert(Arc::as_ptr(resource), row);
        row
    }
}
