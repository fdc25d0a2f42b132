//! One span, and how two accounts of the same span become one.

use std::sync::Arc;

use super::{Attributes, Resource, SpanDuration, SpanId, Text, UnixNanos, Value};

/// How a span ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Status {
    /// The agent did not say.
    #[default]
    Unset,
    /// It succeeded.
    Ok,
    /// It failed.
    Error,
}

/// OpenTelemetry's span kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Kind {
    /// Not said.
    #[default]
    Unspecified,
    /// Inside one agent.
    Internal,
    /// Handles a call.
    Server,
    /// Makes a call.
    Client,
    /// Sends a message.
    Producer,
    /// Handles a message.
    Consumer,
}

/// What has been seen of a span's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SpanState {
    /// Its beginning only: it is running, or its end was lost.
    Open,
    /// Its end.
    Closed,
}

/// One span.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Unique within its trace.
    pub id: SpanId,
    /// The span that caused it; `None` at a root.
    pub parent: Option<SpanId>,
    /// The operation.
    pub name: Text,
    /// Why it failed, as the agent put it.
    pub error: Text,
    /// Who produced it.
    pub resource: Arc<Resource>,
    /// When it began.
    pub start: Option<UnixNanos>,
    /// When it ended.
    pub end: Option<UnixNanos>,
    /// How long it took, as measured by the agent: more exact than the difference of its times, which come as floats.
    pub measured: Option<SpanDuration>,
    /// Whether its end was seen.
    pub state: SpanState,
    /// How it ended.
    pub status: Status,
    /// Its role in a call.
    pub kind: Kind,
    /// What else came with it.
    pub attributes: Attributes,
}

impl Span {
    /// How long it took: as measured, else from its times.
    pub fn duration(&self) -> Option<SpanDuration> {
        let between = || Some(SpanDuration::from_nanos(self.end?.since(self.start?)));
        self.measured.or_else(between)
    }

    /// When it ended: as said, else its start and duration.
    pub fn finish(&self) -> Option<UnixNanos> {
        self.end.or_else(|| Some(self.start?.plus(self.measured?)))
    }

    /// The value of the attribute with this key.
    pub fn attribute(&self, key: &str) -> Option<Value<&str>> {
        self.attributes.get(key)
    }

    /// Takes in another account of the same span (a repeated event, its start and its end, an older part).
    ///
    /// Field by field the greater of the two under a fixed order stays, so the result depends neither on the order of
    /// accounts nor on how often one comes: events are idempotent.
    pub fn settle(&mut self, other: Span) {
        let Span {
            id: _,
            parent,
            name,
            error,
            resource,
            start,
            end,
            measured,
            state,
            status,
            kind,
            attributes,
        } = other;
        self.parent = self.parent.take().max(parent);
        self.name.settle(name);
        self.error.settle(error);
        if self.resource != resource {
            Arc::make_mut(&mut self.resource).settle(Arc::unwrap_or_clone(resource));
        }
        self.start = [self.start, start].into_iter().flatten().min();
        self.end = self.end.max(end);
        self.measured = self.measured.max(measured);
        self.state = self.state.max(state);
        self.status = self.status.max(status);
        self.kind = self.kind.max(kind);
        self.attributes.settle(&attributes);
    }

    /// Bytes that this span holds, itself included. Its resource is usually shared, and counted all the same: it need not be.
    pub fn bytes(&self) -> usize {
        let parent = self.parent.as_ref().map_or(0, SpanId::heap_bytes);
        size_of::<Span>()
            + self.id.heap_bytes()
            + parent
            + self.name.heap_bytes()
            + self.error.heap_bytes()
            + self.attributes.heap_bytes()
            + self.resource.heap_bytes()
    }
}
