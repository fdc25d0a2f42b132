use meshtrace_plugin::Status;
use meshtrace_plugin::testing::{TestSpan, TestTrace, batch};

use super::*;
use crate::testing::{input, span};

fn policies(list: &str, more: &str) -> Policies {
    Policies::new(Config::parse(&format!(r#"{{"policies":[{list}]{more}}}"#)).unwrap())
}

fn trace(failed: bool) -> TestTrace {
    let status = if failed { Status::Error } else { Status::Ok };
    TestTrace {
        spans: vec![TestSpan { status, ..span() }],
        ..TestTrace::default()
    }
}

/// What becomes of a trace, as text: `-` when it is not sampled, `!` before the reason when it is dropped.
fn decided(policies: &mut Policies, failed: bool) -> String {
    let batch = batch(&[trace(failed)]);
    match policies.decide(&input(&batch, 0)) {
        Outcome::Kept(reason) => reason.to_owned(),
        Outcome::Dropped(reason) => format!("!{reason}"),
        Outcome::NotSampled => "-".to_owned(),
    }
}

const ALL: &str = r#"{"name":"all","type":"always_sample"}"#;
const NONE: &str = r#"{"name":"none","type":"always_off"}"#;
const ERRORS: &str = r#"{"name":"errors","type":"status_code","status_code":{"status_codes":["ERROR"]}}"#;
const DROP_ERRORS: &str = r#"{"name":"no-errors","type":"drop","drop":{"drop_sub_policy":[
    {"name":"errors","type":"status_code","status_code":{"status_codes":["ERROR"]}},{"type":"always_sample"}]}}"#;
const NOT_ERRORS: &str = r#"{"name":"fine","type":"not","not":{"not_sub_policy":{"name":"errors","type":"status_code","status_code":{"status_codes":["ERROR"]}}}}"#;
const INVERTED: &str = r#"{"name":"inverted","type":"string_attribute","string_attribute":{"key":"k","values":["v"],"invert_match":true}}"#;
const INVERTED_NOT: &str = r#"{"name":"veto","type":"boolean_attribute","boolean_attribute":{"key":"b","value":true,"invert_match":true}}"#;
const TWO: &str = r#"{"name":"two","type":"rate_limiting","rate_limiting":{"spans_per_second":1,"burst_capacity":2}}"#;

#[test]
fn dropped_goes_over_sampled_goes_over_not_sampled() {
    let cases: [(&[&str], &str, &str); 11] = [
        (&[ALL], "all", "all"),
        (&[NONE], "-", "-"),
        (&[NONE, ERRORS], "errors", "-"),
        (&[ERRORS, NONE, ALL], "errors", "all"),
        (&[ALL, ERRORS], "all", "all"),
        // What drops is asked first, wherever it stands.
        (&[DROP_ERRORS, ALL], "!no-errors (errors and always_sample)", "all"),
        (&[ALL, DROP_ERRORS], "!no-errors (errors and always_sample)", "all"),
        (&[ERRORS, DROP_ERRORS], "!no-errors (errors and always_sample)", "-"),
        (&[DROP_ERRORS], "!no-errors (errors and always_sample)", "-"),
        (&[NOT_ERRORS], "-", "fine (not errors)"),
        // An inverted match is a decision like others: it vetoes nothing, and is vetoed by nothing.
        (&[NONE, INVERTED], "inverted", "inverted"),
    ];
    for (list, of_failed, of_fine) in cases {
        let mut policies = policies(&list.join(","), "");
        assert_eq!((&*decided(&mut policies, true), &*decided(&mut policies, false)), (of_failed, of_fine), "{list:?}");
    }
}

#[test]
fn an_inverted_match_that_does_not_sample_is_no_veto() {
    let mut policies = policies(&[INVERTED_NOT, ALL].join(","), "");
    let spans = vec![crate::testing::with(&[("b", true.into())])];
    let batch = batch(&[TestTrace { spans, ..TestTrace::default() }]);
    assert_eq!(policies.decide(&input(&batch, 0)), Outcome::Kept("all"));
}

#[test]
fn a_limit_is_used_by_traces_that_another_policy_keeps_unless_the_first_match_ends_it() {
    for (more, last) in [("", "-"), (r#","sample_on_first_match":false"#, "-"), (r#","sample_on_first_match":true"#, "two")] {
        let mut policies = policies(&[ERRORS, TWO].join(","), more);
        assert!(policies.is_stateful());
        let found = [true, true, false].map(|failed| decided(&mut policies, failed));
        assert_eq!(found, ["errors", "errors", last], "{more}");
    }
}

#[test]
fn a_limit_is_not_used_by_traces_that_are_dropped() {
    let mut policies = policies(&[TWO, DROP_ERRORS].join(","), "");
    let found = [true, true, true, false, false, false].map(|failed| decided(&mut policies, failed));
    assert_eq!(&found[3..], ["two", "two", "-"]);
}

#[test]
fn what_could_not_change_the_decision_is_not_asked() {
    // What a regular expression was asked is remembered: nothing when it was not.
    let key = r#"{"name":"key","type":"string_attribute","string_attribute":{"key":"k","values":["x"],"enabled_regex_matching":true}}"#;
    let mut policies = policies(&[ERRORS, key].join(","), "");
    assert!(!policies.is_stateful());
    for (failed, remembered) in [(true, "young: {}"), (false, "young: {\"v\": false}")] {
        let mut trace = trace(failed);
        trace.spans.push(crate::testing::with(&[("k", "v".into())]));
        policies.decide(&input(&batch(&[trace]), 0));
        assert!(format!("{policies:?}").contains(remembered), "{failed}");
    }
}

#[test]
fn the_one_that_decides_is_counted() {
    let mut policies = policies(&[ALL, ERRORS, DROP_ERRORS].join(","), "");
    for failed in [true, true, false] {
        decided(&mut policies, failed);
    }
    let counts: Vec<_> = policies.counts().map(|(policy, count)| (&*policy.name, count)).collect();
    assert_eq!(counts, [("no-errors", 2), ("all", 1), ("errors", 0)]);
}
