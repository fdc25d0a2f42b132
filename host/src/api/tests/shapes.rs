//! What the documents promise: shapes, defaults, limits, order.

use serde_json::json;

use super::*;
use crate::filter::{FilterSummary, OnFailure};
use crate::model::TraceId;
use crate::source::{Role, SourceState};

const ID: &str = "a1b2c3d4-e5f6-7890-abcd-ef1234567890";

#[tokio::test]
async fn the_status_has_the_documented_keys_and_more() {
    let state = state(
        store(),
        Fake {
            state: SourceState::Running,
            role: Some(Role::Leader),
            ..Fake::default()
        },
    );
    let status = get_ok(&state, "/trace/status").await;
    assert_eq!(status["enabled"], true);
    for (part, expected) in [
        (
            "consumer",
            json!({"stream_name": "mesh:trace", "consumer_group": "mcp-mesh-registry-processors", "status": "running",
                   "role": "leader", "leader": "meshtrace-other-7-1", "last_error": null, "foreign_reader": null, "lag": 30, "pending": 12,
                   "restart_safety": {"oldest_age_seconds": 2, "entries": 90_000, "seconds": 45, "retention_seconds": 86_397}, "entries_read": 200, "entries_acknowledged": 190, "entries_dead": 3,
                   "entries_trimmed": 4, "entries_trimmed_unread": 9, "dead_letters_left": 10, "dead_letters_lost": 11,
                   "entries_refused": 6, "held_bytes": 700,
                   "given_up": [{"entry": "5-1", "entries": 2, "stage": "export", "plugin": "json", "reason": "no"}],
                   "disconnects": 5, "settlements_fenced": 7, "settlements_unjournalled": 8,
                   "role_changes": 1, "journal_bytes": 900}),
        ),
        (
            "correlator",
            json!({"active_traces": 5, "total_spans": 12, "oldest_trace_age": "45s", "late_parts": 2,
                   "decided": {"complete": 140, "expired": 7}}),
        ),
        (
            "filters",
            json!({"kept": 147, "dropped": 9, "late_dropped": 1, "dead": 0, "remembered": 8, "plugins": [{"name": "sampling",
                   "state": "running", "order": 10, "on_failure": "pass", "calls": 12, "failures": 1, "passed": 2, "kept": 138,
                   "dropped": 9, "undecided": 7, "dead": 0, "edits": 3, "refused_edits": 0, "swaps": 1, "reasons": [
                   {"reason": null, "kept": 0, "dropped": 4}, {"reason": "errors", "kept": 138, "dropped": 5}],
                   "holding": null, "last_error": "it trapped", "metrics": {"tokens": 1.5}}]}),
        ),
        (
            "exporter",
            json!({"type": "console", "exported_traces": 147, "plugins": [{"name": "console", "state": "running", "required": true,
                   "exported": 147, "dropped": 3, "retries": 4, "failures": 5, "last_error": "it trapped",
                   "metrics": {"lines_written": 50, "depth": 0.5}}]}),
        ),
        (
            "input",
            json!({"events": 160, "unreadable_values": 8, "no_trace_id": 1, "too_large": 9, "open_bytes": 4096, "queued_bytes": 2048, "max_queued_bytes": 8192,
                   "queue_waits": 6, "remembered_traces": 20,
                   "interned_name_bytes": 300}),
        ),
    ] {
        assert_eq!(status[part], expected, "{part}");
    }
    assert_eq!(status["store"]["traces"], 1);
    assert_eq!(status["store"]["retention"], "24h0m0s");
}

#[tokio::test]
async fn the_list_is_paged_newest_first() {
    let store = Arc::new(Store::new(Limits::default()));
    for number in 0..130 {
        store.insert(&[lasting(&format!("t{number}"), 1, Status::Ok)], crate::api::now_unix_ms());
    }
    let state = state(store, Fake::default());
    let list = get_ok(&state, "/trace/list").await;
    assert_eq!((&list["enabled"], &list["count"], &list["total"]), (&json!(true), &json!(20), &json!(130)));
    assert_eq!((&list["limit"], &list["offset"]), (&json!(20), &json!(0)));
    assert_eq!((ids(&list)[0], ids(&list)[19]), ("t129", "t110"));
    let page = get_ok(&state, "/trace/list?limit=2&offset=128").await;
    assert_eq!(ids(&page), ["t1", "t0"]);
    let beyond = get_ok(&state, "/trace/list?offset=99999999999999999999999").await;
    assert_eq!((&beyond["count"], &beyond["total"]), (&json!(0), &json!(130)));
    for limit in ["101", "1000", "99999999999999999999999"] {
        let all = get_ok(&state, &format!("/trace/list?limit={limit}")).await;
        assert_eq!((&all["limit"], &all["count"]), (&json!(100), &json!(100)), "the documented maximum is the answer's");
    }
}

#[tokio::test]
async fn a_trace_is_the_same_in_every_answer() {
    let state = state(store(), Fake::default());
    let trace = get_ok(&state, &format!("/trace/{ID}")).await;
    assert_eq!(trace["duration"], "300ms");
    assert_eq!(get_ok(&state, "/trace/list").await["traces"][0], trace);
    assert_eq!(get_ok(&state, "/trace/search?operation=weather").await["traces"][0], trace);
    let meshctl = get_ok(&state, &format!("/registry/trace/{ID}")).await;
    assert_eq!((&meshctl["TraceID"], &meshctl["Duration"]), (&json!(ID), &json!(300_000_000)));
}

#[tokio::test]
async fn an_open_trace_is_shown_as_not_complete_and_meshctl_is_told_to_ask_again() {
    let open = (*lasting("still-open", 1, Status::Ok)).clone();
    let fake = Fake {
        open: Some(open),
        filters: Some(Vec::new()),
        ..Fake::default()
    };
    let state = state(store(), fake);
    let trace = get_ok(&state, "/trace/still-open").await;
    assert_eq!((&trace["complete"], &trace["span_count"]), (&json!(false), &json!(1)));
    assert_eq!(get(&state, "/registry/trace/still-open").await.0, StatusCode::NOT_FOUND);
    assert_eq!(get_ok(&state, "/trace/list").await["total"], 1, "lists show decided traces");
}

#[tokio::test]
async fn an_open_trace_shows_nothing_that_agents_wrote_while_a_filter_protects() {
    let open = Trace {
        id: TraceId::parse("still-open"),
        ..sample::documented()
    };
    let filter = |state, on_failure, edits| FilterSummary { state, on_failure, edits, ..sampling() };
    for (filter, protects) in [
        (filter("running", OnFailure::Pass, 0), false),
        (filter("running", OnFailure::Pass, 1), true),
        (filter("running", OnFailure::Hold, 0), true),
        (filter("missing", OnFailure::Hold, 0), true),
        (filter("holding", OnFailure::DeadLetter, 0), true),
    ] {
        let fake = Fake {
            open: Some(open.clone()),
            filters: Some(vec![filter]),
            ..Fake::default()
        };
        let trace = get_ok(&state(store(), fake), "/trace/still-open").await;
        assert_eq!((&trace["complete"], &trace["span_count"], &trace["duration_ms"]), (&json!(false), &json!(3), &json!(300)));
        assert_eq!((trace.get("redacted").is_some(), trace["spans"] == json!([])), (protects, protects), "{trace}");
        assert_eq!(trace.to_string().contains("weather"), !protects);
    }
}

#[tokio::test]
async fn a_trace_on_its_way_through_the_filters_is_known() {
    let store = store();
    let passing = Trace {
        id: TraceId::parse("passing"),
        ..sample::documented()
    };
    store.announce([&passing]);
    let state = state(Arc::clone(&store), Fake::default());
    let trace = get_ok(&state, "/trace/passing").await;
    assert_eq!((&trace["complete"], &trace["span_count"], &trace["spans"]), (&json!(false), &json!(3), &json!([])));
    assert!(trace["redacted"].as_str().is_some_and(|why| why.contains("on its way through the filters")), "{trace}");
    store.insert(&[Arc::new(passing)], crate::api::now_unix_ms());
    assert!(get_ok(&state, "/trace/passing").await.get("redacted").is_none());
}

#[tokio::test]
async fn a_hostile_id_is_found_percent_encoded() {
    let store = store();
    store.insert(&[Arc::new(sample::hostile()), lasting("status", 1, Status::Ok)], crate::api::now_unix_ms());
    let state = state(store, Fake::default());
    let encoded: String = sample::HOSTILE.bytes().map(|byte| format!("%{byte:02x}")).collect();
    assert_eq!(get_ok(&state, &format!("/trace/{encoded}")).await["trace_id"], sample::HOSTILE);
    assert_eq!(get_ok(&state, &format!("/registry/trace/{encoded}")).await["TraceID"], sample::HOSTILE);
    let by_parent = get_ok(&state, &format!("/trace/search?parent_span_id={encoded}")).await;
    assert_eq!(ids(&by_parent), [sample::HOSTILE]);
    // An id that is a route's name is still an id.
    assert_eq!(get_ok(&state, "/trace/%73tatus").await["trace_id"], "status");
}

#[tokio::test]
async fn a_search_meets_every_documented_criterion_and_repeats_them() {
    let store = store();
    let traces = [lasting("fast", 5, Status::Ok), lasting("slow", 1_500, Status::Ok), lasting("failed", 20, Status::Error)];
    store.insert(&traces, crate::api::now_unix_ms());
    let state = state(store, Fake::default());
    for (query, expected) in [
        ("", vec!["failed", "slow", "fast", ID]),
        ("?success=false", vec!["failed", ID]),
        ("?success=True", vec!["slow", "fast"]),
        ("?min_duration_ms=1000&limit=10", vec!["slow"]),
        ("?min_duration_ms=20&max_duration_ms=300", vec!["failed", ID]),
        ("?agent_name=weather-service", vec![ID]),
        ("?agent_name=weather", vec![]),
        ("?operation=get_weather&limit=2", vec!["failed", "slow"]),
        ("?operation=process", vec![ID]),
        ("?parent_span_id=x1y2z3w4-a5b6-c789-def0-123456789abc", vec![ID]),
        ("?start_time=2024-01-01T10:00:00Z", vec!["failed", "slow", "fast", ID]),
        ("?start_time=2024-01-01T12:00:00%2B02:00", vec!["failed", "slow", "fast", ID]),
        ("?start_time=2024-01-01T12:00:00.001+02:00", vec![]),
        ("?end_time=2024-01-01T10:00:00.020Z", vec!["failed", "fast"]),
        ("?success=false&agent_name=data-processor&operation=weather", vec![ID]),
    ] {
        assert_eq!(ids(&get_ok(&state, &format!("/trace/search{query}")).await), expected, "{query}");
    }
    let answer = get_ok(&state, "/trace/search?success=0&start_time=2024-01-01T00:00:00Z&limit=500").await;
    let keys: Vec<&String> = answer.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["enabled", "traces", "count", "limit", "criteria"]);
    assert_eq!((&answer["count"], &answer["limit"]), (&json!(2), &json!(100)));
    assert_eq!(answer["criteria"], json!({"success": false, "start_time": "2024-01-01T00:00:00Z"}));
}

#[tokio::test]
async fn answers_say_when_tracing_is_disabled() {
    let mut state = state(Arc::new(Store::new(Limits::default())), Fake::default());
    state.enabled = false;
    for path in ["/trace/status", "/trace/list", "/trace/search"] {
        assert_eq!(get_ok(&state, path).await["enabled"], false, "{path}");
    }
    assert_eq!(get_ok(&state, "/trace/status").await["consumer"]["status"], "disabled");
    assert_eq!(get_ok(&state, "/ready").await, json!({"ready": true, "source": "disabled", "role": null}));
}

#[tokio::test]
async fn statistics_are_the_plugins_own_words() {
    let report = r#"{"total_traces":1250,"success_rate":95.12}"#;
    let state = state(
        store(),
        Fake {
            report: Some(Ok(report.to_owned())),
            ..Fake::default()
        },
    );
    let response = ask(&state, Method::GET, "/trace/stats").await;
    assert_eq!(to_bytes(response.into_body(), usize::MAX).await.unwrap(), report);
}

#[tokio::test]
async fn traces_past_their_retention_are_gone_from_every_answer() {
    let store = Arc::new(Store::new(Limits::default()));
    store.insert(&[lasting("old", 1, Status::Ok)], 1_000);
    let state = state(store, Fake::default());
    assert_eq!(get(&state, "/trace/old").await.0, StatusCode::NOT_FOUND);
    assert_eq!(get_ok(&state, "/trace/list").await["total"], 0);
}

#[test]
fn every_path_is_documented() {
    let read = |name: &str| std::fs::read_to_string(format!("{}/../{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let documents = ["README.md", "docs/PLUGINS.md"].map(read).concat();
    let missing: Vec<_> = crate::api::PATHS.iter().filter(|path| !documents.contains(&format!("`{path}"))).collect();
    assert_eq!(missing, [&""; 0]);
}
