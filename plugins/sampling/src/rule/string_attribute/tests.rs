use crate::testing::{ask, of_agent, refusal, span, with};
use meshtrace_plugin::OwnedValue;
use meshtrace_plugin::testing::{TestResource, TestSpan};

#[test]
fn a_text_is_one_of_the_list() {
    let cases = [
        (r#"["a","b"]"#, "b", true),
        (r#"["a","b"]"#, "c", false),
        (r#"["a","b"]"#, "ab", false),
        (r#"["b","a"]"#, "a", true),
        (r#"["A"]"#, "a", false),
        // An expression without regular expressions is just a text.
        (r#"["a.*"]"#, "abc", false),
        (r#"["a.*"]"#, "a.*", true),
        // Empty values match nothing, not even what is empty.
        (r#"[""]"#, "", false),
        (r#"["","x"]"#, "x", true),
    ];
    for (values, text, sampled) in cases {
        for (invert, sampled) in [(false, sampled), (true, !sampled)] {
            let block = format!(r#"{{"key":"k","values":{values},"invert_match":{invert}}}"#);
            assert_eq!(ask("string_attribute", &block, vec![span(), with(&[("k", text.into())])]), sampled, "{block} {text}");
            assert_eq!(ask("string_attribute", &block, vec![span(), of_agent("", &[("k", text.into())])]), sampled, "{block} {text}");
        }
    }
}

#[test]
fn a_text_matches_an_expression_somewhere() {
    let cases = [
        (r#"["b+"]"#, "abc", true),
        (r#"["^b+"]"#, "abc", false),
        (r#"["^b+","c$"]"#, "abc", true),
        (r#"["/v1/name/{id}$"]"#, "GET /v1/name/{id}", true),
        (r#"["^\\d+$"]"#, "١", false),
        (r#"["(?i)ABC"]"#, "xabcx", true),
        (r#"["x"]"#, "abc", false),
        // An empty expression matches every text.
        (r#"[""]"#, "abc", true),
    ];
    for (values, text, sampled) in cases {
        for (invert, sampled) in [(false, sampled), (true, !sampled)] {
            let block = format!(r#"{{"key":"k","values":{values},"enabled_regex_matching":true,"invert_match":{invert}}}"#);
            assert_eq!(ask("string_attribute", &block, vec![span(), with(&[("k", text.into())])]), sampled, "{block} {text}");
        }
    }
}

#[test]
fn an_empty_text_of_a_span_is_none_and_of_an_agent_is_one() {
    let block = r#"{"key":"k","values":["^$"],"enabled_regex_matching":true}"#;
    assert!(!ask("string_attribute", block, vec![with(&[("k", "".into())])]));
    assert!(ask("string_attribute", block, vec![of_agent("", &[("k", "".into())])]));
    assert!(!ask("string_attribute", block, vec![span()]));
}

#[test]
fn only_texts_are_looked_at() {
    let values: [(OwnedValue, bool); 5] =
        [(500.into(), false), (500.0.into(), false), (true.into(), false), ("500".into(), true), (OwnedValue::Json("500".into()), true)];
    for (value, sampled) in values {
        let block = r#"{"key":"k","values":["500","true"]}"#;
        assert_eq!(ask("string_attribute", block, vec![with(&[("k", value.clone())])]), sampled, "{value:?}");
        assert_eq!(ask("string_attribute", block, vec![of_agent("", &[("k", value.clone())])]), sampled, "{value:?}");
    }
}

#[test]
fn what_is_known_of_every_agent_is_found_by_either_name() {
    let resource = TestResource {
        id: "id-1".into(),
        address: "10.0.0.1".into(),
        runtime: "python".into(),
        ..TestResource::default()
    };
    let agent = TestSpan {
        agent: "weather".into(),
        resource,
        ..span()
    };
    let cases = [
        ("service.name", "weather", true),
        ("agent_name", "weather", true),
        ("service.instance.id", "id-1", true),
        ("agent_id", "id-1", true),
        ("agent_ip", "10.0.0.1", true),
        ("process.runtime.name", "python", true),
        ("runtime", "python", true),
        // A list in OpenTelemetry, which is no text.
        ("host.ip", "10.0.0.1", false),
        ("service.name", "id-1", false),
    ];
    for (key, value, sampled) in cases {
        let block = format!(r#"{{"key":{key:?},"values":[{value:?}]}}"#);
        // Also behind spans of another agent, and behind another span of its own.
        let spans = vec![of_agent("other", &[]), agent.clone(), agent.clone()];
        assert_eq!(ask("string_attribute", &block, spans), sampled, "{block}");
    }
}

#[test]
fn a_key_of_the_span_may_be_one_that_agents_have() {
    let span = TestSpan {
        agent: "weather".into(),
        ..with(&[("service.name", "own".into())])
    };
    for value in ["own", "weather"] {
        assert!(ask("string_attribute", &format!(r#"{{"key":"service.name","values":[{value:?}]}}"#), vec![span.clone()]));
    }
}

#[test]
fn mistakes_are_named() {
    assert_eq!(refusal("string_attribute", r#"{"key":"k","values":[]}"#), "values is empty; give at least one text");
    assert_eq!(
        refusal("string_attribute", r#"{"key":"k","values":["a"],"cache_max_size":65537}"#),
        "cache_max_size is 65537; give at most 65536, or 0 for 128"
    );
    assert_eq!(
        refusal("string_attribute", r#"{"key":"k","values":["a","(b"],"enabled_regex_matching":true}"#),
        "values: \"(b\" is no regular expression: unclosed group"
    );
    assert_eq!(
        refusal("string_attribute", r#"{"key":"k","value":"a"}"#),
        "unknown field `value`, expected one of `key`, `values`, `enabled_regex_matching`, `cache_max_size`, `invert_match`"
    );
    assert_eq!(refusal("string_attribute", r#"{"key":"k","values":["a",5]}"#), "values[1]: invalid type: integer `5`, expected a string");
}
