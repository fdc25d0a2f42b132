//! Traces for tests of what is read outside: the documents' example, and a caller's worst.

use std::sync::Arc;

use crate::model::{
    Attributes, Decision, Kind, Resource, Span, SpanDuration, SpanId, SpanState, Status, Text, Trace, TraceId, UnixNanos, Value,
};

/// 2024-01-01T10:00:00Z in nanoseconds.
pub(crate) const TEN_O_CLOCK: i128 = 1_704_103_200_000_000_000;

/// What a caller may put into any text.
pub(crate) const HOSTILE: &str = "line1\nline2\0\u{1b}[31m\"\\/../%2e%2e é \u{2028}</script>";

/// A closed span of 150 ms from ten o'clock that says nothing else.
pub(crate) fn span(id: &str) -> Span {
    Span {
        id: SpanId::parse(id),
        parent: None,
        name: Text::own("tool:get_weather"),
        error: Text::ABSENT,
        resource: Arc::default(),
        start: UnixNanos::new(TEN_O_CLOCK),
        end: UnixNanos::new(TEN_O_CLOCK + 150_000_000),
        measured: None,
        state: SpanState::Closed,
        status: Status::Ok,
        kind: Kind::Server,
        attributes: Attributes::default(),
    }
}

/// Attributes with these keys and values.
pub(crate) fn attributes<const N: usize>(attributes: [(&str, Value<&str>); N]) -> Attributes {
    attributes.into_iter().collect()
}

/// A decided trace.
pub(crate) fn trace(id: &str, spans: Vec<Span>) -> Trace {
    Trace::new(TraceId::parse(id), 0, Decision::Complete, spans)
}

/// The documents' example, with a failed child and an open span of which nothing is known.
pub(crate) fn documented() -> Trace {
    let weather = Resource {
        name: Text::own("weather-service"),
        id: Text::own("weather-123"),
        address: Text::own("192.168.1.100"),
        runtime: Text::own("python-3.11"),
        attributes: attributes([("agent_port", Value::Integer(9091))]),
    };
    let processor = Resource {
        name: Text::own("data-processor"),
        attributes: attributes([("agent_port", Value::Integer(9092))]),
        ..Resource::default()
    };
    let mut root = span("x1y2z3w4-a5b6-c789-def0-123456789abc");
    root.resource = Arc::new(weather);
    root.attributes = attributes([("args_count", Value::Integer(2)), ("capability", Value::Text("get_weather"))]);
    let mut child = span("00f067aa0ba902b7");
    child.parent = Some(root.id.clone());
    child.name = Text::own("tool:process_data");
    child.resource = Arc::new(processor);
    child.start = UnixNanos::new(TEN_O_CLOCK + 50_000_000);
    child.end = UnixNanos::new(TEN_O_CLOCK + 300_000_000);
    child.measured = Some(SpanDuration::from_nanos(249_500_000));
    child.status = Status::Error;
    child.error = Text::own("boom\n\"quoted\"");
    child.kind = Kind::Client;
    child.attributes = attributes([("dependencies", Value::Json(r#"["a",{"b":null}]"#))]);
    let mut open = span("s3");
    (open.start, open.end, open.state) = (None, None, SpanState::Open);
    (open.status, open.kind, open.name) = (Status::Unset, Kind::Unspecified, Text::ABSENT);
    trace("a1b2c3d4-e5f6-7890-abcd-ef1234567890", vec![child, open, root])
}

/// Hostile text wherever text may be.
pub(crate) fn hostile() -> Trace {
    let mut span = span(HOSTILE);
    span.parent = Some(SpanId::parse(HOSTILE));
    span.name = Text::own(HOSTILE);
    span.error = Text::own(HOSTILE);
    span.status = Status::Error;
    span.resource = Arc::new(Resource {
        name: Text::own(HOSTILE),
        id: Text::own(HOSTILE),
        attributes: attributes([("both", Value::Text("the producer's")), ("only", Value::Text("the producer's"))]),
        ..Resource::default()
    });
    span.attributes = attributes([("both", Value::Text("the span's")), (HOSTILE, Value::Text(HOSTILE))]);
    trace(HOSTILE, vec![span])
}
