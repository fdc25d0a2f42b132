//! What may be told of a trace before the filters have decided on it: nothing that an agent wrote but its id.

use super::{Trace, TraceId, UnixNanos};

/// A trace's id, times and numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// Its id.
    pub id: TraceId,
    /// The earliest start that is known.
    pub start: Option<UnixNanos>,
    /// The latest end.
    pub end: Option<UnixNanos>,
    /// Nanoseconds between them.
    pub duration_nanos: Option<u64>,
    /// Number of spans.
    pub spans: usize,
    /// Number of spans that failed.
    pub failed_spans: usize,
    /// Number of distinct agent names.
    pub agents: usize,
}

impl Outline {
    /// That of this trace.
    pub fn of(trace: &Trace) -> Outline {
        Outline {
            id: trace.id.clone(),
            start: trace.start(),
            end: trace.end(),
            duration_nanos: trace.duration_nanos(),
            spans: trace.spans.len(),
            failed_spans: trace.failed_spans(),
            agents: trace.agents().len(),
        }
    }
}
