//! The documented JSON: MCP Mesh's `CompletedTrace`, with what it leaves out added under new keys.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

use super::scalar::{Millis, Rfc3339, Shown, success};
use super::value::Attributes;
use crate::go_duration::GoDuration;
use crate::model::{Outline, Span, SpanId, SpanState, Text, Trace, TraceId};

/// A trace that serialises as the documented JSON; also within a larger document.
#[derive(Debug, Clone, Copy)]
pub struct JsonTrace<'a> {
    trace: &'a Trace,
    decided: bool,
}

impl<'a> JsonTrace<'a> {
    /// A decided trace: complete if every span was seen to end, and no bound cut it off.
    pub fn decided(trace: &'a Trace) -> Self {
        JsonTrace { trace, decided: true }
    }

    /// A trace that may still get spans: not complete.
    pub fn open(trace: &'a Trace) -> Self {
        JsonTrace { trace, decided: false }
    }
}

impl Serialize for JsonTrace<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let trace = self.trace;
        let nanos = trace.duration_nanos();
        let agents: Vec<&str> = trace.agents().into_iter().map(Text::as_str).collect();
        let document = Document {
            trace_id: Shown(&trace.id),
            spans: Spans(&trace.spans),
            start_time: trace.start().map(Rfc3339),
            end_time: trace.end().map(Rfc3339),
            duration: nanos.map(|nanos| Shown(GoDuration(nanos))),
            duration_ms: nanos.map(Millis),
            success: trace.success(),
            complete: self.decided && trace.complete(),
            span_count: trace.spans.len(),
            agent_count: agents.len(),
            agents,
            sampling: trace.sampling.as_deref().map(|sampling| SamplingDocument {
                decision: sampling.decision(),
                filter: &sampling.filter,
                reason: sampling.reason.as_deref(),
            }),
            redacted: None,
        };
        document.serialize(serializer)
    }
}

/// What may be told of a trace that the filters have not decided on, in the documented shape: without spans and names, and never complete.
#[derive(Debug, Clone, Copy)]
pub struct JsonOutline<'a> {
    /// What may be told.
    pub outline: &'a Outline,
    /// Why not more, for people.
    pub redacted: &'a str,
}

impl Serialize for JsonOutline<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let outline = self.outline;
        let document = Document {
            trace_id: Shown(&outline.id),
            spans: Spans(&[]),
            start_time: outline.start.map(Rfc3339),
            end_time: outline.end.map(Rfc3339),
            duration: outline.duration_nanos.map(|nanos| Shown(GoDuration(nanos))),
            duration_ms: outline.duration_nanos.map(Millis),
            success: outline.failed_spans == 0,
            complete: false,
            span_count: outline.spans,
            agent_count: outline.agents,
            agents: Vec::new(),
            sampling: None,
            redacted: Some(self.redacted),
        };
        document.serialize(serializer)
    }
}

#[derive(Serialize)]
struct Document<'a> {
    trace_id: Shown<&'a TraceId>,
    spans: Spans<'a>,
    start_time: Option<Rfc3339>,
    end_time: Option<Rfc3339>,
    duration: Option<Shown<GoDuration>>,
    /// Not in the documents: their scripts average `duration`, which is text.
    duration_ms: Option<Millis>,
    success: bool,
    complete: bool,
    span_count: usize,
    agent_count: usize,
    agents: Vec<&'a str>,
    /// Not in the documents either: which filter decided that the trace is here, when one had an opinion.
    #[serde(skip_serializing_if = "Option::is_none")]
    sampling: Option<SamplingDocument<'a>>,
    /// Nor in the documents: why spans and names are not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    redacted: Option<&'a str>,
}

#[derive(Serialize)]
struct SamplingDocument<'a> {
    decision: &'static str,
    filter: &'a str,
    reason: Option<&'a str>,
}

struct Spans<'a>(&'a [Span]);

impl Serialize for Spans<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(SpanDocument::of))
    }
}

#[derive(Serialize)]
struct SpanDocument<'a> {
    span_id: Shown<&'a SpanId>,
    parent_span: Option<Shown<&'a SpanId>>,
    agent_name: &'a str,
    operation: &'a str,
    start_time: Option<Rfc3339>,
    end_time: Option<Rfc3339>,
    duration_ms: Option<Millis>,
    success: Option<bool>,
    error_message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_address: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    capability: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_agent: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime: Option<&'a str>,
    /// `true` while only its beginning was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    open: Option<bool>,
    #[serde(skip_serializing_if = "Attributes::is_empty")]
    attributes: Attributes<'a>,
}

impl<'a> SpanDocument<'a> {
    fn of(span: &'a Span) -> Self {
        let text = |key| span.attribute(key).map(crate::model::Value::text);
        SpanDocument {
            span_id: Shown(&span.id),
            parent_span: span.parent.as_ref().map(Shown),
            agent_name: span.resource.name.as_str(),
            operation: span.name.as_str(),
            start_time: span.start.map(Rfc3339),
            end_time: span.finish().map(Rfc3339),
            duration_ms: span.duration().map(|duration| Millis(duration.nanos())),
            success: success(span.status),
            error_message: span.error.get(),
            agent_id: span.resource.id.get(),
            ip_address: span.resource.address.get(),
            capability: text("capability"),
            target_agent: text("target_agent"),
            runtime: span.resource.runtime.get(),
            open: (span.state == SpanState::Open).then_some(true),
            attributes: Attributes(span),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value as Json, json};

    use super::super::{json as encoded, json_open, json_outline, sample};
    use crate::model::{Decision, Outline, Sampling, Trace, TraceId};

    fn read(bytes: &[u8]) -> Json {
        serde_json::from_slice(bytes).unwrap()
    }

    #[test]
    fn the_documented_example() {
        let trace = sample::documented();
        let text = String::from_utf8(encoded(&trace)).unwrap();
        let expected = json!({
            "trace_id": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
            "spans": [{
                "span_id": "x1y2z3w4-a5b6-c789-def0-123456789abc", "parent_span": null, "agent_name": "weather-service",
                "operation": "tool:get_weather", "start_time": "2024-01-01T10:00:00Z", "end_time": "2024-01-01T10:00:00.150Z",
                "duration_ms": 150, "success": true, "error_message": null, "agent_id": "weather-123", "ip_address": "192.168.1.100",
                "capability": "get_weather", "runtime": "python-3.11", "attributes": {"agent_port": 9091, "args_count": 2},
            }, {
                "span_id": "00f067aa0ba902b7", "parent_span": "x1y2z3w4-a5b6-c789-def0-123456789abc", "agent_name": "data-processor",
                "operation": "tool:process_data", "start_time": "2024-01-01T10:00:00.050Z", "end_time": "2024-01-01T10:00:00.300Z",
                "duration_ms": 249.5, "success": false, "error_message": "boom\n\"quoted\"",
                "attributes": {"agent_port": 9092, "dependencies": ["a", {"b": null}]},
            }, {
                "span_id": "s3", "parent_span": null, "agent_name": "", "operation": "", "start_time": null, "end_time": null,
                "duration_ms": null, "success": null, "error_message": null, "open": true,
            }],
            "start_time": "2024-01-01T10:00:00Z", "end_time": "2024-01-01T10:00:00.300Z", "duration": "300ms", "duration_ms": 300,
            "success": false, "complete": false, "span_count": 3, "agent_count": 2, "agents": ["weather-service", "data-processor"],
        });
        assert_eq!(text, expected.to_string(), "keys in the documented order, nothing else");
    }

    #[test]
    fn an_open_trace_is_never_complete() {
        let mut trace = sample::documented();
        trace.spans.truncate(2);
        assert_eq!(read(&encoded(&trace))["complete"], true);
        assert_eq!(read(&json_open(&trace))["complete"], false);
        trace.decision = Decision::MaxSpans;
        assert_eq!(read(&encoded(&trace))["complete"], false, "what was cut off is not either");
    }

    #[test]
    fn an_outline_has_the_documented_shape_and_nothing_that_agents_wrote() {
        let redacted = "not yet";
        let outline = Outline::of(&sample::documented());
        let text = String::from_utf8(json_outline(&outline, redacted)).unwrap();
        let expected = json!({
            "trace_id": "a1b2c3d4-e5f6-7890-abcd-ef1234567890", "spans": [],
            "start_time": "2024-01-01T10:00:00Z", "end_time": "2024-01-01T10:00:00.300Z", "duration": "300ms", "duration_ms": 300,
            "success": false, "complete": false, "span_count": 3, "agent_count": 2, "agents": [], "redacted": "not yet",
        });
        assert_eq!(text, expected.to_string());
    }

    #[test]
    fn the_verdict_is_the_last_key_and_there_only_when_a_filter_had_one() {
        let mut trace = sample::documented();
        let without = String::from_utf8(encoded(&trace)).unwrap();
        for (reason, shown) in [(Some("errors".into()), r#""errors""#), (None, "null")] {
            trace.sampling = Some(Arc::new(Sampling {
                filter: "sampling".into(),
                keep: true,
                reason,
            }));
            let verdict = format!(r#","sampling":{{"decision":"keep","filter":"sampling","reason":{shown}}}}}"#);
            let expected = without.strip_suffix('}').unwrap().to_owned() + &verdict;
            assert_eq!(String::from_utf8(encoded(&trace)).unwrap(), expected);
        }
    }

    #[test]
    fn hostile_texts_come_back_as_they_were_and_on_one_line() {
        let trace = sample::hostile();
        let bytes = encoded(&trace);
        assert!(!bytes.iter().any(|byte| *byte < 0x20), "no control character");
        let read = read(&bytes);
        assert_eq!(read["trace_id"], sample::HOSTILE);
        for field in ["span_id", "parent_span", "operation", "error_message", "agent_name"] {
            assert_eq!(read["spans"][0][field], sample::HOSTILE, "{field}");
        }
        assert_eq!(read["spans"][0]["attributes"][sample::HOSTILE], sample::HOSTILE);
    }

    #[test]
    fn the_spans_attribute_wins_over_its_producers() {
        let trace = sample::hostile();
        let read = read(&encoded(&trace));
        assert_eq!(read["spans"][0]["attributes"]["both"], "the span's");
        assert_eq!(read["spans"][0]["attributes"]["only"], "the producer's");
    }

    #[test]
    fn a_trace_without_spans_is_a_document_too() {
        let read = read(&encoded(&Trace::new(TraceId::parse("none"), 0, Decision::Complete, Vec::new())));
        assert_eq!((&read["start_time"], &read["duration"], &read["agents"]), (&Json::Null, &Json::Null, &json!([])));
    }
}
