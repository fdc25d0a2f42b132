use meshtrace_plugin::Status;
use meshtrace_plugin::testing::TestSpan;

use crate::testing::{Asked, refusal, span};

/// Traces of errors, of attribute `k` = `v`, and of neither, with so many spans.
#[derive(Clone, Copy, Debug)]
enum Of {
    Error(usize),
    Key(usize),
    Both(usize),
    Neither(usize),
}

impl Of {
    fn spans(self) -> Vec<TestSpan> {
        let (error, key, count) = match self {
            Of::Error(count) => (true, false, count),
            Of::Key(count) => (false, true, count),
            Of::Both(count) => (true, true, count),
            Of::Neither(count) => (false, false, count),
        };
        let first = TestSpan {
            status: if error { Status::Error } else { Status::Ok },
            attributes: if key { vec![("k".into(), "v".into())] } else { Vec::new() },
            ..span()
        };
        let mut spans = vec![first];
        spans.resize(count, span());
        spans
    }
}

/// A composite policy of errors, `k` = `v` and everything, of 100 spans per second.
fn settings(more: &str) -> String {
    format!(
        r#"{{"max_total_spans_per_second":100,"composite_sub_policy":[
            {{"name":"errors","type":"status_code","status_code":{{"status_codes":["ERROR"]}}}},
            {{"name":"key","type":"string_attribute","string_attribute":{{"key":"k","values":["v"]}}}},
            {{"name":"all","type":"always_sample"}}]{more}}}"#
    )
}

fn check(more: &str, steps: &[(u64, Of, bool)]) {
    let mut asked = Asked::new("composite", &settings(more));
    for (ms, trace, sampled) in steps {
        assert_eq!(asked.at(*ms, trace.spans()), *sampled, "{more}: {trace:?} at {ms} ms");
    }
}

const HALF_AND_QUARTER: &str = r#","rate_allocation":[{"policy":"errors","percent":50},{"policy":"key","percent":25}]"#;

#[test]
fn each_policy_keeps_its_share_of_each_second() {
    let steps = [
        (0, Of::Error(50), true),
        (10, Of::Error(1), false),
        (20, Of::Key(20), true),
        (30, Of::Key(6), false),
        // What did not fit leaves room for what does.
        (40, Of::Key(5), true),
        (999, Of::Error(1), false),
        (1_000, Of::Error(50), true),
        (1_999, Of::Key(25), true),
        (2_000, Of::Error(51), false),
    ];
    check(HALF_AND_QUARTER, &steps);
}

#[test]
fn a_policy_without_a_share_fills_what_nobody_else_has() {
    let steps = [
        (0, Of::Neither(26), false),
        (0, Of::Neither(25), true),
        (0, Of::Neither(1), false),
        (0, Of::Error(50), true),
        (0, Of::Key(25), true),
    ];
    check(HALF_AND_QUARTER, &steps);
    // Two without a share have it together; without any shares they have everything.
    let one = r#","rate_allocation":[{"policy":"errors","percent":90}]"#;
    check(one, &[(0, Of::Key(6), true), (0, Of::Neither(5), false), (0, Of::Neither(4), true), (0, Of::Key(1), false)]);
    check("", &[(0, Of::Key(60), true), (0, Of::Error(40), true), (0, Of::Neither(1), false), (1_000, Of::Neither(100), true)]);
    let all = r#","rate_allocation":[{"policy":"errors","percent":50},{"policy":"key","percent":50}]"#;
    check(all, &[(0, Of::Neither(1), false), (0, Of::Error(50), true)]);
}

#[test]
fn zero_percent_is_an_equal_part() {
    let zero = r#","rate_allocation":[{"policy":"errors","percent":0},{"policy":"key"},{"policy":"all","percent":20}]"#;
    check(
        zero,
        &[(0, Of::Error(34), false), (0, Of::Error(33), true), (0, Of::Key(33), true), (0, Of::Neither(20), true), (0, Of::Key(1), false)],
    );
}

#[test]
fn shares_are_exact_percentages() {
    // In floating point 29 % of 100 is a little less than 29.
    let odd = r#","rate_allocation":[{"policy":"errors","percent":29}]"#;
    check(odd, &[(0, Of::Error(29), true), (0, Of::Error(1), false)]);
}

#[test]
fn all_together_stay_within_the_total() {
    let more = r#","rate_allocation":[{"policy":"errors","percent":80},{"policy":"key","percent":80},{"policy":"all","percent":80}]"#;
    check(
        more,
        &[
            (0, Of::Error(80), true),
            (0, Of::Key(21), false),
            (0, Of::Key(20), true),
            (0, Of::Neither(1), false),
            (1_000, Of::Key(80), true),
        ],
    );
}

#[test]
fn the_first_policy_that_samples_decides() {
    // A trace that does not fit is not kept, even where a later policy had room.
    check(HALF_AND_QUARTER, &[(0, Of::Both(50), true), (0, Of::Both(10), false), (0, Of::Key(10), true)]);
}

#[test]
fn policy_order_is_the_order() {
    let ordered = format!(r#","policy_order":["key","errors"]{HALF_AND_QUARTER}"#);
    check(&ordered, &[(0, Of::Both(25), true), (0, Of::Both(1), false), (0, Of::Error(50), true)]);
    let mut asked = Asked::new("composite", &settings(r#","policy_order":["all"]"#));
    assert!(asked.at(0, Of::Both(1).spans()));
    assert_eq!(asked.0.reasons(), ["p (all)", "p (errors)", "p (key)"]);
    assert_eq!(asked.0.last_reason(), 0);
}

#[test]
fn the_reason_names_the_policy_inside() {
    let mut asked = Asked::new("composite", &settings(HALF_AND_QUARTER));
    assert_eq!(asked.0.reasons(), ["p (errors)", "p (key)", "p (all)"]);
    for (trace, reason) in [(Of::Key(1), 1), (Of::Both(1), 0), (Of::Neither(1), 2)] {
        assert!(asked.at(0, trace.spans()));
        assert_eq!(asked.0.last_reason(), reason, "{trace:?}");
    }
}

#[test]
fn mistakes_are_named() {
    let cases = [
        (
            r#","policy_order":["errors","keys"]"#,
            "policy_order has \"keys\", which is not in composite_sub_policy; there are all, errors, key",
        ),
        (r#","policy_order":["all","all"]"#, "policy_order has \"all\" twice; name each policy once"),
        (
            r#","rate_allocation":[{"policy":"x","percent":1}]"#,
            "rate_allocation has \"x\", which is not in composite_sub_policy; there are all, errors, key",
        ),
        (r#","rate_allocation":[{"policy":"all"},{"policy":"all"}]"#, "rate_allocation has \"all\" twice; name each policy once"),
        (
            r#","rate_allocation":[{"policy":"all","percent":101}]"#,
            "rate_allocation gives \"all\" 101 percent; give 0 to 100, 0 for an equal part",
        ),
        (r#","rate_allocation":[{"policy":"all","percentage":5}]"#, "unknown field `percentage`, expected `policy` or `percent`"),
    ];
    for (more, expected) in cases {
        assert_eq!(refusal("composite", &settings(more)), expected);
    }
    let none = r#"{"max_total_spans_per_second":0,"composite_sub_policy":[]}"#;
    assert_eq!(refusal("composite", none), "max_total_spans_per_second is 0; give 1 or more");
    let empty = r#"{"max_total_spans_per_second":1,"composite_sub_policy":[]}"#;
    assert_eq!(refusal("composite", empty), "composite_sub_policy is empty; give at least one policy");
    let twice = r#"{"max_total_spans_per_second":1,"composite_sub_policy":[{"type":"always_off"},{"type":"always_off"}]}"#;
    assert_eq!(refusal("composite", twice), "composite_sub_policy has \"always_off\" twice; give each a name of its own");
}
