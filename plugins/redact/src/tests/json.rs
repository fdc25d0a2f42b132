//! JSON, text that holds JSON, and text that only looks like it.

use super::*;

/// Rules of every kind at once.
const RULES: &str = r#"{"rules":[
    {"keys":["pin","*_id"]}, {"keys":["user"],"action":"hash"}, {"patterns":["all"]}, {"regex":["s3c\\w+"],"mask":"<own>"}]}"#;

#[test]
fn json_stays_json_and_all_else_stays_as_it_was_written() {
    let cases = [
        // Strings, decoded before they are searched.
        (r#"{ "to" : "joe\u0040example.com\n!" }"#, r#"{ "to" : "***\n!" }"#),
        (r#"["A \"joe@example.com\" B"]"#, r#"["A \"***\" B"]"#),
        (r#""joe@example.com""#, r#""***""#),
        // Numbers.
        (r#"[4111111111111111, 1.50, 1e400, 123456789012345678901234567890]"#, r#"["***", 1.50, 1e400, 123456789012345678901234567890]"#),
        (r#"{"n":4111111111111111.0}"#, r#"{"n":"***.0"}"#),
        // Keys: their own text, and the values that they name.
        (r#"{"joe@example.com":{"x":1}}"#, r#"{"***":{"x":1}}"#),
        (
            r#"{"pin": 1234, "PIN": [1, {"a": "}"}], "order_id": {"b": []}, "c": 2}"#,
            r#"{"pin": "***", "PIN": "***", "order_id": "***", "c": 2}"#,
        ),
        (r#"{"pin": null, "api_key": "", "a": {"pin": ""}}"#, r#"{"pin": null, "api_key": "", "a": {"pin": ""}}"#),
        (r#"{"a":{"b":{"c":[{"pin":"x","d":"y"}]}}}"#, r#"{"a":{"b":{"c":[{"pin":"***","d":"y"}]}}}"#),
        // JSON in strings, and in strings of those.
        (r#"{"body":"{\"pin\": 7, \"n\": 1}"}"#, r#"{"body":"{\"pin\": \"***\", \"n\": 1}"}"#),
        (r#"["[\"[\\\"joe@example.com\\\"]\"]"]"#, r#"["[\"[\\\"***\\\"]\"]"]"#),
        // The operator's own expressions see the whole, too.
        (r#"{"a": "s3cret", "b": ["x"]}"#, r#"{"a": "<own>", "b": ["x"]}"#),
        // Nothing to do.
        (
            r#"{"a": [true, false, null, {}], "b": "ü", "llm_total_tokens": 5}"#,
            r#"{"a": [true, false, null, {}], "b": "ü", "llm_total_tokens": 5}"#,
        ),
    ];
    for (given, expected) in cases {
        assert_eq!(attribute(RULES, "j", OwnedValue::Json(given.into())), json(expected), "{given}");
        // Text is looked into in the same way, and stays text.
        assert_eq!(attribute(RULES, "j", given), text(expected), "{given}");
    }
}

#[test]
fn hashes_of_values_are_those_of_what_they_say() {
    let hash = |text: &str| Hasher::new(None).unwrap().hash(text);
    let given = r#"{"user": "j\u006fe", "x": {"user": 7}, "y": {"user": [1, 2]}}"#;
    let expected = format!(r#"{{"user": "{}", "x": {{"user": "{}"}}, "y": {{"user": "{}"}}}}"#, hash("joe"), hash("7"), hash("[1, 2]"));
    assert_eq!(attribute(RULES, "j", OwnedValue::Json(given.into())), json(&expected));
}

#[test]
fn a_hash_is_not_found_again_by_the_operators_own_expressions() {
    let config = r#"{"rules":[{"regex":["\\w{6,}"],"action":"hash"}]}"#;
    let expected = format!(r#"["{}"]"#, Hasher::new(None).unwrap().hash("secret"));
    assert_eq!(attribute(config, "j", OwnedValue::Json(r#"["secret"]"#.into())), json(&expected));
}

#[test]
fn expressions_across_json_that_break_it_leave_text() {
    let config = r#"{"rules":[{"regex":["\"ssn\": (?P<secret>\\d+)"]},{"regex":["\\[1, 2"],"mask":"<cut>"}]}"#;
    assert_eq!(attribute(config, "j", OwnedValue::Json(r#"{"ssn": 123}"#.into())), text(r#"{"ssn": ***}"#));
    assert_eq!(attribute(config, "j", OwnedValue::Json(r#"[[1, 2, 3]]"#.into())), text("[<cut>, 3]]"));
}

#[test]
fn what_is_no_json_is_searched_as_far_as_it_goes_and_as_text() {
    let cases = [
        // Cut off in a string, a key, a value, after a colon.
        (r#"{"a": {"pin": "12"#, r#"{"a": {"pin": "***""#),
        (r#"{"pin": [1, 2, {"x"#, r#"{"pin": "***""#),
        (r#"{"a": "joe@example.com"#, r#"{"a": "***""#),
        (r#"{"a": 1, "pin":"#, r#"{"a": 1, "pin":"#),
        (r#"{"joe@example.co"#, r#"{"***""#),
        // Log lines, Python's notation, JSON lines.
        ("[ERROR] no joe@example.com here", "[ERROR] no *** here"),
        (r#""joe@example.com" failed with s3cret"#, r#""***" failed with <own>"#),
        ("{'to': 'joe@example.com', 'password': 'x y'}", "{'to': '***', 'password': '***'}"),
        (r#"upstream said {"pin": 1, "x": "a\u0040b.cc"} of 4111111111111111"#, r#"upstream said {"pin": "***", "x": "***"} of ***"#),
        (r#"no such "thing": try 'password="x y"'"#, r#"no such "thing": try 'password="***"'"#),
        ("[4111111111111111, 5", "[***, 5"),
        ("{\"pin\": 1}\n{\"pin\": 2}", "{\"pin\": \"***\"}\n{\"pin\": \"***\"}"),
        ("{]]}:,:\"", "{]]}:,:\""),
    ];
    for (given, expected) in cases {
        assert_eq!(attribute(RULES, "j", given), text(expected), "{given}");
        let as_json = attribute(RULES, "j", OwnedValue::Json(given.into()));
        let expected = if given == expected { json(given) } else { text(expected) };
        assert_eq!(as_json, expected, "what was no JSON before is none after: {given}");
    }
}

#[test]
fn errors_that_hold_json_are_looked_into() {
    let span = TestSpan {
        error: Some(r#"{"pin": 1, "message": "card 4111 1111 1111 1111"}"#.into()),
        ..TestSpan::default()
    };
    assert!(span.error.as_ref().is_some_and(|error| error.contains(CARD)));
    let (traces, tally) = redacted(RULES, &[trace(vec![span])]);
    assert_eq!(traces[0].spans[0].error.as_deref(), Some(r#"{"pin": "***", "message": "card ***"}"#));
    assert_eq!(tally.masked, 2);
}

#[test]
fn deep_and_wide_json_takes_time_in_proportion_to_its_size() {
    let rules = rules(r#"{"rules":[{"keys":["k"],"patterns":["email"]},{"keys":["pin"]},{"patterns":["email"],"except":["x"]}]}"#);
    let plan = rules.plan(Place::Attributes);
    let count = 20_000;
    let deep = |open: &str, middle: &str, close: &str| format!("{}{middle}{}", open.repeat(count), close.repeat(count));
    let texts = [
        deep("[", "\"a@b.cc\"", "]"),
        deep("{\"a\":", "\"a@b.cc\"", "}"),
        deep("{\"k\":", "\"a@b.cc\"", "}"),
        deep("{\"k\":{\"x\":", "\"a@b.cc\"", "}}"),
        deep("{\"k\":", "\"a@b.cc\"", ""),
        "{\"pin\":[".repeat(count),
        format!("[{}1]", "\"a@b.cc\",".repeat(count)),
        format!("{{{}\"pin\":1}}", "\"pin\":1,".repeat(count)),
    ];
    for text in texts {
        let started = std::time::Instant::now();
        let (fate, _) = text::redact(&rules, &text, plan, text::Form::Json);
        assert!(!matches!(&fate, text::Fate::Text(done) | text::Fate::Json(done) if done.contains("a@b.cc")), "{}", &text[..20]);
        assert!(started.elapsed().as_secs() < 15, "{} took {:?}", &text[..20], started.elapsed());
    }
}
