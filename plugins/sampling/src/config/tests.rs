use std::collections::BTreeSet;

use super::*;
use crate::rule::{REFUSED, TYPES};
use crate::testing::refusal;

fn error(json: &str) -> String {
    Config::parse(json).unwrap_err()
}

fn policy_error(policy: &str) -> String {
    let error = error(&format!(r#"{{"policies":[{{"name":"ok","type":"always_sample"}},{policy}]}}"#));
    error.strip_prefix("sampling config: ").unwrap().to_owned()
}

#[test]
fn a_collectors_policies_are_taken_as_they_are() {
    // The reference's own examples, as JSON, but for the two types that are about what spans of MCP Mesh do not have.
    let json = r#"{"policies":[
        {"name":"test-policy-1","type":"always_sample"},
        {"name":"test-policy-2","type":"latency","latency":{"threshold_ms":5000,"upper_threshold_ms":10000}},
        {"name":"test-policy-3","type":"numeric_attribute","numeric_attribute":{"key":"key1","min_value":50,"max_value":100}},
        {"name":"test-policy-4","type":"probabilistic","probabilistic":{"sampling_percentage":10}},
        {"name":"test-policy-5","type":"status_code","status_code":{"status_codes":["ERROR","UNSET"]}},
        {"name":"test-policy-6","type":"string_attribute","string_attribute":{"key":"key2","values":["value1","value2"]}},
        {"name":"test-policy-7","type":"string_attribute","string_attribute":
            {"key":"key2","values":["value1","val*"],"enabled_regex_matching":true,"cache_max_size":10}},
        {"name":"test-policy-8","type":"rate_limiting","rate_limiting":{"spans_per_second":35}},
        {"name":"test-policy-9","type":"bytes_limiting","bytes_limiting":{"bytes_per_second":1024000,"burst_capacity":2048000}},
        {"name":"test-policy-10","type":"span_count","span_count":{"min_spans":2,"max_spans":20}},
        {"name":"test-policy-12","type":"boolean_attribute","boolean_attribute":{"key":"key4","value":true}},
        {"name":"and-policy-1","type":"and","and":{"and_sub_policy":[
            {"name":"test-and-policy-1","type":"numeric_attribute","numeric_attribute":{"key":"key1","min_value":50,"max_value":100}},
            {"name":"test-and-policy-2","type":"string_attribute","string_attribute":{"key":"key2","values":["value1","value2"]}}]}},
        {"name":"drop-policy-1","type":"drop","drop":{"drop_sub_policy":[
            {"name":"test-drop-policy-1","type":"string_attribute","string_attribute":
                {"key":"url.path","values":["\\/health","\\/metrics"],"enabled_regex_matching":true}}]}},
        {"name":"composite-policy-1","type":"composite","composite":{
            "max_total_spans_per_second":1000,
            "policy_order":["test-composite-policy-1","test-composite-policy-2","test-composite-policy-3"],
            "composite_sub_policy":[
                {"name":"test-composite-policy-1","type":"numeric_attribute","numeric_attribute":{"key":"key1","min_value":50}},
                {"name":"test-composite-policy-2","type":"string_attribute","string_attribute":{"key":"key2","values":["value1","value2"]}},
                {"name":"test-composite-policy-3","type":"always_sample"}],
            "rate_allocation":[
                {"policy":"test-composite-policy-1","percent":50},
                {"policy":"test-composite-policy-2","percent":25}]}}]}"#;
    let config = Config::parse(json).unwrap();
    assert_eq!((config.policies.len(), config.sample_on_first_match), (14, false));
    assert_eq!(config.policies[13].reasons()[2], "composite-policy-1 (test-composite-policy-3)");
}

#[test]
fn mistakes_around_the_policies_are_named() {
    let cases = [
        ("[]", format!("an object is expected, such as {EXAMPLE}")),
        ("{}", format!("policies is missing; give a list, such as {EXAMPLE}")),
        (r#"{"policies":{}}"#, format!("policies is {{}}; give a list, such as {EXAMPLE}")),
        (r#"{"policies":[]}"#, "policies is empty, and would keep no trace; give a policy, or remove this filter".into()),
        (
            r#"{"policies":[{"name":"a","type":"always_sample"}],"policy":1}"#,
            "unknown key \"policy\"; there are policies and sample_on_first_match".into(),
        ),
        (r#"{"policies":[],"sample_on_first_match":"yes"}"#, "sample_on_first_match is \"yes\"; give true or false".into()),
        (
            r#"{"policies":[],"decision_wait":"10s"}"#,
            "decision_wait is not a setting of this filter: traces come here complete; how long they are waited for is set in the \
             host by MESHTRACE_QUIET_PERIOD, TRACE_TIMEOUT and MESHTRACE_PARENT_WAIT; remove it"
                .into(),
        ),
        (
            r#"{"policies":[],"maximum_trace_size_bytes":1}"#,
            "maximum_trace_size_bytes is not a setting of this filter: the host bounds traces by MESHTRACE_MAX_TRACE_BYTES; one \
             that grows beyond is decided early there, and not dropped; remove it"
                .into(),
        ),
        (
            r#"{"policies":[{"name":"a","type":"always_sample"},{"name":"a","type":"always_off"}]}"#,
            "policy \"a\" comes twice; give each a name of its own".into(),
        ),
    ];
    for (json, expected) in cases {
        assert_eq!(error(json), format!("sampling config: {expected}"));
    }
    assert_eq!(error("{"), "sampling config: EOF while parsing an object at line 1 column 1");
    assert!(EXAMPLE.parse::<Value>().is_ok_and(|_| Config::parse(EXAMPLE).is_ok()));
}

#[test]
fn every_setting_that_the_reference_has_elsewhere_is_explained() {
    let keys = ELSEWHERE.iter().flat_map(|(keys, _)| *keys);
    for key in keys {
        let error = error(&format!(r#"{{"policies":[],"{key}":1}}"#));
        assert!(error.starts_with(&format!("sampling config: {key} is not a setting of this filter: ")), "{error}");
    }
}

#[test]
fn mistakes_in_a_policy_name_it() {
    let types = TYPES.join(", ");
    let cases = [
        ("5", "policies[1]: a policy is an object with a name and a type, and not 5".to_owned()),
        (r#"{"type":"always_sample"}"#, "policies[1]: has no name; give a name that says what the policy is for".into()),
        (r#"{"name":"","type":"always_sample"}"#, "policies[1]: name is empty; give a name that says what the policy is for".into()),
        (r#"{"name":7,"type":"always_sample"}"#, "policies[1]: name is 7; give a text".into()),
        (r#"{"name":"a"}"#, format!("policy \"a\": has no type; give one of {types}")),
        (r#"{"name":"a","type":1}"#, format!("policy \"a\": type is 1; give one of {types}")),
        (r#"{"name":"a","type":"always"}"#, format!("policy \"a\": type is \"always\"; give one of {types}")),
        (r#"{"name":"a","type":"latency"}"#, "policy \"a\" (latency): has no settings; give them in a block latency".into()),
        (
            r#"{"name":"a","type":"always_sample","always_sample":{}}"#,
            "policy \"a\" (always_sample): takes no settings; remove the block always_sample".into(),
        ),
        (
            r#"{"name":"a","type":"boolean_attribute","string_attribute":{"key":"k","value":true}}"#,
            "policy \"a\" (boolean_attribute): has a block string_attribute, but its type is boolean_attribute; change one of them".into(),
        ),
        (
            r#"{"name":"a","type":"always_sample","invert_match":true}"#,
            "policy \"a\" (always_sample): unknown key \"invert_match\"; a policy has name, type and a block that is named like its type"
                .into(),
        ),
    ];
    for (policy, expected) in cases {
        assert_eq!(policy_error(policy), expected);
    }
    let long = format!(r#"{{"name":"{}","type":"always_sample"}}"#, "x".repeat(257));
    assert_eq!(policy_error(&long), "policies[1]: name has 257 bytes; give at most 256");
}

#[test]
fn types_that_have_no_meaning_here_are_refused_with_what_to_do() {
    assert_eq!(
        policy_error(r#"{"name":"a","type":"trace_state","trace_state":{"key":"k","values":["v"]}}"#),
        "policy \"a\": type trace_state is not supported: spans of MCP Mesh carry no trace state, so it would never match; \
         remove this policy"
    );
    for (kind, why) in REFUSED {
        let expected = format!("policy \"a\": type {kind} is not supported: {why}");
        assert_eq!(policy_error(&format!(r#"{{"name":"a","type":{kind:?}}}"#)), expected);
    }
}

#[test]
fn so_many_policies_have_counters() {
    let list = |count: usize| {
        let policies: Vec<String> = (0..count).map(|n| format!(r#"{{"name":"p{n}","type":"always_off"}}"#)).collect();
        format!(r#"{{"policies":[{}]}}"#, policies.join(","))
    };
    assert_eq!(Config::parse(&list(128)).unwrap().policies.len(), 128);
    assert_eq!(error(&list(129)), "sampling config: policies has 129 policies; give at most 128");
}

#[test]
fn the_schema_knows_the_same_types_and_keys() {
    let schema: Value = include_str!("../../config.schema.json").parse().unwrap();
    let kinds: Vec<&str> =
        schema["$defs"]["policy"]["properties"]["type"]["enum"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(kinds, TYPES);
    for kind in TYPES.into_iter().filter(|kind| !kind.starts_with("always_")) {
        // What is allowed is what a wrong key is answered with.
        let answer = refusal(kind, r#"{"no_such_key":1}"#);
        let (_, allowed) = answer.split_once("expected").unwrap_or_else(|| panic!("{answer}"));
        let allowed: BTreeSet<&str> = allowed.split('`').skip(1).step_by(2).collect();
        let known = schema["$defs"][kind]["properties"].as_object().unwrap();
        assert_eq!(known.keys().map(String::as_str).collect::<BTreeSet<_>>(), allowed, "{kind}");
    }
    let top: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    assert_eq!(top, ["policies", "sample_on_first_match"]);
}

#[test]
fn the_readmes_examples_are_configs() {
    let readme = include_str!("../../README.md");
    let examples: Vec<&str> = readme.split("```json").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(examples.len(), 2);
    for example in examples {
        Config::parse(example).unwrap_or_else(|error| panic!("{error}"));
    }
}
