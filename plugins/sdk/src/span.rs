//! One span of a trace, and the agent that produced it.

use std::time::{Duration, SystemTime};

use crate::columns::{at, id_at, run};
use crate::trace::system_time;
use crate::{Attributes, Batch, Event, Link, Trace, Value};

/// Whether a span succeeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// The agent did not say.
    #[default]
    Unset,
    /// It succeeded.
    Ok,
    /// It failed.
    Error,
}

/// OpenTelemetry's kinds of span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpanKind {
    /// Not said, or a kind this SDK does not know.
    #[default]
    Unspecified,
    /// Inside an agent.
    Internal,
    /// Answers a request.
    Server,
    /// Makes a request.
    Client,
    /// Sends a message.
    Producer,
    /// Takes a message.
    Consumer,
}

/// A span.
#[derive(Clone, Copy)]
pub struct Span<'a> {
    pub(crate) batch: &'a Batch,
    pub(crate) trace: u32,
    pub(crate) row: u32,
}

impl<'a> Span<'a> {
    /// Its row among the spans of the batch.
    #[must_use]
    pub fn row(&self) -> u32 {
        self.row
    }

    /// The trace it belongs to.
    #[must_use]
    pub fn trace(&self) -> Trace<'a> {
        Trace { batch: self.batch, row: self.trace }
    }

    /// The id as OpenTelemetry wants it, never all zero.
    #[must_use]
    pub fn id(&self) -> [u8; 8] {
        id_at(self.batch.columns().span_ids(), self.row)
    }

    /// The id as it came: any text.
    #[must_use]
    pub fn id_text(&self) -> &'a str {
        self.batch.text(at(self.batch.columns().span_id_texts(), self.row))
    }

    /// The parent, if it is in this part of the trace.
    #[must_use]
    pub fn parent(&self) -> Option<Span<'a>> {
        let row = at(self.batch.columns().span_parents(), self.row).checked_sub(1)?;
        Some(Span { row, ..*self })
    }

    /// The parent's id as it came; `None` for a root. The parent itself may be missing.
    #[must_use]
    pub fn parent_id_text(&self) -> Option<&'a str> {
        self.batch.optional_text(at(self.batch.columns().span_parent_texts(), self.row))
    }

    /// The operation; `""` when absent.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.batch.text(at(self.batch.columns().span_names(), self.row))
    }

    /// The agent's name; `""` when absent.
    #[must_use]
    pub fn agent(&self) -> &'a str {
        self.batch.text(at(self.batch.columns().span_agents(), self.row))
    }

    /// The agent process that produced the span.
    #[must_use]
    pub fn resource(&self) -> Resource<'a> {
        Resource {
            batch: self.batch,
            row: at(self.batch.columns().span_resources(), self.row),
        }
    }

    /// What kind of span it is.
    #[must_use]
    pub fn kind(&self) -> SpanKind {
        match at(self.batch.columns().span_kinds(), self.row) {
            1 => SpanKind::Internal,
            2 => SpanKind::Server,
            3 => SpanKind::Client,
            4 => SpanKind::Producer,
            5 => SpanKind::Consumer,
            _ => SpanKind::Unspecified,
        }
    }

    /// Whether it succeeded.
    #[must_use]
    pub fn status(&self) -> Status {
        match at(self.batch.columns().span_statuses(), self.row) {
            1 => Status::Ok,
            2 => Status::Error,
            _ => Status::Unset,
        }
    }

    /// Whether it failed.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.status() == Status::Error
    }

    /// The error text. A failed span may have none.
    #[must_use]
    pub fn error(&self) -> Option<&'a str> {
        self.batch.optional_text(at(self.batch.columns().span_errors(), self.row))
    }

    /// Unix nanoseconds of its start, if known.
    #[must_use]
    pub fn start_unix_ns(&self) -> Option<u64> {
        if self.flag(1) {
            return None;
        }
        self.since_base(at(self.batch.columns().span_start_offsets_ns(), self.row))
    }

    /// Its start, if known.
    #[must_use]
    pub fn start(&self) -> Option<SystemTime> {
        self.start_unix_ns().map(system_time)
    }

    /// Nanoseconds it took, if known.
    #[must_use]
    pub fn duration_ns(&self) -> Option<u64> {
        (!self.flag(2)).then(|| at(self.batch.columns().span_durations_ns(), self.row))
    }

    /// What it took, if known.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        self.duration_ns().map(Duration::from_nanos)
    }

    /// Unix nanoseconds of its end, if start and duration are known.
    #[must_use]
    pub fn end_unix_ns(&self) -> Option<u64> {
        self.start_unix_ns()?.checked_add(self.duration_ns()?)
    }

    /// Its end, if start and duration are known.
    #[must_use]
    pub fn end(&self) -> Option<SystemTime> {
        self.end_unix_ns().map(system_time)
    }

    /// Whether it began and was never seen to end.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.flag(4)
    }

    /// The instrumentation scope's name.
    #[must_use]
    pub fn scope(&self) -> Option<&'a str> {
        self.batch.optional_text(at(self.batch.columns().span_scopes(), self.row))
    }

    /// One attribute's value as text. The cheap way to a few known keys: fetches one column per key.
    #[must_use]
    pub fn attribute(&self, key: &str) -> Option<&'a str> {
        self.batch.optional_text(self.batch.attribute_index(self.row, key))
    }

    /// One attribute's value with its type. Fetches all attributes of the batch.
    #[must_use]
    pub fn attribute_value(&self, key: &str) -> Option<Value<'a>> {
        self.attributes().find(|(known, _)| *known == key).map(|(_, value)| value)
    }

    /// All attributes, keys in byte order.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        let columns = self.batch.columns();
        let keys = columns.attribute_keys();
        Attributes {
            batch: self.batch,
            run: run(columns.attribute_ends(), self.row, keys.len()),
            keys,
            values: columns.attribute_values(),
            types: columns.attribute_types(),
        }
    }

    /// Its events.
    pub fn events(&self) -> impl Iterator<Item = Event<'a>> + use<'a> {
        let (span, columns) = (*self, self.batch.columns());
        run(columns.event_ends(), self.row, columns.event_names().len()).map(move |row| Event { span, row })
    }

    /// Its links.
    pub fn links(&self) -> impl Iterator<Item = Link<'a>> + use<'a> {
        let (batch, columns) = (self.batch, self.batch.columns());
        run(columns.link_ends(), self.row, columns.link_attributes().len()).map(move |row| Link { batch, row })
    }

    /// Unix nanoseconds of a moment so long after the trace's base time. Without a base time nothing of it is known.
    pub(crate) fn since_base(&self, offset_ns: u64) -> Option<u64> {
        let base_ms = at(self.batch.columns().trace_base_times_ms(), self.trace);
        u64::try_from(base_ms).ok().filter(|ms| *ms != 0)?.checked_mul(1_000_000)?.checked_add(offset_ns)
    }

    fn flag(&self, bit: u32) -> bool {
        at(self.batch.columns().span_flags(), self.row) & bit != 0
    }
}

/// The agent process that produced spans.
#[derive(Clone, Copy)]
pub struct Resource<'a> {
    batch: &'a Batch,
    row: u32,
}

impl<'a> Resource<'a> {
    /// Its row: equal for two spans of one batch that came from one agent process.
    #[must_use]
    pub fn row(&self) -> u32 {
        self.row
    }

    /// The agent's name.
    #[must_use]
    pub fn name(&self) -> Option<&'a str> {
        self.batch.optional_text(at(self.batch.columns().resource_names(), self.row))
    }

    /// The agent's id.
    #[must_use]
    pub fn id(&self) -> Option<&'a str> {
        self.batch.optional_text(at(self.batch.columns().resource_ids(), self.row))
    }

    /// The agent's IP address.
    #[must_use]
    pub fn address(&self) -> Option<&'a str> {
        self.batch.optional_text(at(self.batch.columns().resource_addresses(), self.row))
    }

    /// What the agent runs on: `python`, `typescript`, `java` ….
    #[must_use]
    pub fn runtime(&self) -> Option<&'a str> {
        self.batch.optional_text(at(self.batch.columns().resource_runtimes(), self.row))
    }

    /// What else is known of the agent.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        let columns = self.batch.columns();
        let keys = columns.resource_keys();
        Attributes {
            batch: self.batch,
            run: run(columns.resource_ends(), self.row, keys.len()),
            keys,
            values: columns.resource_values(),
            types: columns.resource_types(),
        }
    }
}
