//! The captured events of real agents, from XADD to files and answers.

mod documented;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::support::events::{self, Fields, captured, publish};
use crate::support::eventually;
use crate::support::host::{Host, HostBuilder};
use crate::support::redis_server::{GROUP, RedisServer, STREAM, pending, undelivered};

fn field<'a>(fields: &'a Fields, key: &str) -> &'a str {
    fields.iter().find(|(own, _)| own == key).map_or("", |(_, value)| value)
}

/// What a span must be wherever it appears: operation, agent, success, error text.
type Span = (String, String, Option<bool>, Option<String>);

fn expected(entries: &[Fields]) -> BTreeMap<String, BTreeMap<String, Span>> {
    let mut traces: BTreeMap<String, BTreeMap<String, Span>> = BTreeMap::new();
    for fields in entries {
        let error = Some(field(fields, "error")).filter(|text| !["", "null"].contains(text)).map(str::to_owned);
        let success = field(fields, "success").to_lowercase().parse().ok();
        let span = (field(fields, "function_name").to_owned(), field(fields, "agent_name").to_owned(), success, error);
        traces.entry(field(fields, "trace_id").to_owned()).or_default().insert(field(fields, "span_id").to_owned(), span);
    }
    traces
}

fn found(document: &Value) -> BTreeMap<String, Span> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let span = |span: &Value| {
        let error = span["error_message"].as_str().map(str::to_owned);
        (text(&span["span_id"]), (text(&span["operation"]), text(&span["agent_name"]), span["success"].as_bool(), error))
    };
    document["spans"].as_array().expect("spans").iter().map(span).collect()
}

fn all_entries() -> Vec<Fields> {
    ["python", "typescript", "java"].into_iter().flat_map(captured).collect()
}

/// Publishes all captured events and waits until they are exported and acknowledged.
fn exported(redis: &RedisServer) -> Host {
    let mut connection = redis.connect();
    publish(&mut connection, STREAM, &all_entries());
    let host = HostBuilder::new(&redis.url()).start();
    host.wait_for_exports(70);
    eventually("nothing is pending", || (pending(&mut connection, GROUP) + undelivered(&mut connection, GROUP) == 0).then_some(()));
    host
}

/// Scenario: the events of six agents and of two other runtimes' formatters are in Redis when the host starts.
/// Guarantees: every trace, span and error text is found over HTTP and in the JSON files, and nothing is left pending.
#[test]
fn every_captured_trace_span_and_error_is_answered_and_written() {
    let redis = RedisServer::start();
    let host = exported(&redis);
    let expected = expected(&all_entries());
    assert_eq!((expected.len(), expected.values().map(BTreeMap::len).sum::<usize>()), (70, 232));
    let files = host.json_files();
    assert_eq!(files.keys().collect::<BTreeSet<_>>(), expected.keys().collect::<BTreeSet<_>>());
    for (id, spans) in &expected {
        assert_eq!(found(&files[id]), *spans, "file of {id}");
        let answer = host.get(&format!("/trace/{}", percent_encoded(id)));
        assert_eq!(answer.status, 200);
        assert_eq!(found(&answer.json()), *spans, "answer about {id}");
        assert_eq!(answer.json()["success"], Value::Bool(spans.values().all(|span| span.2 != Some(false))));
    }
    let stats = host.get("/trace/stats").json();
    assert_eq!(
        (stats["total_traces"].as_u64(), stats["failed_traces"].as_u64(), stats["total_spans"].as_u64()),
        (Some(70), Some(10), Some(232))
    );
    let list = host.get("/trace/list?limit=100").json();
    assert_eq!((list["count"].as_u64(), list["total"].as_u64()), (Some(70), Some(70)));
    let cli = Command::new("redis-cli").args(["-p", &redis.port.to_string(), "XPENDING", STREAM, GROUP]).output().expect("redis-cli");
    assert!(cli.stdout.starts_with(b"0\n"), "{}", String::from_utf8_lossy(&cli.stdout));
}

/// Scenario: a complete-span event and the documented span_start, span_end and error events of one trace, in Redis together.
/// Guarantees: they make one trace, whose failed span has the error event's text.
#[test]
fn documented_events_and_complete_spans_mix_in_one_trace() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let id = "a1b2c3d4-e5f6-7890-abcd-ef1234567890";
    let dual = |kind: &str, span: &str, at: &str, more: &[(&str, &str)]| {
        let base = [
            ("trace_id", id),
            ("span_id", span),
            ("event_type", kind),
            ("operation", "tool:x"),
            ("agent_name", "weather"),
            ("timestamp", at),
        ];
        events::entry(&[&base[..], more].concat())
    };
    let entries = [
        dual("span_start", "root", "1640995200.0", &[]),
        dual("span_start", "failing", "1640995200.1", &[("parent_span", "root")]),
        dual("error", "failing", "1640995200.2", &[("parent_span", "root"), ("error_message", "no such city")]),
        events::span(id, "complete", Some("root")),
        dual("span_end", "root", "1640995200.3", &[("duration_ms", "300"), ("success", "true")]),
    ];
    publish(&mut connection, STREAM, &entries);
    let host = HostBuilder::new(&redis.url()).start();
    host.wait_for_exports(1);
    let document = host.get(&format!("/trace/{id}")).json();
    let spans = found(&document);
    assert_eq!(spans.len(), 3);
    assert_eq!(spans["failing"], ("tool:x".into(), "weather".into(), Some(false), Some("no such city".into())));
    assert_eq!(spans["root"].2, Some(true));
    assert_eq!((document["complete"].as_bool(), document["success"].as_bool()), (Some(true), Some(false)));
    eventually("nothing is pending", || (pending(&mut connection, GROUP) == 0).then_some(()));
}

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
