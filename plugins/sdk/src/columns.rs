//! The columns of a batch, each fetched from the host when it is first asked for.

use std::cell::OnceCell;

#[cfg(target_family = "wasm")]
use crate::glue::exporter::meshtrace::plugin::{attributes, events, links, resources, spans, traces};

/// Whole columns of the current batch, one element per row, for who would rather run over a column than over rows.
/// [`Batch::text`](crate::Batch::text) turns string indexes into text; index 0 is the absent string.
#[derive(Default)]
pub struct Columns {
    trace_count: OnceCell<u32>,
    span_count: OnceCell<u32>,
    cells: Cells,
}

macro_rules! columns {
    ($( $(#[$doc:meta])* $name:ident: $element:ty = $interface:ident.$getter:ident; )*) => {
        /// One cell per column, filled by the getters or, natively, by a test.
        #[derive(Default)]
        pub(crate) struct Cells {
            $( pub(crate) $name: OnceCell<Vec<$element>>, )*
        }

        impl Columns {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $name(&self) -> &[$element] {
                    self.cells.$name.get_or_init(|| {
                        #[cfg(target_family = "wasm")]
                        { $interface::$getter() }
                        #[cfg(not(target_family = "wasm"))]
                        { Vec::new() }
                    })
                }
            )*
        }
    };
}

columns! {
    /// Trace ids, 16 bytes per row.
    trace_ids: u8 = traces.ids;
    /// String index of each trace's id as it came.
    trace_id_texts: u32 = traces.id_texts;
    /// Unix milliseconds of each trace's earliest known start; 0 = none is known.
    trace_base_times_ms: i64 = traces.base_times_ms;
    /// Nanoseconds from each trace's earliest start to its latest end; 0 = unknown or none.
    trace_durations_ns: u64 = traces.durations_ns;
    /// Span row of each trace's first span.
    trace_first_spans: u32 = traces.first_spans;
    /// Number of spans of each trace.
    trace_span_counts: u32 = traces.span_counts;
    /// Number of failed spans of each trace.
    trace_failed_counts: u32 = traces.failed_counts;
    /// Number of distinct agent names of each trace.
    trace_agent_counts: u32 = traces.agent_counts;
    /// Span row + 1 of each trace's root; 0 = none.
    trace_roots: u32 = traces.roots;
    /// String index of each root's operation.
    trace_root_names: u32 = traces.root_names;
    /// String index of each root's agent name.
    trace_root_agents: u32 = traces.root_agents;
    /// 0 for a trace, 1, 2 … for its late parts.
    trace_parts: u32 = traces.parts;
    /// Bits: 1 failed, 2 incomplete, 4 rootless, 8 late, 16 orphaned.
    trace_flags: u32 = traces.flag_bits;

    /// Span ids, 8 bytes per row.
    span_ids: u8 = spans.ids;
    /// String index of each span's id as it came.
    span_id_texts: u32 = spans.id_texts;
    /// Span row + 1 of each span's parent; 0 = a root, or the parent is not here.
    span_parents: u32 = spans.parents;
    /// String index of each parent's id as it came; 0 = the span is a root.
    span_parent_texts: u32 = spans.parent_texts;
    /// String index of each span's operation.
    span_names: u32 = spans.names;
    /// String index of each span's agent name.
    span_agents: u32 = spans.agents;
    /// Row of each span's agent among the resources.
    span_resources: u32 = spans.resources;
    /// Kinds as OpenTelemetry numbers them.
    span_kinds: u8 = spans.kinds;
    /// 0 unset, 1 ok, 2 error.
    span_statuses: u8 = spans.statuses;
    /// String index of each span's error text.
    span_errors: u32 = spans.errors;
    /// Nanoseconds from the trace's base time to each span's start.
    span_start_offsets_ns: u64 = spans.start_offsets_ns;
    /// Nanoseconds each span took.
    span_durations_ns: u64 = spans.durations_ns;
    /// Bits: 1 start unknown, 2 duration unknown, 4 open.
    span_flags: u32 = spans.flag_bits;
    /// String index of each span's instrumentation scope.
    span_scopes: u32 = spans.scopes;

    /// String index of each agent's name.
    resource_names: u32 = resources.names;
    /// String index of each agent's id.
    resource_ids: u32 = resources.ids;
    /// String index of each agent's IP address.
    resource_addresses: u32 = resources.addresses;
    /// String index of each agent's runtime.
    resource_runtimes: u32 = resources.runtimes;
    /// End of each agent's run of attributes.
    resource_ends: u32 = resources.ends;
    /// String index of each agent attribute's key.
    resource_keys: u32 = resources.keys;
    /// String index of each agent attribute's value as text.
    resource_values: u32 = resources.values;
    /// Type of each agent attribute.
    resource_types: u8 = resources.types;

    /// End of each span's run of attributes.
    attribute_ends: u32 = attributes.ends;
    /// String index of each attribute's key.
    attribute_keys: u32 = attributes.keys;
    /// String index of each attribute's value as text.
    attribute_values: u32 = attributes.values;
    /// 0 text, 1 bool, 2 integer, 3 double, 4 JSON.
    attribute_types: u8 = attributes.types;

    /// End of each span's run of events.
    event_ends: u32 = events.ends;
    /// String index of each event's name.
    event_names: u32 = events.names;
    /// Nanoseconds from the trace's base time to each event.
    event_offsets_ns: u64 = events.offsets_ns;
    /// String index of each event's attributes as a JSON object.
    event_attributes: u32 = events.attributes;

    /// End of each span's run of links.
    link_ends: u32 = links.ends;
    /// Trace ids of the links, 16 bytes each.
    link_trace_ids: u8 = links.trace_ids;
    /// Span ids of the links, 8 bytes each.
    link_span_ids: u8 = links.span_ids;
    /// String index of each link's attributes as a JSON object.
    link_attributes: u32 = links.attributes;
}

impl Columns {
    /// Columns that are there already, for tests.
    pub(crate) fn filled(trace_count: u32, span_count: u32, cells: Cells) -> Self {
        Columns {
            trace_count: OnceCell::from(trace_count),
            span_count: OnceCell::from(span_count),
            cells,
        }
    }

    /// Number of trace rows.
    #[must_use]
    pub fn trace_count(&self) -> u32 {
        *self.trace_count.get_or_init(|| {
            #[cfg(target_family = "wasm")]
            return traces::count();
            #[cfg(not(target_family = "wasm"))]
            return 0;
        })
    }

    /// Number of span rows.
    #[must_use]
    pub fn span_count(&self) -> u32 {
        *self.span_count.get_or_init(|| {
            #[cfg(target_family = "wasm")]
            return spans::count();
            #[cfg(not(target_family = "wasm"))]
            return 0;
        })
    }
}

/// The element at `row`, or the type's zero for a row that the column does not have.
pub(crate) fn at<T: Copy + Default>(column: &[T], row: u32) -> T {
    column.get(row as usize).copied().unwrap_or_default()
}

/// `N` bytes of row `row` in a column of fixed-size ids; zeros for a row that the column does not have.
pub(crate) fn id_at<const N: usize>(column: &[u8], row: u32) -> [u8; N] {
    column.as_chunks::<N>().0.get(row as usize).copied().unwrap_or([0; N])
}

/// The run of row `row`, given the end of each run; always a range inside `0..len`.
pub(crate) fn run(ends: &[u32], row: u32, len: usize) -> std::ops::Range<u32> {
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    let begin = if row == 0 { 0 } else { at(ends, row - 1).min(len) };
    begin..at(ends, row).clamp(begin, len)
}
