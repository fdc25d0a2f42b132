//! What is done with what was found.

use super::*;

/// One span with a secret in every place.
fn everywhere() -> [TestTrace; 1] {
    [trace(vec![TestSpan {
        name: "call joe@example.com".into(),
        error: Some("no joe@example.com".into()),
        attributes: vec![("to".into(), "to joe@example.com, kim@example.com".into())],
        ..TestSpan::default()
    }])]
}

fn result(config: &str) -> (String, Option<String>, Vec<(String, OwnedValue)>, Tally) {
    let (mut traces, tally) = redacted(config, &everywhere());
    let span = traces[0].spans.remove(0);
    (span.name, span.error, span.attributes, tally)
}

#[test]
fn masks_take_the_place_of_matches() {
    let (name, error, attributes, tally) = result(r#"{"rules":[{"patterns":["email"],"mask":"<mail>"}]}"#);
    assert_eq!((&*name, error.as_deref()), ("call <mail>", Some("no <mail>")));
    assert_eq!(attributes, [("to".into(), "to <mail>, <mail>".into())]);
    assert_eq!(tally, Tally { masked: 4, ..Tally::default() });
}

#[test]
fn hashes_take_the_place_of_matches_and_are_the_same_everywhere() {
    let config = r#"{"rules":[{"patterns":["email"],"action":"hash"}]}"#;
    let hash = Hasher::new(None).unwrap().hash("joe@example.com");
    let (name, error, attributes, tally) = result(config);
    assert_eq!((name, error), (format!("call {hash}"), Some(format!("no {hash}"))));
    assert!(matches!(&attributes[0].1, OwnedValue::Text(text) if text.starts_with(&format!("to {hash}, sha256:"))));
    assert_eq!(tally, Tally { hashed: 4, ..Tally::default() });
    assert_eq!(attribute(config, "j", OwnedValue::Json(r#"["joe\u0040example.com"]"#.into())), json(&format!(r#"["{hash}"]"#)));
    let keyed = attribute(r#"{"rules":[{"keys":["to"],"action":"hash"}],"hash_key":"0123456789abcdef"}"#, "to", 7_i64);
    assert_eq!(keyed, Some(Hasher::new(Some(b"0123456789abcdef")).unwrap().hash("7").into()));
}

#[test]
fn removal_takes_the_value_that_holds_the_match_and_names_become_the_mask() {
    let (name, error, attributes, tally) = result(r#"{"rules":[{"patterns":["email"],"action":"remove","mask":"gone"}]}"#);
    assert_eq!((&*name, error, attributes), ("gone", None, vec![]));
    assert_eq!(tally, Tally { masked: 1, removed: 2, hashed: 0 });
    let config = r#"{"rules":[{"patterns":["email"],"action":"remove"},{"keys":["pin"],"action":"remove"}]}"#;
    let cases = [
        (r#"{"a": ["x joe@example.com", 1]}"#, r#"{"a": [null, 1]}"#),
        (r#"{"joe@example.com": 1}"#, r#"{"***": 1}"#),
        (r#"{"pin": [1, {"x": 2}], "b": 3}"#, r#"{"pin": null, "b": 3}"#),
    ];
    for (given, expected) in cases {
        assert_eq!(attribute(config, "j", OwnedValue::Json(given.into())), json(expected), "{given}");
    }
    assert_eq!(attribute(config, "t", r#"said "joe@example.com", and more"#), None);
    assert_eq!(attribute(config, "t", r#"said {"pin": 1}"#), text(r#"said {"pin": null}"#));
}

#[test]
fn of_several_rules_the_first_decides_and_nothing_of_an_overlap_stays() {
    let config = r#"{"rules":[
        {"regex":["bcd"],"mask":"1"}, {"regex":["abc","x+"],"mask":"2"}, {"regex":["defg"],"mask":"3"}, {"regex":["x"],"action":"remove"}]}"#;
    let cases = [("abc", "2"), ("-bcd-abc-", "-1-2-"), ("abcd-", "1-"), ("-abcdefg-", "-1-"), ("abc x", "2 2")];
    for (given, expected) in cases {
        assert_eq!(attribute(config, "k", given), text(expected), "{given}");
    }
    // A value that a rule removes is gone, whatever others would do to other parts of it.
    let config = r#"{"rules":[{"regex":["abc"]},{"regex":["xyz"],"action":"remove"}]}"#;
    assert_eq!(attribute(config, "k", "abc xyz"), None);
    // A key that a rule names counts before what others find inside of its value.
    let config = r#"{"rules":[{"patterns":["all"]},{"keys":["k"],"action":"hash"}]}"#;
    assert_eq!(attribute(config, "k", "joe@example.com!"), Some(Hasher::new(None).unwrap().hash("joe@example.com!").into()));
}

#[test]
fn only_groups_named_secret_are_replaced() {
    let config = r#"{"rules":[{"regex":["pin (?P<secret>\\d+)(?: or (?P<secret_2>\\d+))?", "(?P<secret>q)?w"]}]}"#;
    assert_eq!(attribute(config, "k", "pin 12 or 34, pin 56."), text("pin *** or ***, pin ***."));
    assert_eq!(attribute(config, "k", "qw w"), text("***w ***"), "a match without its group counts as a whole");
}

#[test]
fn numbers_that_hold_a_match_become_text() {
    let config = r#"{"rules":[{"patterns":["card"]}]}"#;
    assert_eq!(attribute(config, "n", 4_111_111_111_111_111_i64), text("***"));
    assert_eq!(attribute(config, "n", -4_111_111_111_111_111_i64), text("-***"));
    assert_eq!(attribute(config, "n", 4_111_111_111_111_111.0), text("***"));
    assert_eq!(attribute(config, "n", 4_111_111_111_111_112_i64), Some(4_111_111_111_111_112_i64.into()));
    assert_eq!(attribute(config, "j", OwnedValue::Json("4111111111111111".into())), json(r#""***""#));
}

#[test]
fn rules_that_cannot_be_compiled_are_refused_with_their_place() {
    let cases = [
        (r#"["a", "("]"#, "redact config: rules[0].regex[1] \"(\": "),
        (r#"["x*"]"#, "redact config: rules[0].regex[0] \"x*\": it matches the empty text"),
        (r#"["(?:\\w{50}){50}"]"#, "redact config: rules[0].regex[0] \"(?:\\\\w{50}){50}\": Compiled regex exceeds size limit"),
    ];
    for (regex, part) in cases {
        let error = Redact::init(&format!(r#"{{"rules":[{{"regex":{regex}}}]}}"#)).err().unwrap();
        assert!(error.starts_with(part), "{error}");
    }
}
