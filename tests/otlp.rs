//! The otlp exporter against a collector that decodes with OpenTelemetry's own Python packages: what arrives. Left out where they are not set up.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::collector::{Collector, attributes, id};
use crate::support::events::{Fields, captured, lone, publish, span, with};
use crate::support::eventually;
use crate::support::redis_server::{GROUP, RedisServer, STREAM, wait_until_settled};

/// Scenario: a trace of two agents with ids, times, an error and attributes of all kinds, and one whose ids are no hex at all.
/// Guarantees: the collector decodes just this: ids of the right length with the original beside them, times to the nanosecond, status and error
/// text, typed attributes, and for each agent one resource.
#[test]
fn every_field_arrives_as_opentelemetry_has_it() {
    let Some(collector) = Collector::start() else { return };
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let trace = "0AF76519-16cd-43dd-8448-eb211c80319c";
    let times = [("start_time", "1795221702.123456789"), ("end_time", "1795221702.987654321"), ("duration_ms", "864.197532")];
    let agent = [("agent_ip", "10.1.2.3"), ("runtime", "python"), ("agent_port", "9101")];
    let root = with(span(trace, "00f067aa0ba902b7", None), &[("function_name", "plan"), ("args_count", "2"), ("capability", "planning")]);
    let root = with(with(root, &times), &agent);
    let failed = [("agent_name", "booker"), ("agent_id", "booker-7"), ("success", "False"), ("error", "no seats\n\"left\" é")];
    let child = with(span(trace, "not hex", Some("00f067aa0ba902b7")), &failed);
    let child = with(child, &[("dependencies", "[\"a\"]"), ("published_at", "0.5")]);
    let second = with(span(trace, "00f067aa0ba902b8", Some("not hex")), &agent);
    publish(&mut connection, STREAM, &[root, child, second, lone("order #42", "x")]);
    let _host = collector.fed_by(&redis).start();
    wait_until_settled(&mut connection, GROUP);
    let requests = collector.requests();
    assert_eq!(requests.len(), 1, "traces that are ready together go together");
    let text = |key: &str, value: &str| json!({"key": key, "value": {"string_value": value}});
    let number = |key: &str, value: &str| json!({"key": key, "value": {"int_value": value}});
    let (id, original) = ("0af7651916cd43dd8448eb211c80319c", text("mesh.trace_id", trace));
    let (start, end) = ("1795221702500000000", "1795221702750000000");
    let group = |attributes: &[Value], spans: &[Value]| json!({"resource": {"attributes": attributes}, "scope_spans": [{"scope": {"name": "mcp-mesh"}, "spans": spans}]});
    let expected = json!({"resource_spans": [
        group(&[
            text("service.name", "agent"), text("service.instance.id", "agent-1"), text("process.runtime.name", "python"),
            json!({"key": "host.ip", "value": {"array_value": {"values": [{"string_value": "10.1.2.3"}]}}}), number("agent_port", "9101"),
        ], &[
            json!({
                "trace_id": id, "span_id": "00f067aa0ba902b7", "name": "plan", "start_time_unix_nano": "1795221702123456789",
                "end_time_unix_nano": "1795221702987654321", "status": {"code": 1},
                "attributes": [number("args_count", "2"), text("capability", "planning"), original],
            }),
            json!({
                "trace_id": id, "span_id": "00f067aa0ba902b8", "parent_span_id": "24b7c296f882c9a3", "name": "work", "start_time_unix_nano": start,
                "end_time_unix_nano": end, "status": {"code": 1}, "attributes": [original, text("mesh.parent_span", "not hex")],
            }),
        ]),
        group(&[text("service.name", "booker"), text("service.instance.id", "booker-7")], &[json!({
            "trace_id": id, "span_id": "24b7c296f882c9a3", "parent_span_id": "00f067aa0ba902b7", "name": "work", "start_time_unix_nano": start,
            "end_time_unix_nano": end, "status": {"code": 2, "message": "no seats\n\"left\" é"},
            "attributes": [
                text("dependencies", "[\"a\"]"), json!({"key": "published_at", "value": {"double_value": 0.5}}), original, text("mesh.span_id", "not hex"),
            ],
        })]),
        group(&[text("service.name", "agent"), text("service.instance.id", "agent-1")], &[json!({
            // The first bytes of the SHA-256 of the texts.
            "trace_id": "cf76f80f9170bd46f609a1f887d9be75", "span_id": "ca978112ca1bbdca", "name": "x", "start_time_unix_nano": start,
            "end_time_unix_nano": end, "status": {"code": 1}, "attributes": [text("mesh.trace_id", "order #42"), text("mesh.span_id", "a")],
        })]),
    ]});
    assert_eq!(requests[0]["request"], expected, "{:#}", requests[0]["request"]);
}

/// Every captured event, of three runtimes.
fn all_captured() -> Vec<Fields> {
    ["python", "typescript", "java"].into_iter().flat_map(captured).collect()
}

/// What the JSON documents say of a span, in OTLP's terms: name, start, end, status code, error text, agent.
fn expected_span(span: &Value) -> [String; 6] {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let nanos = |value: &Value| {
        value.as_str().map_or("0".into(), |text| text.parse::<jiff::Timestamp>().expect("a time").as_nanosecond().to_string())
    };
    let code = span["success"].as_bool().map_or("0", |success| if success { "1" } else { "2" });
    [
        text(&span["operation"]),
        nanos(&span["start_time"]),
        nanos(&span["end_time"]),
        code.to_owned(),
        text(&span["error_message"]),
        text(&span["agent_name"]),
    ]
}

/// The same of a decoded span.
fn found_span(span: &Value) -> [String; 6] {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let nanos = |value: &Value| value.as_str().unwrap_or("0").to_owned();
    [
        text(&span["name"]),
        nanos(&span["start_time_unix_nano"]),
        nanos(&span["end_time_unix_nano"]),
        span["status"]["code"].as_u64().unwrap_or_default().to_string(),
        text(&span["status"]["message"]),
        attributes(&span["resource"]).get("service.name").map(|value| text(&value["string_value"])).unwrap_or_default(),
    ]
}

/// Scenario: the captured events of six agents and of two other runtimes' formatters.
/// Guarantees: every span arrives once and says what its JSON document says; requests are gzipped, one resource per agent in each, over one
/// connection.
#[test]
fn every_captured_span_arrives_once_as_the_json_files_have_it() {
    let Some(collector) = Collector::start() else { return };
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let host = collector.fed_by(&redis).set("TRACE_EXPORTER_TYPE", "json,otlp").start();
    for (number, chunk) in all_captured().chunks(80).enumerate() {
        publish(&mut connection, STREAM, chunk);
        eventually("a batch is sent", || (collector.requests().len() > number).then_some(()));
    }
    host.wait_for_exports(70);
    wait_until_settled(&mut connection, GROUP);
    let mut expected = BTreeMap::new();
    for (trace, document) in host.json_files() {
        for span in document["spans"].as_array().expect("spans") {
            expected.insert((trace.clone(), span["span_id"].as_str().expect("an id").to_owned()), expected_span(span));
        }
    }
    let spans = collector.spans();
    let key = |span: &Value| (id(span, "trace_id", "mesh.trace_id"), id(span, "span_id", "mesh.span_id"));
    let found: BTreeMap<_, _> = spans.iter().map(|span| (key(span), found_span(span))).collect();
    assert_eq!((spans.len(), found.len()), (232, 232), "each once");
    assert_eq!(found, expected);
    for span in &spans {
        assert_eq!((span["trace_id"].as_str().map(str::len), span["span_id"].as_str().map(str::len)), (Some(32), Some(16)));
    }
    let requests = collector.requests();
    for request in &requests {
        assert_eq!(request["headers"]["content-encoding"], "gzip");
        let groups = request["request"]["resource_spans"].as_array().expect("resources");
        let distinct: BTreeSet<String> = groups.iter().map(|group| group["resource"].to_string()).collect();
        assert_eq!(distinct.len(), groups.len(), "an agent is one resource");
    }
    let connections: BTreeSet<u64> = requests.iter().filter_map(|request| request["client"].as_u64()).collect();
    assert!(requests.len() > 2 && connections.len() == 1, "{} requests over {} connections", requests.len(), connections.len());
}
