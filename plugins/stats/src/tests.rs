//! Tests of the whole exporter on batches made by hand.

use super::*;
use meshtrace_plugin::Status;
use meshtrace_plugin::testing::{TestSpan, TestTrace, batch};
use serde_json::{Value, json};

fn trace(part: u32, ms: Option<u64>, spans: &[(&str, &str, Status)]) -> TestTrace {
    let span = |(name, agent, status): &(&str, &str, Status)| TestSpan {
        name: (*name).into(),
        agent: (*agent).into(),
        status: *status,
        start_unix_ns: ms.map(|_| 1_700_000_000_000_000_000),
        duration_ns: ms.map(|ms| ms * 1_000_000),
        ..TestSpan::default()
    };
    TestTrace {
        id: "t".into(),
        part,
        incomplete: ms.is_none(),
        spans: spans.iter().map(span).collect(),
        ..TestTrace::default()
    }
}

fn report(stats: &mut Stats) -> Value {
    let mut report: Value = serde_json::from_str(&stats.report().unwrap()).unwrap();
    let since = report.as_object_mut().unwrap().remove("since").unwrap();
    let since: jiff::Timestamp = since.as_str().unwrap().parse().unwrap();
    assert!(since.as_second() > 1_600_000_000);
    report
}

#[test]
fn an_empty_report_has_every_field() {
    let expected = json!({
        "total_traces": 0, "success_traces": 0, "failed_traces": 0, "success_rate": 0.0, "avg_duration_ms": 0.0,
        "avg_spans_per_trace": 0.0, "p50_duration_ms": 0.0, "p95_duration_ms": 0.0, "p99_duration_ms": 0.0,
        "agents_involved": [], "top_operations": [], "total_spans": 0, "late_parts": 0, "failed_late_parts": 0,
        "incomplete_traces": 0, "other": {"agents": 0, "operations": 0},
    });
    assert_eq!(report(&mut Stats::init("{}").unwrap()), expected);
}

#[test]
fn counts_are_exact_and_late_parts_are_no_traces() {
    let mut stats = Stats::init("{}").unwrap();
    let traces = [
        trace(0, Some(100), &[("a", "x", Status::Ok), ("b", "y", Status::Ok)]),
        trace(0, Some(300), &[("a", "x", Status::Ok)]),
        trace(0, None, &[("a", "", Status::Error), ("", "z", Status::Error)]),
    ];
    assert_eq!(stats.export(&batch(&traces)), Outcome::Delivered);
    stats.export(&batch(&[trace(1, Some(9000), &[("late", "x", Status::Error)])]));
    let expected = json!({
        "total_traces": 3, "success_traces": 2, "failed_traces": 1, "success_rate": 66.67, "avg_duration_ms": 200.0,
        "avg_spans_per_trace": 2.0, "p50_duration_ms": 100.139, "p95_duration_ms": 300.0, "p99_duration_ms": 300.0,
        "agents_involved": ["x", "y", "z"],
        "top_operations": [{"operation": "a", "count": 3}, {"operation": "b", "count": 1}, {"operation": "late", "count": 1}],
        "total_spans": 6, "late_parts": 1, "failed_late_parts": 1, "incomplete_traces": 1,
        "other": {"agents": 0, "operations": 0},
    });
    let mut found = report(&mut stats);
    for (key, exact) in [("p50_duration_ms", 100.0), ("p95_duration_ms", 300.0), ("p99_duration_ms", 300.0)] {
        let estimate = found[key].as_f64().unwrap();
        assert!((estimate - exact).abs() <= exact * 0.01, "{key}: {estimate}");
        found[key] = expected[key].clone();
    }
    assert_eq!(found, expected);
}

#[test]
fn hostile_numbers_of_names_run_into_the_bound() {
    let mut stats = Stats::init(r#"{"max_operations":5,"max_agents":3}"#).unwrap();
    for n in 0..100 {
        let (name, agent) = (format!("op{n}"), format!("agent{n}"));
        stats.export(&batch(&[trace(0, Some(1), &[(&name, &agent, Status::Ok), ("op1", "agent1", Status::Ok)])]));
    }
    let report = report(&mut stats);
    assert_eq!(report["other"], json!({"agents": 97, "operations": 95}));
    assert_eq!(report["agents_involved"], json!(["agent0", "agent1", "agent2", "other"]));
    assert_eq!(report["top_operations"][0], json!({"operation": "op1", "count": 101}));
    assert_eq!(report["top_operations"][1], json!({"operation": "other", "count": 95}));
    assert_eq!(report["top_operations"].as_array().unwrap().len(), 6);
}

#[test]
fn durations_of_centuries_do_not_fill_the_sum() {
    let mut stats = Stats::init("{}").unwrap();
    let span = TestSpan {
        start_unix_ns: Some(1_000_000),
        duration_ns: Some(u64::MAX - 1_000_000),
        ..TestSpan::default()
    };
    for _ in 0..3 {
        stats.export(&batch(&[TestTrace {
            spans: vec![span.clone()],
            ..TestTrace::default()
        }]));
    }
    let mut restored = Stats::init("{}").unwrap();
    restored.restore(&stats.snapshot()).unwrap();
    let average = report(&mut restored)["avg_duration_ms"].as_f64().unwrap();
    assert!((average - 18_446_744_073_708.55).abs() < 1.0, "{average}");
}

#[test]
fn a_snapshot_carries_everything_over() {
    let mut old = Stats::init("{}").unwrap();
    old.export(&batch(&[trace(0, Some(70), &[("a", "x", Status::Error)]), trace(1, None, &[("b", "y", Status::Ok)])]));
    let mut new = Stats::init("{}").unwrap();
    new.restore(&old.snapshot()).unwrap();
    assert_eq!(new.totals, old.totals);
    let mut small = Stats::init(r#"{"max_operations":1}"#).unwrap();
    small.restore(&old.snapshot()).unwrap();
    assert_eq!(report(&mut small)["other"]["operations"], 1);
}

#[test]
fn garbage_is_refused_and_changes_nothing() {
    let mut stats = Stats::init("{}").unwrap();
    stats.export(&batch(&[trace(0, Some(70), &[("a", "x", Status::Ok)])]));
    let (before, good) = (stats.totals.clone(), String::from_utf8(stats.snapshot()).unwrap());
    let damaged = [
        String::new(),
        "garbage".into(),
        "{}".into(),
        good[..good.len() - 1].into(),
        good.replace("\"version\":1", "\"version\":2"),
        good.replace("\"failed\":0", "\"failed\":9"),
        good.replace("\"histogram\":[[", "\"histogram\":[[99"),
        good.replace("\"traces\":1", "\"traces\":-1"),
    ];
    for snapshot in damaged {
        assert!(stats.restore(snapshot.as_bytes()).is_err(), "{snapshot}");
        assert_eq!(stats.totals, before);
    }
    assert!(stats.restore(b"{\"version\":7}").unwrap_err().contains("version 7"));
}
