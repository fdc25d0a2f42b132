//! What is shown of plugins, and what is not.

use std::time::{Duration, SystemTime};

use serde_json::json;

use super::*;
use crate::api::PluginsSummary;
use crate::plugin::{Counters, Denial, Event, Kind, Limit, Loaded, Manifest, Moment, Problem, Record};

const TOML: &str = r#"
    order = -3
    on-failure = "dead-letter"
    max-traces = 10
    instances = 2
    queue = 8
    [config]
    token = "hush"
    [permissions]
    stdout = true
    env = ["API_TOKEN"]
    http = ["api.example.com:443", "[::1]:80", { host = "collector:4318", private = true }]
    dirs = [{ path = "/var/lib/x" }, { path = "/srv", as = "/out", access = "write" }]
    [limits]
    memory-bytes = "64MiB"
"#;

/// So many seconds after the beginning of 2024.
fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_704_067_200 + seconds)
}

fn problem(moment: Option<Moment>) -> Option<Problem> {
    Some(Problem {
        at: at(9),
        moment,
        reason: "no good".to_owned(),
    })
}

fn event(number: u64, what: &'static str, digest: &str, reason: Option<&str>) -> Event {
    Event {
        number,
        at: at(number),
        what,
        digest: digest.to_owned(),
        took: Duration::from_micros(1_500),
        reason: reason.map(str::to_owned),
    }
}

/// One that runs, and whose successor could not be loaded while a third one is.
pub(super) fn console() -> Record {
    let manifest = Manifest::parse(TOML).unwrap();
    let grants = manifest.grants.clone().unwrap();
    let counters = Counters::default();
    counters.hit(Limit::CallTime);
    counters.hit(Limit::CallTime);
    let denial = |what: &str, grant: &str| Denial {
        what: what.to_owned(),
        grant: grant.to_owned(),
    };
    counters.deny(denial("HTTP to evil.example:443", r#"http = ["evil.example:443"]"#));
    counters.deny(denial("a process", ""));
    counters.deny(denial("a process", ""));
    counters.called(Duration::from_micros(2_250));
    Record {
        loaded: Some(Loaded { manifest, grants, ..loaded() }),
        loading: Some((Moment::Compiling, at(10))),
        problem: problem(Some(Moment::Starting)),
        history: [event(1, "loaded", "00ff", None), event(2, "replaced", "ab12", None), event(3, "failed", "", Some("no good"))].into(),
        swaps: 1,
        failed_loads: 1,
        counters: Arc::new(counters),
    }
}

pub(super) fn known(records: Vec<(&str, Record)>) -> ApiState {
    let plugins = PluginsSummary {
        directory: Some("/plugins".into()),
        directory_problem: problem(None),
        records: records.into_iter().map(|(name, record)| (name.to_owned(), record)).collect(),
    };
    state(store(), Fake { plugins, ..Fake::default() })
}

/// What the list says of [`console`], and what the whole of it begins with.
fn console_row() -> Json {
    json!({
        "name": "console", "kind": "exporter", "state": "running", "version": "1.2.3", "source": "bundled console", "digest": "ab12",
        "loaded_at": "2024-01-01T00:00:02.000Z", "required": true,
        "problem": {"at": "2024-01-01T00:00:09.000Z", "moment": "starting", "reason": "no good"},
        "loading": {"moment": "compiling", "since": "2024-01-01T00:00:10.000Z"},
        "swaps": 1, "longest_swap_ms": 1.5, "failed_loads": 1, "exported": 147, "failures": 5, "last_error": "it trapped"
    })
}

#[tokio::test]
async fn the_list_tells_what_runs_and_what_is_wrong() {
    let state = known(vec![("console", console()), ("late", Record::default())]);
    let nothing = json!({
        "name": "late", "kind": null, "state": "gone", "version": null, "source": null, "digest": null, "loaded_at": null, "required": null,
        "problem": null, "loading": null, "swaps": 0, "longest_swap_ms": null, "failed_loads": 0, "exported": 0, "failures": 0, "last_error": null
    });
    let expected = json!({
        "directory": {"path": "/plugins", "problem": {"at": "2024-01-01T00:00:09.000Z", "moment": null, "reason": "no good"}},
        "plugins": [console_row(), nothing]
    });
    assert_eq!(get_ok(&state, "/plugins").await, expected);
    let none = super::state(store(), Fake::default());
    assert_eq!(get_ok(&none, "/plugins").await, json!({"directory": {"path": null, "problem": null}, "plugins": []}));
}

#[tokio::test]
async fn one_plugin_is_shown_with_everything_but_secrets() {
    let state = known(vec![("console", console())]);
    let more = json!({
        "described_as": "printer", "bytes": 4711, "code": {"from": "cache", "took_ms": 3.0}, "order": null, "on_failure": null, "instances": 2, "max_traces": 10,
        "queue": {"size": 8, "waiting": 1},
        "grants": {
            "stdout": true,
            "dirs": [{"path": "/var/lib/x", "as": "/var/lib/x", "access": "read"}, {"path": "/srv", "as": "/out", "access": "write"}],
            "env": ["API_TOKEN"],
            "http": [{"host": "api.example.com:443", "private": false}, {"host": "[::1]:80", "private": false},
                     {"host": "collector:4318", "private": true}]
        },
        "limits": {
            "component-bytes": {"value": "64MiB", "hits": 0},
            "call-time": {"value": "5s", "hits": 2}, "init-time": {"value": "30s", "hits": 0},
            "memory-bytes": {"value": "64MiB", "hits": 0}, "table-elements": {"value": 100_000, "hits": 0},
            "instances": {"value": 64, "hits": 0}, "stack": {"value": "512KiB", "hits": 0},
            "log-bytes-per-second": {"value": "64KiB", "hits": 0}, "log-message-bytes": {"value": "16KiB", "hits": 0},
            "result-bytes": {"value": "16MiB", "hits": 0}, "text-bytes": {"value": "4KiB", "hits": 0},
            "handles": {"value": 1024, "hits": 0}, "http-connections": {"value": 16, "hits": 0},
            "http-time": {"value": "30s", "hits": 0}, "http-request-bytes": {"value": "64MiB", "hits": 0},
            "http-response-bytes": {"value": "4MiB", "hits": 0}
        },
        "denied": [{"what": "HTTP to evil.example:443", "grant": "http = [\"evil.example:443\"]", "count": 1},
                   {"what": "a process", "grant": "", "count": 2}],
        "calls": 1, "call_time_ms": 2.25, "memory_bytes": 0, "rejected": 2, "dropped": 3, "retries": 4,
        "decisions": null, "metrics": {"lines_written": 50, "depth": 0.5},
        "history": [
            {"number": 1, "at": "2024-01-01T00:00:01.000Z", "what": "loaded", "digest": "00ff", "took_ms": 1.5, "reason": null},
            {"number": 2, "at": "2024-01-01T00:00:02.000Z", "what": "replaced", "digest": "ab12", "took_ms": 1.5, "reason": null},
            {"number": 3, "at": "2024-01-01T00:00:03.000Z", "what": "failed", "digest": null, "took_ms": 1.5, "reason": "no good"}
        ]
    });
    let mut expected = console_row();
    expected.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let shown = get_ok(&state, "/plugins/console").await;
    assert_eq!(shown, expected);
    assert!(!shown.to_string().contains("hush"), "a config may hold secrets");
}

#[tokio::test]
async fn a_filter_is_shown_with_what_it_decided() {
    let filter = Loaded {
        kind: Kind::Filter,
        manifest: Manifest::parse(TOML).unwrap(),
        ..loaded()
    };
    let record = Record {
        loaded: Some(filter),
        ..Record::default()
    };
    let shown = get_ok(&known(vec![("sampling", record)]), "/plugins/sampling").await;
    let decisions = json!({
        "passed": 2, "kept": 138, "dropped": 9, "undecided": 7, "dead": 0, "edits": 3, "refused_edits": 0,
        "reasons": [{"reason": null, "kept": 0, "dropped": 4}, {"reason": "errors", "kept": 138, "dropped": 5}]
    });
    assert_eq!((&shown["decisions"], &shown["metrics"]), (&decisions, &json!({"tokens": 1.5})));
    assert_eq!((&shown["kind"], &shown["order"], &shown["on_failure"]), (&json!("filter"), &json!(-3), &json!("dead-letter")));
    assert_eq!((&shown["queue"], &shown["failures"], &shown["last_error"]), (&Json::Null, &json!(1), &json!("it trapped")));
}

#[tokio::test]
async fn the_state_is_one_word() {
    let failed = Record {
        problem: problem(Some(Moment::Reading)),
        failed_loads: 1,
        ..Record::default()
    };
    let loading = Record {
        loading: Some((Moment::Reading, at(1))),
        ..failed.clone()
    };
    let state = known(vec![("failed", failed), ("gone", Record::default()), ("loading", loading), ("running", console())]);
    for name in ["failed", "gone", "loading", "running"] {
        assert_eq!(get_ok(&state, &format!("/plugins/{name}")).await["state"], name);
    }
}

#[tokio::test]
async fn what_never_ran_shows_what_it_ran_into() {
    let record = Record {
        problem: problem(Some(Moment::Starting)),
        ..Record::default()
    };
    record.counters.hit(Limit::Memory);
    let shown = get_ok(&known(vec![("bomb", record)]), "/plugins/bomb").await;
    assert_eq!(shown["limits"]["memory-bytes"], json!({"value": null, "hits": 1}));
    assert_eq!((&shown["grants"], &shown["queue"], &shown["metrics"]), (&Json::Null, &Json::Null, &Json::Null));
}

#[tokio::test]
async fn a_report_is_the_plugins_own_words() {
    let mut fake = Fake {
        report: Some(Ok(r#"{"traces":7}"#.to_owned())),
        ..Fake::default()
    };
    fake.plugins.records = [("stats".to_owned(), console()), ("console".to_owned(), console())].into();
    let state = state(store(), fake);
    assert_eq!(get_ok(&state, "/plugins/stats/report").await, json!({"traces": 7}));
    let none = json!({"error": "the plugin has no report, or does not run", "plugin": "console"});
    assert_eq!(get(&state, "/plugins/console/report").await, (StatusCode::NOT_FOUND, none));
}

#[tokio::test]
async fn an_unknown_plugin_is_a_404_that_lists_those_there_are() {
    let state = known(vec![("console", console()), ("späte ☂", Record::default())]);
    let expected = json!({"error": "no such plugin", "plugin": "no/such", "plugins": ["console", "späte ☂"]});
    for path in ["/plugins/no%2Fsuch", "/plugins/no%2Fsuch/report"] {
        assert_eq!(get(&state, path).await, (StatusCode::NOT_FOUND, expected.clone()));
    }
    assert_eq!(get_ok(&state, "/plugins/sp%C3%A4te%20%E2%98%82").await["name"], "späte ☂");
    assert_eq!(get(&state, "/plugins/%ff").await.0, StatusCode::BAD_REQUEST);
}
