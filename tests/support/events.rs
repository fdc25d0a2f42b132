//! Events to publish: captured ones, and made ones.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use redis::Connection;
use serde_json::Value;

use super::redis_server::STREAM;

/// The fields of an entry.
pub type Fields = Vec<(String, String)>;

/// Every captured entry of one runtime, in the order of the wire.
pub fn captured(runtime: &str) -> Vec<Fields> {
    let path = format!("{}/../tests/fixtures/mesh-events-{runtime}.ndjson", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the fixture");
    let fields = |line: &str| {
        let entry: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let fields: BTreeMap<String, String> = serde_json::from_value(entry["fields"].clone()).expect("fields");
        fields.into_iter().collect()
    };
    text.lines().map(fields).collect()
}

/// A complete span as a Python agent publishes it.
pub fn span(trace: &str, id: &str, parent: Option<&str>) -> Fields {
    let fields = [
        ("trace_id", trace),
        ("span_id", id),
        ("parent_span", parent.unwrap_or("null")),
        ("function_name", "work"),
        ("agent_name", "agent"),
        ("agent_id", "agent-1"),
        ("start_time", "1795221702.5"),
        ("end_time", "1795221702.75"),
        ("duration_ms", "250.0"),
        ("success", "True"),
        ("error", "null"),
    ];
    fields.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
}

/// `fields` with these changed or added.
pub fn with(mut fields: Fields, changes: &[(&str, &str)]) -> Fields {
    for (key, value) in changes {
        fields.retain(|(own, _)| own != key);
        fields.push(((*key).into(), (*value).into()));
    }
    fields
}

/// A span without a parent, the whole of its trace, with this operation.
pub fn lone(trace: &str, operation: &str) -> Fields {
    with(span(trace, "a", None), &[("function_name", operation)])
}

/// An entry of these fields.
pub fn entry(fields: &[(&str, &str)]) -> Fields {
    fields.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
}

/// Publishes in one go; returns the ids that Redis gave.
pub fn publish(connection: &mut Connection, stream: &str, entries: &[Fields]) -> Vec<String> {
    let mut ids = Vec::new();
    for chunk in entries.chunks(1_000) {
        let mut pipeline = redis::pipe();
        for fields in chunk {
            let add = pipeline.cmd("XADD").arg(stream).arg("MAXLEN").arg("~").arg(100_000).arg("*");
            for (key, value) in fields {
                add.arg(key).arg(value);
            }
        }
        ids.extend(pipeline.query::<Vec<String>>(connection).expect("XADD"));
    }
    ids
}

/// Publishes in one transaction: all entries come at one time, and their traces fall due together.
pub fn publish_together(connection: &mut Connection, entries: &[Fields]) {
    let mut pipeline = redis::pipe();
    pipeline.atomic();
    for fields in entries {
        pipeline.xadd(STREAM, "*", fields).ignore();
    }
    pipeline.query::<()>(connection).expect("XADD");
}

/// Publishes at ids of the past: entry n at `first_ms + n * step_ms`.
pub fn publish_at(connection: &mut Connection, entries: &[Fields], first_ms: u64, step_ms: u64) -> Vec<String> {
    let mut pipeline = redis::pipe();
    for (number, fields) in (0u64..).zip(entries) {
        pipeline.xadd(STREAM, format!("{}-1", first_ms + number * step_ms), fields);
    }
    pipeline.query(connection).expect("XADD")
}

/// Unix milliseconds, so long ago.
pub fn millis_ago(ago: Duration) -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock after 1970");
    (now - ago).as_millis() as u64
}

/// `count` traces of three spans each: ids, and the entries that make them.
pub fn numbered_traces(count: usize) -> (Vec<String>, Vec<Fields>) {
    let ids: Vec<String> = (0..count).map(|number| format!("{:032x}", number + 1)).collect();
    let spans = |id: &String| [span(id, "b", Some("a")), span(id, "c", Some("b")), span(id, "a", None)];
    let entries = ids.iter().flat_map(spans).collect();
    (ids, entries)
}

/// The span ids of a document.
pub fn spans_of(document: &Value) -> BTreeSet<&str> {
    document["spans"].as_array().expect("spans").iter().filter_map(|span| span["span_id"].as_str()).collect()
}

/// Every numbered trace has a document with just its three spans.
#[track_caller]
pub fn assert_whole(documents: &BTreeMap<String, Value>, ids: &[String]) {
    assert_eq!(documents.keys().collect::<BTreeSet<_>>(), ids.iter().collect::<BTreeSet<_>>());
    for (id, document) in documents {
        assert_eq!(spans_of(document), BTreeSet::from(["a", "b", "c"]), "{id}");
    }
}
