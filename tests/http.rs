//! The API's shapes, pages, refusals and bounds.

use redis::Connection;
use serde_json::{Value, json};

use crate::support::events::{Fields, entry, lone, publish, span, with};
use crate::support::eventually;
use crate::support::host::{Host, HostBuilder};
use crate::support::redis_server::{GROUP, RedisServer, STREAM, wait_until_settled};

/// A host that runs no plugin and decides fast.
fn quick(redis: &RedisServer) -> HostBuilder {
    let host = HostBuilder::new(&redis.url()).set("TRACE_EXPORTER_TYPE", "none").set("TRACE_ENABLE_STATS", "false");
    host.set("MESHTRACE_QUIET_PERIOD", "50ms").set("MESHTRACE_PARENT_WAIT", "50ms")
}

/// Publishes traces `1` to `count`, each when the one before has been decided.
fn one_by_one(host: &Host, connection: &mut Connection, count: u64) {
    for number in 1..=count {
        publish(connection, STREAM, &[lone(&number.to_string(), "work")]);
        host.wait_for_exports(number);
    }
}

/// The ids on a page.
fn ids(page: &Value) -> Vec<&str> {
    page["traces"].as_array().expect("traces").iter().filter_map(|trace| trace["trace_id"].as_str()).collect()
}

/// Scenario: six traces, decided one after another, and lists and searches with pages of all sizes.
/// Guarantees: newest first, as many as asked for, never more than a hundred, and how many there are.
#[test]
fn lists_are_pages_with_the_newest_first() {
    let redis = RedisServer::start();
    let host = quick(&redis).start();
    one_by_one(&host, &mut redis.connect(), 6);
    let cases: [(&str, &[&str], u64, u64); 6] = [
        ("", &["6", "5", "4", "3", "2", "1"], 20, 0),
        ("?limit=2", &["6", "5"], 2, 0),
        ("?limit=2&offset=1", &["5", "4"], 2, 1),
        ("?limit=100&offset=5", &["1"], 100, 5),
        ("?limit=101", &["6", "5", "4", "3", "2", "1"], 100, 0),
        ("?offset=99999999999999999999", &[], 20, u64::MAX),
    ];
    for (query, expected, limit, offset) in cases {
        let page = host.get(&format!("/trace/list{query}")).json();
        assert_eq!(ids(&page), expected, "{query}");
        let numbers = ["count", "total", "limit", "offset"].map(|key| page[key].as_u64());
        assert_eq!(numbers, [Some(expected.len() as u64), Some(6), Some(limit), Some(offset)], "{query}");
        assert_eq!(page["enabled"], true);
    }
    let found = host.get("/trace/search?agent_name=agent&operation=wo&success=true&min_duration_ms=250&limit=2").json();
    assert_eq!(ids(&found), ["6", "5"]);
    let criteria = json!({"agent_name": "agent", "operation": "wo", "success": true, "min_duration_ms": 250});
    assert_eq!((&found["criteria"], &found["count"], &found["limit"]), (&criteria, &json!(2), &json!(2)));
    for none in
        ["agent_name=agen", "operation=play", "success=false", "max_duration_ms=249", "parent_span_id=b", "start_time=2030-01-01T00:00:00Z"]
    {
        assert_eq!(ids(&host.get(&format!("/trace/search?{none}")).json()), [""; 0], "{none}");
    }
}

/// Scenario: parameters that are out of range, no number, no time, not known or given twice; paths and methods that do not exist.
/// Guarantees: 400 naming the parameter, what was given and what is expected; 404 and 405; all of it JSON.
#[test]
fn what_cannot_be_answered_is_refused_by_name() {
    let host = HostBuilder::idle().start();
    let list = "an integer above 0; more than 100 counts as 100";
    let cases = [
        ("list?limit=0", "bad parameter", "limit", "0", list),
        ("list?limit=-1", "bad parameter", "limit", "-1", list),
        ("list?limit=many", "bad parameter", "limit", "many", list),
        ("list?offset=-1", "bad parameter", "offset", "-1", "an integer, 0 or more"),
        ("list?limits=5", "unknown parameter", "limits", "5", "one of limit, offset"),
        ("list?limit=5&limit=6", "parameter given twice", "limit", "6", "limit once"),
        ("search?limit=1.5", "bad parameter", "limit", "1.5", list),
        ("search?success=maybe", "bad parameter", "success", "maybe", "true or false"),
        ("search?start_time=yesterday", "bad parameter", "start_time", "yesterday", "an RFC 3339 time such as 2024-01-01T00:00:00Z"),
        ("search?min_duration_ms=-5", "bad parameter", "min_duration_ms", "-5", "an integer, 0 or more (milliseconds)"),
        ("search?agent_name=", "bad parameter", "agent_name", "", "a text that is not empty"),
    ];
    for (query, error, parameter, given, expected) in cases {
        let answer = host.get(&format!("/trace/{query}"));
        let refusal = json!({"error": error, "parameter": parameter, "given": given, "expected": expected});
        assert_eq!((answer.status, answer.json()), (400, refusal), "{query}");
    }
    for path in ["/trace/nosuch", "/registry/trace/nosuch"] {
        let answer = host.get(path);
        assert_eq!((answer.status, answer.json()), (404, json!({"error": "trace not found", "trace_id": "nosuch"})), "{path}");
    }
    let answer = host.get("/traces");
    assert_eq!((answer.status, &answer.json()["error"], &answer.json()["path"]), (404, &json!("no such path"), &json!("/traces")));
}

fn began(trace: &str) -> Fields {
    let fields =
        [("trace_id", trace), ("span_id", "a"), ("event_type", "span_start"), ("operation", "work"), ("timestamp", "1795221702.5")];
    entry(&fields)
}

/// Scenario: a span begins, and never ends.
/// Guarantees: its trace is shown at once as not complete, and is in no list; when it has expired it is, and still is not complete.
#[test]
fn an_open_trace_is_shown_and_not_listed() {
    let redis = RedisServer::start();
    publish(&mut redis.connect(), STREAM, &[began("open")]);
    let host = quick(&redis).set("TRACE_TIMEOUT", "5s").start();
    let shown = eventually("the trace is shown", || Some(host.get("/trace/open")).filter(|answer| answer.status == 200)).json();
    let span = json!({
        "span_id": "a", "parent_span": null, "agent_name": "", "operation": "work", "start_time": "2026-11-21T00:41:42.500Z",
        "end_time": null, "duration_ms": null, "success": null, "error_message": null, "open": true,
    });
    let expected = json!({
        "trace_id": "open", "spans": [span], "start_time": "2026-11-21T00:41:42.500Z", "end_time": null, "duration": null, "duration_ms": null,
        "success": true, "complete": false, "span_count": 1, "agent_count": 0, "agents": [],
    });
    assert_eq!(shown, expected);
    assert_eq!(host.get("/registry/trace/open").status, 404);
    assert_eq!((&host.get("/trace/list").json()["total"], &host.status()["correlator"]["active_traces"]), (&json!(0), &json!(1)));
    host.wait_for_exports(1);
    assert_eq!(host.get("/trace/list").json()["traces"], json!([expected]));
}

/// Scenario: a trace with a root, a child that failed, and a span of which only the beginning came.
/// Guarantees: `/registry/trace/{id}` has the keys and types that `meshctl` decodes: nine digits in every time, whole milliseconds, a null parent.
#[test]
fn the_registry_route_answers_as_meshctl_reads() {
    let redis = RedisServer::start();
    let id = "a1b2c3d4-e5f6-7890-abcd-ef1234567890";
    let failed =
        [("success", "False"), ("error", "no such city"), ("start_time", "1795221702.6"), ("duration_ms", "149.9"), ("runtime", "java")];
    let entries = [span(id, "root", None), with(span(id, "child", Some("root")), &failed), began(id)];
    publish(&mut redis.connect(), STREAM, &entries);
    let host = quick(&redis).set("TRACE_TIMEOUT", "100ms").start();
    host.wait_for_exports(1);
    let span = |id_of: &str, more: Value| {
        let mut span = json!({
            "TraceID": id, "SpanID": id_of, "ParentSpan": null, "AgentName": "agent", "AgentID": "agent-1", "IPAddress": "", "Operation": "work",
            "StartTime": "2026-11-21T00:41:42.500000000Z", "EndTime": "2026-11-21T00:41:42.750000000Z", "DurationMS": 250, "Success": true,
            "ErrorMessage": null, "Capability": null, "TargetAgent": null, "Runtime": "unknown",
        });
        span.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        span
    };
    let child = json!({
        "ParentSpan": "root", "StartTime": "2026-11-21T00:41:42.600000000Z", "DurationMS": 149, "Success": false,
        "ErrorMessage": "no such city", "Runtime": "java",
    });
    let open = json!({"AgentName": "", "AgentID": "", "EndTime": null, "DurationMS": null, "Success": null});
    let expected = json!({
        "TraceID": id, "Spans": [span("a", open), span("root", json!({})), span("child", child)],
        "StartTime": "2026-11-21T00:41:42.500000000Z", "EndTime": "2026-11-21T00:41:42.750000000Z", "Duration": 250_000_000,
        "Success": false, "SpanCount": 3, "AgentCount": 1, "Agents": ["agent"],
    });
    assert_eq!(host.get(&format!("/registry/trace/{id}")).json(), expected);
}

/// Scenario: `MESHTRACE_STORE_TRACES=10`, and eleven traces.
/// Guarantees: the oldest fifth has gone, from lists and by id; the rest is there; the status says how many were removed.
#[test]
fn the_store_keeps_the_newest_and_removes_a_fifth_at_once() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let host = quick(&redis).set("MESHTRACE_STORE_TRACES", "10").start();
    one_by_one(&host, &mut connection, 10);
    assert_eq!(host.get("/trace/list").json()["total"], 10);
    publish(&mut connection, STREAM, &[lone("11", "work")]);
    host.wait_for_exports(11);
    let page = host.get("/trace/list").json();
    assert_eq!((ids(&page), &page["total"]), (vec!["11", "10", "9", "8", "7", "6", "5", "4", "3"], &json!(9)));
    assert_eq!(["1", "2", "3"].map(|id| host.get(&format!("/trace/{id}")).status), [404, 404, 200]);
    let store = &host.status()["store"];
    assert_eq!((&store["traces"], &store["max_traces"], &store["removed_by_count"]), (&json!(9), &json!(10), &json!(2)));
    wait_until_settled(&mut connection, GROUP);
}
