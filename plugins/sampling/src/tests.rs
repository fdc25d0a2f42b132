//! Tests of the whole filter on batches made by hand.

use std::cell::Cell;
use std::rc::Rc;

use meshtrace_plugin::testing::{TestSpan, TestTrace, batch};
use meshtrace_plugin::{Status, Verdict};
use serde_json::{Value, json};

use super::*;
use crate::testing::{span, with};

mod reference;

fn filter(config: &str) -> (Sampling, Rc<Cell<Duration>>) {
    let now = Rc::new(Cell::new(Duration::ZERO));
    let clock = Rc::clone(&now);
    (Sampling::new(config, Box::new(move || clock.get())).unwrap(), now)
}

fn trace(part: u32, spans: Vec<TestSpan>) -> TestTrace {
    TestTrace { part, spans, ..TestTrace::default() }
}

fn failed() -> TestSpan {
    TestSpan { status: Status::Error, ..span() }
}

fn verdicts(filter: &mut Sampling, traces: &[TestTrace]) -> Vec<String> {
    let decisions = filter.decide(&batch(traces)).unwrap();
    assert!(decisions.edits().is_empty());
    let text = |row| match decisions.verdict(row) {
        Verdict::Pass => "pass".to_owned(),
        Verdict::Keep(reason) => format!("keep: {reason}"),
        Verdict::Drop(reason) => format!("drop: {reason}"),
    };
    (0..u32::try_from(traces.len()).unwrap()).map(text).collect()
}

const CONFIG: &str = r#"{"policies":[
    {"name":"errors","type":"status_code","status_code":{"status_codes":["ERROR"]}},
    {"name":"some","type":"rate_limiting","rate_limiting":{"spans_per_second":2,"burst_capacity":2}},
    {"name":"probes","type":"drop","drop":{"drop_sub_policy":[
        {"name":"probe","type":"string_attribute","string_attribute":{"key":"capability","values":["health"]}}]}}]}"#;

#[test]
fn each_trace_has_a_verdict_with_the_policy_that_decided() {
    let (mut filter, now) = filter(CONFIG);
    let probe = || vec![failed(), with(&[("capability", "health".into())])];
    let traces = [trace(0, vec![failed()]), trace(0, probe()), trace(0, vec![span()]), trace(0, vec![span()])];
    // The failed trace uses one of the two spans of the limit.
    assert_eq!(verdicts(&mut filter, &traces), ["keep: errors", "drop: probes (probe)", "keep: some", "drop: not sampled"]);
    now.set(Duration::from_millis(500));
    assert_eq!(verdicts(&mut filter, &[trace(0, vec![span()]), trace(0, vec![span()])]), ["keep: some", "drop: not sampled"]);
}

#[test]
fn late_parts_are_passed_and_use_no_limit() {
    let (mut filter, _) = filter(CONFIG);
    let late = [trace(1, vec![span(), span()]), trace(2, vec![failed()]), trace(7, vec![with(&[("capability", "health".into())])])];
    assert_eq!(verdicts(&mut filter, &late), ["pass", "pass", "pass"]);
    assert_eq!(verdicts(&mut filter, &[trace(0, vec![span(), span()])]), ["keep: some"]);
}

#[test]
fn the_report_counts_decisions() {
    let (mut filter, _) = filter(CONFIG);
    let traces = [trace(0, vec![failed()]), trace(0, vec![failed()]), trace(0, vec![span()]), trace(3, vec![span()])];
    verdicts(&mut filter, &traces);
    let report: Value = filter.report().unwrap().parse().unwrap();
    let row = |name: &str, kind: &str, decided: u64| json!({"name": name, "type": kind, "decided": decided});
    let expected = json!({
        "policies": [row("probes", "drop", 0), row("errors", "status_code", 2), row("some", "rate_limiting", 0)],
        "not_sampled": 1,
        "late_parts": 1,
    });
    assert_eq!(report, expected);
}

#[test]
fn a_composite_policy_names_the_policy_inside() {
    let (mut filter, now) = filter(
        r#"{"policies":[{"name":"budget","type":"composite","composite":{"max_total_spans_per_second":10,
            "composite_sub_policy":[
                {"name":"errors","type":"status_code","status_code":{"status_codes":["ERROR"]}},
                {"name":"rest","type":"always_sample"}],
            "rate_allocation":[{"policy":"errors","percent":90}]}}]}"#,
    );
    let traces = [trace(0, vec![failed()]), trace(0, vec![span()]), trace(0, vec![span()])];
    assert_eq!(verdicts(&mut filter, &traces), ["keep: budget (errors)", "keep: budget (rest)", "drop: not sampled"]);
    now.set(Duration::from_secs(1));
    assert_eq!(verdicts(&mut filter, &traces), ["keep: budget (errors)", "keep: budget (rest)", "drop: not sampled"]);
}

#[test]
fn a_wrong_config_is_refused_in_words() {
    let error = Sampling::init("{}").err().unwrap();
    assert!(error.starts_with("sampling config: policies is missing; give a list"), "{error}");
    assert!(Sampling::init(r#"{"policies":[{"name":"all","type":"always_sample"}]}"#).is_ok());
}

#[test]
fn it_describes_itself() {
    let description = Sampling::describe();
    assert_eq!((&*description.name, description.parallel), ("sampling", false));
    assert!(description.config_schema.parse::<Value>().is_ok());
}
