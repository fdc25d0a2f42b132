//! What the reference itself decides: random policies without state, random traces, and the first policy that sampled (or, after `!`,
//! dropped) each, found by running the evaluators of `tailsamplingprocessor` 0.164.1. What it is not followed in is left out.

use meshtrace_plugin::OwnedValue;
use meshtrace_plugin::testing::TestResource;

use super::*;

/// Where a span's start counts from.
const BASE_NS: u64 = 1_000_000_000_000_000_000;

fn attributes(of: &Value) -> Vec<(String, OwnedValue)> {
    let value = |value: &Value| match value {
        Value::String(text) => text.as_str().into(),
        Value::Bool(truth) => (*truth).into(),
        number => number.as_i64().unwrap().into(),
    };
    of.as_object().into_iter().flatten().map(|(key, of)| (key.clone(), value(of))).collect()
}

fn span(of: &Value) -> TestSpan {
    TestSpan {
        agent: of["agent"].as_str().unwrap_or_default().to_owned(),
        start_unix_ns: Some(BASE_NS + of["at"].as_u64().unwrap()),
        duration_ns: of["ns"].as_u64(),
        status: [Status::Unset, Status::Ok, Status::Error][usize::try_from(of["status"].as_u64().unwrap()).unwrap()],
        attributes: attributes(&of["has"]),
        resource: TestResource {
            attributes: attributes(&of["agent_has"]),
            ..TestResource::default()
        },
        ..TestSpan::default()
    }
}

fn trace(of: &Value) -> TestTrace {
    TestTrace {
        id: of["id"].as_str().unwrap().to_owned(),
        spans: of["spans"].as_array().unwrap().iter().map(span).collect(),
        ..TestTrace::default()
    }
}

/// The name of the policy that a reason begins with, as the reference's answers are written.
fn policy(verdict: &str) -> String {
    let (kind, reason) = verdict.split_once(": ").unwrap();
    match (kind, reason.split(' ').next().unwrap()) {
        _ if reason == NOT_SAMPLED => "-".to_owned(),
        ("drop", name) => format!("!{name}"),
        (_, name) => name.to_owned(),
    }
}

#[test]
fn the_reference_decides_the_same() {
    let mut compared = 0;
    for line in include_str!("reference.jsonl").lines() {
        let case: Value = line.parse().unwrap();
        let (mut filter, _) = filter(&case["config"].to_string());
        let rows = case["traces"].as_array().unwrap();
        let found = verdicts(&mut filter, &rows.iter().map(trace).collect::<Vec<_>>());
        for (row, verdict) in rows.iter().zip(&found) {
            assert_eq!(policy(verdict), row["decided"], "{} {row}", case["config"]);
        }
        compared += rows.len();
    }
    assert_eq!(compared, 315);
}
