//! What a search asks for.

use crate::model::{Span, SpanId, Trace, UnixNanos};

/// Criteria of a search; a trace matches when it meets every one that is set. The rules are those of MCP Mesh's
/// `/trace/search`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Criteria {
    /// A span is by an agent of exactly this name.
    pub agent_name: Option<String>,
    /// A span's operation contains this text, letter for letter.
    pub operation: Option<String>,
    /// A span has this parent, whether the parent itself was seen or not.
    pub parent_span_id: Option<SpanId>,
    /// Whether no span of it failed.
    pub success: Option<bool>,
    /// It begins at or after this time, in nanoseconds since 1970; a trace of unknown beginning does not match.
    pub start_unix_nanos: Option<i128>,
    /// It ends at or before this time, in nanoseconds since 1970; a trace of unknown end does not match.
    pub end_unix_nanos: Option<i128>,
    /// It takes this long or longer, in milliseconds; a trace of unknown duration does not match.
    pub min_duration_ms: Option<u64>,
    /// It takes this long or less, in milliseconds; a trace of unknown duration does not match.
    pub max_duration_ms: Option<u64>,
}

impl Criteria {
    /// Whether `trace` meets all of them.
    pub fn matches(&self, trace: &Trace) -> bool {
        self.in_time(trace) && self.has_spans(trace) && self.success.is_none_or(|wanted| trace.success() == wanted)
    }

    fn in_time(&self, trace: &Trace) -> bool {
        let known = |at: Option<UnixNanos>, meets: &dyn Fn(i128) -> bool| at.is_some_and(|at| meets(i128::from(at.get())));
        // Durations are compared in nanoseconds, so that 150.4 ms is more than 150.
        let lasts = |meets: &dyn Fn(u64) -> bool| trace.duration_nanos().is_some_and(meets);
        let nanos = |ms: u64| ms.saturating_mul(1_000_000);
        self.start_unix_nanos.is_none_or(|from| known(trace.start(), &|start| start >= from))
            && self.end_unix_nanos.is_none_or(|to| known(trace.end(), &|end| end <= to))
            && self.min_duration_ms.is_none_or(|min| lasts(&|duration| duration >= nanos(min)))
            && self.max_duration_ms.is_none_or(|max| lasts(&|duration| duration <= nanos(max)))
    }

    /// Different spans may meet different criteria.
    fn has_spans(&self, trace: &Trace) -> bool {
        let any = |meets: &dyn Fn(&Span) -> bool| trace.spans.iter().any(meets);
        self.agent_name.as_deref().is_none_or(|name| any(&|span| span.resource.name.as_str() == name))
            && self.operation.as_deref().is_none_or(|part| any(&|span| span.name.as_str().contains(part)))
            && self.parent_span_id.as_ref().is_none_or(|parent| any(&|span| span.parent.as_ref() == Some(parent)))
    }
}
