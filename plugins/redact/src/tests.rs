//! Tests of the whole filter on batches made by hand.

mod actions;
mod json;
mod keys;

use super::*;
use meshtrace_plugin::testing::{TestResource, TestSpan, TestTrace, batch, damaged_batch, edited};
use meshtrace_plugin::{OwnedValue, Verdict};

const CARD: &str = "4111 1111 1111 1111";

fn rules(config: &str) -> Rules {
    Rules::new(&Config::parse(config, |_| None).unwrap()).unwrap()
}

fn trace(spans: Vec<TestSpan>) -> TestTrace {
    TestTrace { spans, ..TestTrace::default() }
}

/// A span with one attribute.
fn span(key: &str, value: impl Into<OwnedValue>) -> TestSpan {
    TestSpan {
        attributes: vec![(key.into(), value.into())],
        ..TestSpan::default()
    }
}

/// What a config makes of traces, and how much it found.
fn redacted(config: &str, traces: &[TestTrace]) -> (Vec<TestTrace>, Tally) {
    let found = redact_batch(&rules(config), &batch(traces)).unwrap();
    (edited(traces, &found.decisions), found.tally)
}

/// What a config makes of one attribute; `None`: it is gone.
fn attribute(config: &str, key: &str, value: impl Into<OwnedValue>) -> Option<OwnedValue> {
    let (traces, _) = redacted(config, &[trace(vec![span(key, value)])]);
    traces[0].spans[0].attributes.iter().find(|(known, _)| known == key).map(|(_, value)| value.clone())
}

fn text(text: &str) -> Option<OwnedValue> {
    Some(OwnedValue::Text(text.into()))
}

fn json(text: &str) -> Option<OwnedValue> {
    Some(OwnedValue::Json(text.into()))
}

#[test]
fn an_empty_config_masks_in_every_place_and_touches_nothing_else() {
    let secret = TestSpan {
        name: "login joe@example.com".into(),
        error: Some("401 for postgres://joe:s3cret@db".into()),
        attributes: vec![
            ("args".into(), OwnedValue::Json(r#"{"card": 4111111111111111, "n": 1.50}"#.into())),
            ("auth".into(), "Bearer abcdef123456".into()),
            ("pan".into(), 4_111_111_111_111_111_i64.into()),
            ("amount".into(), 4_111_111_111_111_111.0.into()),
            ("plain".into(), "plain".into()),
            ("ok".into(), true.into()),
        ],
        ..TestSpan::default()
    };
    let harmless = TestSpan {
        name: "tool:get_weather".into(),
        error: Some(String::new()),
        attributes: vec![("llm_total_tokens".into(), 512_i64.into()), ("empty".into(), "".into())],
        ..TestSpan::default()
    };
    let expected = TestSpan {
        name: "login ***".into(),
        error: Some("401 for postgres://joe:***@db".into()),
        attributes: vec![
            ("plain".into(), "plain".into()),
            ("ok".into(), true.into()),
            ("amount".into(), "***".into()),
            ("args".into(), OwnedValue::Json(r#"{"card": "***", "n": 1.50}"#.into())),
            ("auth".into(), "Bearer ***".into()),
            ("pan".into(), "***".into()),
        ],
        ..TestSpan::default()
    };
    let (traces, tally) = redacted("{}", &[trace(vec![harmless.clone(), secret]), trace(vec![harmless.clone()])]);
    assert_eq!(traces[0].spans, [harmless.clone(), expected]);
    assert_eq!(traces[1].spans, [harmless]);
    assert_eq!(tally, Tally { masked: 6, hashed: 0, removed: 0 });
}

#[test]
fn late_parts_are_redacted_too_and_every_trace_passes() {
    let traces = [0, 1, 7].map(|part| TestTrace {
        part,
        ..trace(vec![span("mail", "joe@example.com")])
    });
    let decisions = Redact::init("{}").unwrap().decide(&batch(&traces)).unwrap();
    assert!((0..3).all(|row| decisions.verdict(row) == Verdict::Pass));
    for trace in edited(&traces, &decisions) {
        assert_eq!(trace.spans[0].attributes, [("mail".to_owned(), "***".into())]);
    }
}

#[test]
fn a_batch_that_contradicts_itself_is_an_error_and_not_a_pass() {
    let traces = [trace(vec![span("mail", "joe@example.com"), span("a", "b")])];
    let error = Redact::init("{}").unwrap().decide(&damaged_batch(&traces)).unwrap_err();
    assert_eq!(error, "nothing of the batch was redacted: the batch contradicts itself: it names string 4294967295, and has 6");
}

#[test]
fn what_no_edit_reaches_is_counted() {
    let agent = |id: &str, port: &str| TestSpan {
        resource: TestResource {
            id: id.into(),
            attributes: vec![("contact".into(), port.into()), ("password".into(), "x".into())],
            ..TestResource::default()
        },
        ..TestSpan::default()
    };
    let traces = [trace(vec![agent("1", "ops@example.com"), agent("2", "ops@example.com"), agent("3", "none")])];
    let found = redact_batch(&rules("{}"), &batch(&traces)).unwrap();
    assert_eq!((found.out_of_reach, found.decisions.edits().len()), (5, 0));
    let mut filter = Redact::init("{}").unwrap();
    filter.decide(&batch(&[trace(vec![agent("1", "none")])])).unwrap();
    assert!(filter.warned);
}

#[test]
fn each_distinct_text_is_searched_once() {
    const SPANS: usize = 4_000;
    let (long, rules) = ("no secrets here, but many words. ".repeat(2 << 10), rules("{}"));
    let built = batch(&[trace(vec![span("text", &*long); SPANS])]);
    let started = std::time::Instant::now();
    assert!((0..SPANS / 100).all(|_| rules.is_clean(&long)));
    let hundredth = started.elapsed();
    let started = std::time::Instant::now();
    assert_eq!(redact_batch(&rules, &built).unwrap().decisions.edits(), []);
    assert!(started.elapsed() < hundredth * 20, "{:?}, and a hundredth of the searches takes {hundredth:?}", started.elapsed());
}

#[test]
fn the_description_carries_the_schema() {
    let description = Redact::describe();
    let schema: serde_json::Value = serde_json::from_str(&description.config_schema).unwrap();
    assert_eq!(description.name, "redact");
    let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&schema["properties"]), ["hash_key", "hash_key_env", "rules"]);
    assert_eq!(keys(&schema["$defs"]["rule"]["properties"]), ["action", "except", "in", "keys", "mask", "patterns", "regex"]);
    assert_eq!(schema["properties"]["rules"]["maxItems"], config::MAX_RULES);
}

#[test]
fn a_secret_is_gone_from_whatever_stands_around_it() {
    let rules = rules("{}");
    let plan = rules.plan(Place::Attributes);
    let around = ["{", "}", "[", "]", "\"", ":", ",", "\\", "\\u00", "{\"a\":", "true", "-1.5e3", " ", "\n", "ü", "key=", "{\\\"x\\\": "];
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |bound: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % bound as u64) as usize
    };
    for _ in 0..3_000 {
        let mut text: String = (0..below(12)).map(|_| around[below(around.len())]).collect();
        text.push_str(if below(2) == 0 { " joe@example.com " } else { "\" 4111111111111111 \"" });
        text.extend((0..below(12)).map(|_| around[below(around.len())]));
        for form in [text::Form::Text, text::Form::Json, text::Form::Name, text::Form::Key] {
            let (fate, tally) = text::redact(&rules, &text, plan, form);
            let (text::Fate::Text(redacted) | text::Fate::Json(redacted)) = &fate else { panic!("{text}: {fate:?}") };
            assert!(!redacted.contains("joe@example.com") && !redacted.contains("4111111111111111"), "{text} became {redacted}");
            assert!(tally.masked > 0);
            let is_json = serde_json::from_str::<serde::de::IgnoredAny>(redacted).is_ok();
            assert!(is_json || !matches!(fate, text::Fate::Json(_)), "{text} became {redacted}");
        }
    }
}
