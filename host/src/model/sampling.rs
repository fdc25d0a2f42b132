//! What a filter decided about a trace, as it stays with the trace.

use std::sync::Arc;

/// Which filter decided that a trace is kept or dropped, and why. Shared by all traces that it holds for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sampling {
    /// The filter's name.
    pub filter: Arc<str>,
    /// Whether the trace is kept.
    pub keep: bool,
    /// Why, for people, if the filter said.
    pub reason: Option<Arc<str>>,
}

impl Sampling {
    /// `keep` or `drop`.
    pub fn decision(&self) -> &'static str {
        if self.keep { "keep" } else { "drop" }
    }

    /// Bytes that it holds, itself included. It is usually shared, and counted all the same: it need not be.
    pub fn bytes(&self) -> usize {
        size_of::<Sampling>() + self.reason.as_ref().map_or(0, |reason| reason.len())
    }
}
