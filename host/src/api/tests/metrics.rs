//! What scrapers get: well-formed text, and the numbers of `/trace/status` and `/plugins`.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::HeaderValue;

use super::plugins::{console, known};
use super::*;
use crate::plugin::{Kind, Limit, Loaded, Record};

async fn scrape(state: &ApiState, accept: Option<&str>) -> (HeaderValue, String) {
    let mut request = Request::builder().uri("/metrics");
    if let Some(accept) = accept {
        request = request.header("accept", accept);
    }
    let response = router(state.clone()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let kind = response.headers()["content-type"].clone();
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (kind, String::from_utf8(bytes.to_vec()).unwrap())
}

/// The labels of a series, and what stands behind them.
fn labels(mut rest: &str) -> (BTreeMap<String, String>, &str) {
    let mut labels = BTreeMap::new();
    while let Some((name, behind)) = rest.strip_prefix(['{', ',']).map(|rest| rest.split_once("=\"").unwrap()) {
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        let (mut value, mut end) = (String::new(), None);
        let mut chars = behind.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => end = Some(at),
                '\\' => value.push(match chars.next().unwrap().1 {
                    'n' => '\n',
                    c @ ('"' | '\\') => c,
                    other => panic!("\\{other} is no escape"),
                }),
                c => value.push(c),
            }
            if end.is_some() {
                break;
            }
        }
        assert_eq!(labels.insert(name.to_owned(), value), None, "{name} comes twice");
        rest = &behind[end.unwrap() + 1..];
    }
    (labels, rest.strip_prefix('}').unwrap_or(rest))
}

type Series = BTreeMap<(String, BTreeMap<String, String>), f64>;

/// Understands OpenMetrics, and panics at what is not.
fn parse(text: &str) -> Series {
    let mut series = Series::new();
    let mut families = BTreeSet::new();
    let (mut family, mut kind, mut lines) = (String::new(), String::new(), text.split_terminator('\n').peekable());
    assert_eq!(text.lines().last(), Some("# EOF"));
    while let Some(line) = lines.next() {
        if line == "# EOF" {
            assert!(lines.next().is_none(), "it is the end");
        } else if let Some(told) = line.strip_prefix("# TYPE ") {
            let (name, own) = told.split_once(' ').unwrap();
            assert!(["counter", "gauge"].contains(&own), "{line}");
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') && !name.ends_with("_total"), "{line}");
            assert!(families.insert(name.to_owned()), "{name} comes twice");
            (family, kind) = (name.to_owned(), own.to_owned());
            if let Some(unit) = lines.next_if(|line| line.starts_with("# UNIT")) {
                let unit = unit.strip_prefix(&format!("# UNIT {family} ")).unwrap();
                assert!(family.ends_with(&format!("_{unit}")), "{family} {unit}");
            }
            let help = lines.next().unwrap().strip_prefix(&format!("# HELP {family} ")).unwrap();
            assert!(help.ends_with('.') && !help.contains(['\\', '"']), "{help}");
        } else {
            let name = &line[..line.find(['{', ' ']).unwrap()];
            assert_eq!(name, if kind == "counter" { format!("{family}_total") } else { family.clone() }, "{line}");
            let (labels, value) = labels(&line[name.len()..]);
            let value: f64 = value.strip_prefix(' ').unwrap().parse().unwrap();
            assert!(kind != "counter" || value >= 0.0, "{line}");
            assert_eq!(series.insert((name.to_owned(), labels), value), None, "{line} comes twice");
        }
    }
    series
}

#[track_caller]
fn value(series: &Series, name: &str, labels: &[(&str, &str)]) -> f64 {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let found = series.get(&(format!("meshtrace_{name}"), labels));
    *found.unwrap_or_else(|| panic!("no {name} in {series:#?}"))
}

/// Plugins with names and texts that a file system and a plugin allow.
fn hostile() -> ApiState {
    let mut filter = Loaded { kind: Kind::Filter, ..loaded() };
    filter.about.version = "\"1.0\"\n{x=\"y\"} 1 ☂ ".repeat(100);
    let record = Record {
        loaded: Some(filter),
        ..Record::default()
    };
    let failed = Record {
        problem: console().problem,
        failed_loads: 3,
        ..Record::default()
    };
    failed.counters.hit(Limit::Memory);
    known(vec![("console", console()), ("sampling", record), ("a\\\"b\n# EOF", failed), ("gone", Record::default())])
}

#[tokio::test]
async fn the_text_is_openmetrics_whatever_plugins_are_called() {
    let (kind, text) = scrape(&hostile(), None).await;
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let series = parse(&text);
    let odd = "a\\\"b\n# EOF";
    assert_eq!(value(&series, "plugin_failed_loads_total", &[("plugin", odd)]), 3.0);
    assert_eq!(value(&series, "plugin_limit_hits_total", &[("plugin", odd), ("limit", "memory-bytes")]), 1.0);
    assert_eq!(value(&series, "plugin_state", &[("plugin", odd), ("state", "failed")]), 1.0);
    assert_eq!(value(&series, "plugin_state", &[("plugin", odd), ("state", "running")]), 0.0);
    let plugins: BTreeSet<&String> = series.keys().filter_map(|(_, labels)| labels.get("plugin")).collect();
    assert_eq!(plugins.into_iter().collect::<Vec<_>>(), [odd, "console", "sampling"], "what has gone is left out");
    let versions: Vec<usize> =
        series.keys().filter_map(|(_, labels)| labels.get("version")).map(|version| version.chars().count()).collect();
    assert_eq!(versions, [5, 5, 64]);
}

#[tokio::test]
async fn an_older_scraper_gets_the_text_that_it_knows() {
    let state = hostile();
    let (kind, old) = scrape(&state, Some("text/plain;version=0.0.4")).await;
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    assert!(old.contains(
        "# TYPE meshtrace_events_total counter\n# HELP meshtrace_events_total Entries that became events.\nmeshtrace_events_total 160\n"
    ));
    assert!(!old.contains("# EOF\n") && !old.contains("# UNIT"));
    let (_, new) = scrape(&state, Some("application/openmetrics-text; version=1.0.0")).await;
    let samples = |text: &str| text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(samples(&old), samples(&new));
}

#[tokio::test]
async fn metrics_are_the_numbers_of_the_status() {
    let state = hostile();
    let (status, series) = (get_ok(&state, "/trace/status").await, parse(&scrape(&state, None).await.1));
    for (path, name, labels) in [
        ("/consumer/entries_read", "entries_read_total", &[][..]),
        ("/consumer/entries_acknowledged", "entries_acknowledged_total", &[]),
        ("/consumer/entries_dead", "entries_dead_total", &[]),
        ("/consumer/entries_trimmed", "entries_trimmed_total", &[("were", "pending")]),
        ("/consumer/entries_trimmed_unread", "entries_trimmed_total", &[("were", "unread")]),
        ("/consumer/dead_letters_lost", "dead_letters_lost_total", &[]),
        ("/consumer/entries_refused", "entries_refused_total", &[]),
        ("/consumer/held_bytes", "held_bytes", &[]),
        ("/consumer/disconnects", "disconnects_total", &[]),
        ("/consumer/lag", "lag_entries", &[]),
        ("/consumer/pending", "pending_entries", &[]),
        ("/consumer/restart_safety/oldest_age_seconds", "oldest_unacknowledged_age_seconds", &[]),
        ("/consumer/restart_safety/entries", "restart_safety_entries", &[]),
        ("/consumer/restart_safety/seconds", "restart_safety_seconds", &[]),
        ("/consumer/restart_safety/retention_seconds", "retention_left_seconds", &[]),
        ("/input/events", "events_total", &[]),
        ("/input/unreadable_values", "unreadable_values_total", &[]),
        ("/input/no_trace_id", "entries_rejected_total", &[("reason", "no_trace_id")]),
        ("/input/too_large", "entries_rejected_total", &[("reason", "too_large")]),
        ("/input/open_bytes", "open_bytes", &[]),
        ("/input/queued_bytes", "queued_bytes", &[]),
        ("/input/max_queued_bytes", "queued_max_bytes", &[]),
        ("/input/queue_waits", "queue_waits_total", &[]),
        ("/input/remembered_traces", "remembered_traces", &[]),
        ("/input/interned_name_bytes", "interned_name_bytes", &[]),
        ("/correlator/active_traces", "open_traces", &[]),
        ("/correlator/total_spans", "open_spans", &[]),
        ("/correlator/late_parts", "late_parts_total", &[]),
        ("/correlator/decided/complete", "decided_traces_total", &[("reason", "complete")]),
        ("/correlator/decided/expired", "decided_traces_total", &[("reason", "expired")]),
        ("/filters/kept", "filtered_traces_total", &[("outcome", "kept")]),
        ("/filters/dropped", "filtered_traces_total", &[("outcome", "dropped")]),
        ("/filters/late_dropped", "filtered_traces_total", &[("outcome", "late_dropped")]),
        ("/filters/dead", "filtered_traces_total", &[("outcome", "dead")]),
        ("/filters/remembered", "remembered_drops", &[]),
        ("/filters/plugins/0/passed", "filter_traces_total", &[("plugin", "sampling"), ("verdict", "passed"), ("reason", "")]),
        ("/filters/plugins/0/undecided", "filter_traces_total", &[("plugin", "sampling"), ("verdict", "undecided"), ("reason", "")]),
        ("/filters/plugins/0/reasons/0/dropped", "filter_traces_total", &[("plugin", "sampling"), ("verdict", "dropped"), ("reason", "")]),
        ("/filters/plugins/0/reasons/1/kept", "filter_traces_total", &[("plugin", "sampling"), ("verdict", "kept"), ("reason", "errors")]),
        (
            "/filters/plugins/0/reasons/1/dropped",
            "filter_traces_total",
            &[("plugin", "sampling"), ("verdict", "dropped"), ("reason", "errors")],
        ),
        ("/filters/plugins/0/edits", "filter_edits_total", &[("plugin", "sampling")]),
        ("/filters/plugins/0/refused_edits", "filter_refused_edits_total", &[("plugin", "sampling")]),
        ("/filters/plugins/0/failures", "plugin_failures_total", &[("plugin", "sampling")]),
        ("/filters/plugins/0/metrics/tokens", "plugin_own_gauge", &[("plugin", "sampling"), ("name", "tokens")]),
        ("/exporter/exported_traces", "exported_traces_total", &[]),
        ("/exporter/plugins/0/exported", "plugin_exported_traces_total", &[("plugin", "console")]),
        ("/exporter/plugins/0/dropped", "plugin_dropped_traces_total", &[("plugin", "console")]),
        ("/exporter/plugins/0/retries", "plugin_retries_total", &[("plugin", "console")]),
        ("/exporter/plugins/0/failures", "plugin_failures_total", &[("plugin", "console")]),
        ("/exporter/plugins/0/metrics/lines_written", "plugin_own_total", &[("plugin", "console"), ("name", "lines_written")]),
        ("/exporter/plugins/0/metrics/depth", "plugin_own_gauge", &[("plugin", "console"), ("name", "depth")]),
        ("/store/traces", "store_traces", &[]),
        ("/store/bytes", "store_bytes", &[]),
        ("/store/removed_by_count", "store_removed_traces_total", &[("bound", "count")]),
        ("/store/removed_by_bytes", "store_removed_traces_total", &[("bound", "bytes")]),
        ("/store/removed_by_age", "store_removed_traces_total", &[("bound", "age")]),
        ("/store/too_large", "store_too_large_traces_total", &[]),
    ] {
        let told = status.pointer(path).and_then(Json::as_f64).unwrap_or_else(|| panic!("{path} is no number in {status}"));
        assert_eq!(value(&series, name, labels), told, "{path}");
    }
    assert_eq!(value(&series, "oldest_open_trace_age_seconds", &[]), 45.678);
    assert_eq!(value(&series, "source_state", &[("state", "disabled")]), 1.0);
}

#[tokio::test]
async fn metrics_of_a_plugin_are_the_numbers_of_its_page() {
    let state = hostile();
    let page = get_ok(&state, "/plugins/console").await;
    let series = parse(&scrape(&state, None).await.1);
    let own = [("plugin", "console")];
    for (path, name) in [
        ("/swaps", "plugin_swaps_total"),
        ("/failed_loads", "plugin_failed_loads_total"),
        ("/calls", "plugin_calls_total"),
        ("/memory_bytes", "plugin_memory_bytes"),
        ("/queue/size", "plugin_queue_max_batches"),
        ("/queue/waiting", "plugin_queue_batches"),
        ("/rejected", "plugin_rejected_traces_total"),
    ] {
        assert_eq!(value(&series, name, &own), page.pointer(path).and_then(Json::as_f64).unwrap(), "{path}");
    }
    for (limit, shown) in page["limits"].as_object().unwrap() {
        let hits = value(&series, "plugin_limit_hits_total", &[("plugin", "console"), ("limit", limit)]);
        assert_eq!(hits, shown["hits"].as_f64().unwrap(), "{limit}");
    }
    assert_eq!(value(&series, "plugin_longest_swap_seconds", &own), page["longest_swap_ms"].as_f64().unwrap() / 1_000.0);
    assert_eq!(value(&series, "plugin_call_seconds_total", &own), page["call_time_ms"].as_f64().unwrap() / 1_000.0);
    assert_eq!(value(&series, "plugin_denials_total", &own), 3.0);
    assert_eq!(value(&series, "plugin_problem", &own), 1.0);
    let info = [("plugin", "console"), ("kind", "exporter"), ("version", "1.2.3"), ("digest", "ab12")];
    assert_eq!(value(&series, "plugin_info", &info), 1.0);
    assert_eq!(value(&series, "plugin_directory_readable", &[]), 0.0, "it has a problem");
}

#[tokio::test]
async fn there_are_never_more_plugins_than_the_bound() {
    let names: Vec<String> = (0..130).map(|number| format!("p{number:03}")).collect();
    let series = parse(&scrape(&known(names.iter().map(|name| (name.as_str(), console())).collect()), None).await.1);
    let shown: BTreeSet<&String> = series.keys().filter_map(|(_, labels)| labels.get("plugin")).collect();
    assert_eq!((shown.len(), value(&series, "plugins_left_out", &[])), (100, 30.0));
}

#[tokio::test]
async fn what_is_counted_of_plugins_is_documented() {
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/PLUGINS.md")).unwrap();
    let series = parse(&scrape(&hostile(), None).await.1);
    let named: BTreeSet<&String> =
        series.keys().map(|(name, _)| name).filter(|name| name.contains("plugin") || name.contains("filter_")).collect();
    assert!(named.len() > 20, "{named:?}");
    let missing: Vec<_> = named.into_iter().filter(|name| !document.contains(&format!("`{name}`"))).collect();
    assert_eq!(missing, [""; 0]);
}
