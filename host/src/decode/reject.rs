//! Why an entry is no event.

use super::{MAX_ENTRY_BYTES, MAX_FIELDS};

/// Why an entry is no event. The text is for people, and goes with the entry to the dead-letter stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reject {
    /// No `trace_id`, or an empty one.
    NoTraceId,
    /// No `span_id`, or an empty one.
    NoSpanId,
    /// An `event_type` that is not known, on an entry that is no complete span either.
    UnknownEvent(String),
    /// More than [`MAX_ENTRY_BYTES`].
    TooLarge(usize),
    /// More than this, which is so much more than [`MAX_ENTRY_BYTES`] that the source has not read it.
    Unread(u64),
    /// More than [`MAX_FIELDS`].
    TooManyFields(usize),
}

impl Reject {
    /// One lower-case word for counting.
    pub fn as_str(&self) -> &'static str {
        match self {
            Reject::NoTraceId => "no_trace_id",
            Reject::NoSpanId => "no_span_id",
            Reject::UnknownEvent(_) => "unknown_event",
            Reject::TooLarge(_) | Reject::Unread(_) => "too_large",
            Reject::TooManyFields(_) => "too_many_fields",
        }
    }
}

impl std::fmt::Display for Reject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reject::NoTraceId => f.write_str("the entry has no trace_id; a span event needs trace_id and span_id"),
            Reject::NoSpanId => f.write_str("the entry has no span_id; a span event needs trace_id and span_id"),
            Reject::UnknownEvent(given) => write!(
                f,
                "event_type is {given:?}; expected span_start, span_end or error, or a complete span with start_time and end_time or duration_ms"
            ),
            Reject::TooLarge(bytes) => write!(f, "the entry has {bytes} bytes; at most {MAX_ENTRY_BYTES} are taken"),
            Reject::Unread(bytes) => {
                write!(f, "the entry has more than {bytes} bytes, and its fields were not read; at most {MAX_ENTRY_BYTES} bytes are taken")
            }
            Reject::TooManyFields(count) => write!(f, "the entry has {count} fields; at most {MAX_FIELDS} are taken"),
        }
    }
}
