//! The JSON that `meshctl trace` reads: its registry's own, in PascalCase.
//!
//! Its decoder fails on a `Duration` that is not a whole number, on a `DurationMS` with decimals and on times that are not
//! text; and it sorts siblings by the text of `StartTime`. So every time has nine decimals, and none is null but `EndTime`.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

use super::scalar::{NineDecimals, Shown, success};
use crate::model::{Span, SpanId, Text, Trace, TraceId, UnixNanos, Value};

/// How Go writes a time that was never set, with the nine decimals that all times have here.
const NO_TIME: &str = "0001-01-01T00:00:00.000000000Z";

/// The whole document.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Document<'a> {
    #[serde(rename = "TraceID")]
    trace_id: Shown<&'a TraceId>,
    spans: Spans<'a>,
    start_time: Time,
    end_time: Time,
    /// Nanoseconds; 0 when unknown.
    duration: u64,
    success: bool,
    span_count: usize,
    agent_count: usize,
    agents: Vec<&'a str>,
}

impl<'a> Document<'a> {
    /// The document of `trace`.
    pub(super) fn of(trace: &'a Trace) -> Self {
        let agents: Vec<&str> = trace.agents().into_iter().map(Text::as_str).collect();
        Document {
            trace_id: Shown(&trace.id),
            spans: Spans(trace),
            start_time: Time(trace.start()),
            end_time: Time(trace.end()),
            duration: trace.duration_nanos().unwrap_or(0),
            success: trace.success(),
            span_count: trace.spans.len(),
            agent_count: agents.len(),
            agents,
        }
    }
}

/// A time, or Go's zero time.
struct Time(Option<UnixNanos>);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(at) => NineDecimals(at).serialize(serializer),
            None => serializer.serialize_str(NO_TIME),
        }
    }
}

struct Spans<'a>(&'a Trace);

impl Serialize for Spans<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.spans.iter().map(|span| SpanDocument::of(self.0, span)))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SpanDocument<'a> {
    #[serde(rename = "TraceID")]
    trace_id: Shown<&'a TraceId>,
    #[serde(rename = "SpanID")]
    span_id: Shown<&'a SpanId>,
    /// Null at a root: `""` would be a parent that is not there.
    parent_span: Option<Shown<&'a SpanId>>,
    agent_name: &'a str,
    #[serde(rename = "AgentID")]
    agent_id: &'a str,
    #[serde(rename = "IPAddress")]
    ip_address: &'a str,
    operation: &'a str,
    start_time: Time,
    end_time: Option<NineDecimals>,
    /// Whole milliseconds, the rest cut off, as the registry does.
    #[serde(rename = "DurationMS")]
    duration_ms: Option<u64>,
    success: Option<bool>,
    error_message: Option<&'a str>,
    capability: Option<Cow<'a, str>>,
    target_agent: Option<Cow<'a, str>>,
    runtime: &'a str,
}

impl<'a> SpanDocument<'a> {
    fn of(trace: &'a Trace, span: &'a Span) -> Self {
        SpanDocument {
            trace_id: Shown(&trace.id),
            span_id: Shown(&span.id),
            parent_span: span.parent.as_ref().map(Shown),
            agent_name: span.resource.name.as_str(),
            agent_id: span.resource.id.as_str(),
            ip_address: span.resource.address.as_str(),
            operation: span.name.as_str(),
            start_time: Time(span.start),
            end_time: span.finish().map(NineDecimals),
            duration_ms: span.duration().map(|duration| duration.nanos() / 1_000_000),
            success: success(span.status),
            error_message: span.error.get(),
            capability: span.attribute("capability").map(Value::text),
            target_agent: span.attribute("target_agent").map(Value::text),
            runtime: span.resource.runtime.get().unwrap_or("unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{meshctl, sample};

    #[test]
    fn the_documented_example() {
        let id = "a1b2c3d4-e5f6-7890-abcd-ef1234567890";
        let expected = json!({
            "TraceID": id,
            "Spans": [{
                "TraceID": id, "SpanID": "x1y2z3w4-a5b6-c789-def0-123456789abc", "ParentSpan": null, "AgentName": "weather-service",
                "AgentID": "weather-123", "IPAddress": "192.168.1.100", "Operation": "tool:get_weather",
                "StartTime": "2024-01-01T10:00:00.000000000Z", "EndTime": "2024-01-01T10:00:00.150000000Z", "DurationMS": 150,
                "Success": true, "ErrorMessage": null, "Capability": "get_weather", "TargetAgent": null, "Runtime": "python-3.11",
            }, {
                "TraceID": id, "SpanID": "00f067aa0ba902b7", "ParentSpan": "x1y2z3w4-a5b6-c789-def0-123456789abc",
                "AgentName": "data-processor", "AgentID": "", "IPAddress": "", "Operation": "tool:process_data",
                "StartTime": "2024-01-01T10:00:00.050000000Z", "EndTime": "2024-01-01T10:00:00.300000000Z", "DurationMS": 249,
                "Success": false, "ErrorMessage": "boom\n\"quoted\"", "Capability": null, "TargetAgent": null, "Runtime": "unknown",
            }, {
                "TraceID": id, "SpanID": "s3", "ParentSpan": null, "AgentName": "", "AgentID": "", "IPAddress": "", "Operation": "",
                "StartTime": "0001-01-01T00:00:00.000000000Z", "EndTime": null, "DurationMS": null, "Success": null,
                "ErrorMessage": null, "Capability": null, "TargetAgent": null, "Runtime": "unknown",
            }],
            "StartTime": "2024-01-01T10:00:00.000000000Z", "EndTime": "2024-01-01T10:00:00.300000000Z", "Duration": 300_000_000,
            "Success": false, "SpanCount": 3, "AgentCount": 2, "Agents": ["weather-service", "data-processor"],
        });
        assert_eq!(String::from_utf8(meshctl(&sample::documented())).unwrap(), expected.to_string());
    }
}
