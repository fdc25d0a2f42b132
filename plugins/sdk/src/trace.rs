//! One trace of a batch.

use std::time::{Duration, SystemTime};

use crate::columns::{at, id_at};
use crate::{Batch, Span};

/// A trace, or a late part of one: spans that came after their trace had been decided.
#[derive(Clone, Copy)]
pub struct Trace<'a> {
    pub(crate) batch: &'a Batch,
    pub(crate) row: u32,
}

impl<'a> Trace<'a> {
    /// Its row in the batch, for answers about this trace.
    #[must_use]
    pub fn row(&self) -> u32 {
        self.row
    }

    /// The id as OpenTelemetry wants it, never all zero.
    #[must_use]
    pub fn id(&self) -> [u8; 16] {
        id_at(self.batch.columns().trace_ids(), self.row)
    }

    /// The id as it came: any text. Never build a path or a terminal line from it unescaped.
    #[must_use]
    pub fn id_text(&self) -> &'a str {
        self.batch.text(at(self.batch.columns().trace_id_texts(), self.row))
    }

    /// Unix nanoseconds of the earliest start, if any is known.
    #[must_use]
    pub fn start_unix_ns(&self) -> Option<u64> {
        // Spans are in order of start, unknown ones last: the first span starts first.
        self.spans().next().and_then(|span| span.start_unix_ns())
    }

    /// The earliest start, if any is known.
    #[must_use]
    pub fn start(&self) -> Option<SystemTime> {
        self.start_unix_ns().map(system_time)
    }

    /// Nanoseconds from the earliest start to the latest end, if known.
    #[must_use]
    pub fn duration_ns(&self) -> Option<u64> {
        let known = !self.flag(32);
        known.then(|| at(self.batch.columns().trace_durations_ns(), self.row))
    }

    /// From the earliest start to the latest end, if known.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        self.duration_ns().map(Duration::from_nanos)
    }

    /// The spans, in order of start time, those with unknown starts last.
    pub fn spans(&self) -> impl ExactSizeIterator<Item = Span<'a>> + use<'a> {
        let (batch, trace, columns) = (self.batch, self.row, self.batch.columns());
        let all = columns.span_count();
        let first = at(columns.trace_first_spans(), trace).min(all);
        let end = first.saturating_add(at(columns.trace_span_counts(), trace)).min(all);
        (first as usize..end as usize).map(move |row| Span { batch, trace, row: row as u32 })
    }

    /// Number of spans.
    #[must_use]
    pub fn span_count(&self) -> u32 {
        at(self.batch.columns().trace_span_counts(), self.row)
    }

    /// Number of failed spans.
    #[must_use]
    pub fn failed_count(&self) -> u32 {
        at(self.batch.columns().trace_failed_counts(), self.row)
    }

    /// Number of distinct agent names.
    #[must_use]
    pub fn agent_count(&self) -> u32 {
        at(self.batch.columns().trace_agent_counts(), self.row)
    }

    /// The root: the earliest span without a parent, else the earliest whose parent is not here.
    #[must_use]
    pub fn root(&self) -> Option<Span<'a>> {
        let row = at(self.batch.columns().trace_roots(), self.row).checked_sub(1)?;
        Some(Span { batch: self.batch, trace: self.row, row })
    }

    /// The root's operation; `""` when absent.
    #[must_use]
    pub fn root_name(&self) -> &'a str {
        self.batch.text(at(self.batch.columns().trace_root_names(), self.row))
    }

    /// The root's agent; `""` when absent.
    #[must_use]
    pub fn root_agent(&self) -> &'a str {
        self.batch.text(at(self.batch.columns().trace_root_agents(), self.row))
    }

    /// 0 for a trace, 1, 2 … for its late parts.
    #[must_use]
    pub fn part(&self) -> u32 {
        at(self.batch.columns().trace_parts(), self.row)
    }

    /// Whether some span failed.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.flag(1)
    }

    /// Whether it was decided before every span had ended.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.flag(2)
    }

    /// Whether every span names a parent.
    #[must_use]
    pub fn is_rootless(&self) -> bool {
        self.flag(4)
    }

    /// Whether it is a late part.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.flag(8)
    }

    /// Whether some span's parent is not here.
    #[must_use]
    pub fn is_orphaned(&self) -> bool {
        self.flag(16)
    }

    /// The trace as one JSON document (UTF-8, no line breaks), made by the host.
    #[must_use]
    pub fn json(&self) -> Vec<u8> {
        self.batch.json(self.row)
    }

    fn flag(&self, bit: u32) -> bool {
        at(self.batch.columns().trace_flags(), self.row) & bit != 0
    }
}

pub(crate) fn system_time(unix_ns: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(unix_ns)
}
