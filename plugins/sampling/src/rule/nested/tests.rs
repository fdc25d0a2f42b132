use meshtrace_plugin::testing::{TestSpan, TestTrace};

use crate::decision::Decision;
use crate::testing::{Asked, ask, refusal, span};

const YES: &str = r#"{"type":"always_sample"}"#;
const NO: &str = r#"{"type":"always_off"}"#;
const TWO_SPANS_A_SECOND: &str = r#"{"name":"limit","type":"rate_limiting","rate_limiting":{"spans_per_second":1,"burst_capacity":2}}"#;

fn and(list: &[&str]) -> String {
    format!(r#"{{"and_sub_policy":[{}]}}"#, list.join(","))
}

fn drop(list: &[&str]) -> String {
    format!(r#"{{"drop_sub_policy":[{}]}}"#, list.join(","))
}

fn not(policy: &str) -> String {
    format!(r#"{{"not_sub_policy":{policy}}}"#)
}

#[test]
fn all_policies_of_and_must_sample() {
    let cases: [(&[&str], bool); 6] =
        [(&[YES], true), (&[NO], false), (&[YES, YES], true), (&[YES, NO], false), (&[NO, YES], false), (&[YES, YES, NO], false)];
    for (list, sampled) in cases {
        assert_eq!(ask("and", &and(list), vec![span()]), sampled, "{list:?}");
    }
}

#[test]
fn behind_the_first_that_does_not_sample_no_limit_is_used() {
    let failed = r#"{"type":"status_code","status_code":{"status_codes":["ERROR"]}}"#;
    let error = || {
        vec![TestSpan {
            status: meshtrace_plugin::Status::Error,
            ..span()
        }]
    };
    for (list, kept_after) in [([failed, TWO_SPANS_A_SECOND], true), ([TWO_SPANS_A_SECOND, failed], false)] {
        let mut asked = Asked::new("and", &and(&list));
        assert!(!asked.at(0, vec![span()]) && !asked.at(0, vec![span()]));
        assert_eq!(asked.at(0, error()), kept_after, "{list:?}");
    }
}

#[test]
fn drop_drops_what_all_of_its_policies_sample_and_else_has_no_opinion() {
    let cases: [(&[&str], Decision); 5] = [
        (&[YES], Decision::Dropped),
        (&[NO], Decision::NotSampled),
        (&[YES, YES], Decision::Dropped),
        (&[YES, NO], Decision::NotSampled),
        (&[NO, YES], Decision::NotSampled),
    ];
    for (list, decision) in cases {
        let trace = TestTrace {
            spans: vec![span()],
            ..TestTrace::default()
        };
        assert_eq!(Asked::new("drop", &drop(list)).decide(0, trace), decision, "{list:?}");
    }
}

#[test]
fn not_turns_the_decision_around() {
    let of_not = |policy: &str| format!(r#"{{"type":"not","not":{}}}"#, not(policy));
    let of_and = format!(r#"{{"type":"and","and":{}}}"#, and(&[YES, NO]));
    let cases = [(YES.to_owned(), false), (NO.to_owned(), true), (of_not(YES), true), (of_and, true)];
    for (policy, sampled) in cases {
        assert_eq!(ask("not", &not(&policy), vec![span()]), sampled, "{policy}");
    }
}

#[test]
fn inverted_matches_are_plain_decisions_inside_of_others() {
    let inverted = r#"{"type":"string_attribute","string_attribute":{"key":"k","values":["v"],"invert_match":true}}"#;
    assert!(ask("and", &and(&[inverted, YES]), vec![span()]));
    assert!(!ask("not", &not(inverted), vec![span()]));
    assert!(!ask("and", &and(&[inverted]), vec![crate::testing::with(&[("k", "v".into())])]));
}

#[test]
fn a_reason_names_the_policies_inside_as_far_as_there_is_room() {
    let of = |kind: &str, settings: &str| Asked::new(kind, settings).0.reasons();
    assert_eq!(of("and", &and(&[TWO_SPANS_A_SECOND, YES])), ["p (limit and always_sample)"]);
    assert_eq!(of("not", &not(TWO_SPANS_A_SECOND)), ["p (not limit)"]);
    let long = of("drop", &drop(&[YES; 100]));
    assert!(long[0].ends_with('…') && long[0].len() == 512 + '…'.len_utf8(), "{long:?}");
}

#[test]
fn a_limit_inside_of_others_makes_them_stateful() {
    let of = |kind: &str, settings: String| Asked::new(kind, &settings).0.rule.is_stateful();
    let inner = format!(r#"{{"type":"and","and":{}}}"#, and(&[TWO_SPANS_A_SECOND]));
    for policy in [TWO_SPANS_A_SECOND, &inner] {
        assert!(of("and", and(&[YES, policy])) && of("drop", drop(&[policy])) && of("not", not(policy)));
    }
    assert!(!of("and", and(&[YES])) && !of("drop", drop(&[YES])) && !of("not", not(YES)));
}

#[test]
fn mistakes_are_named_with_all_policies_around_them() {
    assert_eq!(refusal("and", &and(&[])), "and_sub_policy is empty; give at least one policy");
    assert_eq!(refusal("drop", &drop(&[])), "drop_sub_policy is empty; give at least one policy");
    assert_eq!(refusal("not", "{}"), "missing field `not_sub_policy`");
    assert_eq!(refusal("not", r#"{"not_sub_policy":[]}"#), "not_sub_policy: a policy is an object with a name and a type, and not []");
    let bad = r#"{"name":"slow","type":"latency","latency":{"threshold":1}}"#;
    let around = format!(r#"{{"type":"not","not":{}}}"#, not(bad));
    assert_eq!(
        refusal("and", &and(&[YES, &around])),
        "and_sub_policy[1] (not): sub policy \"slow\" (latency): unknown field `threshold`, expected `threshold_ms` or `upper_threshold_ms`"
    );
    for kind in ["drop", "composite"] {
        let inner = format!(r#"{{"name":"x","type":"{kind}"}}"#);
        let expected = format!("sub policy \"x\": a {kind} policy is not allowed inside of another; list it in policies");
        assert_eq!(refusal("and", &and(&[&inner])), expected);
    }
}

#[test]
fn policies_are_only_so_deep() {
    let mut policy = YES.to_owned();
    for _ in 0..7 {
        policy = format!(r#"{{"type":"not","not":{}}}"#, not(&policy));
    }
    assert!(ask("not", &not(&policy), vec![span()]), "turned around eight times");
    policy = format!(r#"{{"type":"not","not":{}}}"#, not(&policy));
    assert!(refusal("not", &not(&policy)).ends_with("is more than 8 policies deep; make it flatter"));
}
