//! Rules that name keys, keys that hold secrets, and where rules look.

use super::*;

#[test]
fn globs_name_keys_whatever_their_case() {
    let config = r#"{"rules":[{"keys":["authorization","*_token","user.?d","a*b*c"],"except":["page_*"]}]}"#;
    for key in ["authorization", "Authorization", "x_token", "_TOKEN", "user.id", "abc", "a.b.c", "aXbYc"] {
        assert_eq!(attribute(config, key, "value"), text("***"), "{key}");
    }
    for key in ["authorizations", "x_tokens", "userXid.", "user.idd", "ab", "page_token", "PAGE_token", "x_token\n!"] {
        assert_eq!(attribute(config, key, "value"), text("value"), "{key}");
    }
}

#[test]
fn a_named_key_takes_values_of_every_type_but_not_empty_ones() {
    let config = r#"{"rules":[{"keys":["k"]}]}"#;
    let values: [OwnedValue; 5] = ["text".into(), true.into(), 1_i64.into(), 0.5.into(), OwnedValue::Json("[1, 2]".into())];
    for value in values {
        assert_eq!(attribute(config, "k", value.clone()), text("***"), "{value:?}");
    }
    assert_eq!(attribute(config, "k", ""), text(""));
}

#[test]
fn with_patterns_keys_say_where_to_look() {
    let config = r#"{"rules":[{"keys":["note*"],"patterns":["email"],"except":["*_public"]}]}"#;
    assert_eq!(attribute(config, "note", "joe@example.com wrote"), text("*** wrote"));
    assert_eq!(attribute(config, "note_public", "joe@example.com"), text("joe@example.com"));
    assert_eq!(attribute(config, "other", "joe@example.com"), text("joe@example.com"));
    let given = r#"{"note": {"to": ["joe@example.com"], "x_public": "joe@example.com"}, "to": "joe@example.com"}"#;
    let expected = r#"{"note": {"to": ["***"], "x_public": "joe@example.com"}, "to": "joe@example.com"}"#;
    assert_eq!(attribute(config, "j", OwnedValue::Json(given.into())), json(expected));
}

#[test]
fn rules_look_only_where_they_are_told() {
    let traces = [trace(vec![TestSpan {
        name: "a@b.cc".into(),
        error: Some("a@b.cc".into()),
        attributes: vec![("k".into(), "a@b.cc".into())],
        ..TestSpan::default()
    }])];
    let cases =
        [("names", ["***", "a@b.cc", "a@b.cc"]), ("errors", ["a@b.cc", "***", "a@b.cc"]), ("attributes", ["a@b.cc", "a@b.cc", "***"])];
    for (place, [name, error, value]) in cases {
        let (traces, tally) = redacted(&format!(r#"{{"rules":[{{"patterns":["email"],"in":["{place}"]}}]}}"#), &traces);
        let span = &traces[0].spans[0];
        assert_eq!((&*span.name, span.error.as_deref(), &span.attributes[0].1), (name, Some(error), &value.into()), "{place}");
        assert_eq!(tally.masked, 1);
    }
}

#[test]
fn one_text_under_two_keys_or_in_two_places_is_judged_for_each() {
    let config = r#"{"rules":[{"keys":["secret_id"],"action":"hash"},{"keys":["x"],"action":"remove"},{"regex":["s3"],"in":["errors"]}]}"#;
    let value = "s3cret";
    let span = TestSpan {
        name: value.into(),
        error: Some(value.into()),
        attributes: vec![("a".into(), value.into()), ("secret_id".into(), value.into()), ("x".into(), value.into())],
        ..TestSpan::default()
    };
    let (traces, tally) = redacted(config, &[trace(vec![span.clone(), span])]);
    for span in &traces[0].spans {
        assert_eq!((&*span.name, span.error.as_deref()), (value, Some("***cret")));
        let hash = Hasher::new(None).unwrap().hash(value);
        assert_eq!(span.attributes, [("a".to_owned(), value.into()), ("secret_id".to_owned(), hash.into())]);
    }
    assert_eq!(tally, Tally { masked: 2, hashed: 2, removed: 2 });
}

#[test]
fn keys_that_announce_a_secret_give_their_whole_value_away() {
    let config = r#"{"rules":[{"patterns":["assigned_secret"]}]}"#;
    for key in
        ["password", "db.PASSWORD", "x-api-key", "clientSecret", "http.request.header.authorization", "cookie", "set-cookie", "token"]
    {
        assert_eq!(attribute(config, key, "hunter2, really"), text("***"), "{key}");
    }
    for key in ["password_hint", "passwordless", "llm_total_tokens", "page_token", "secretary", "capability"] {
        assert_eq!(attribute(config, key, "hunter2"), text("hunter2"), "{key}");
    }
    assert_eq!(attribute(config, "has_password", true), Some(true.into()), "a truth value is no secret");
    assert_eq!(attribute(config, "password", 1234_i64), text("***"));
    assert_eq!(
        attribute(config, "j", OwnedValue::Json(r#"{"password": {"old": "a", "new": "b"}, "secret": null, "has_secret": true}"#.into())),
        json(r#"{"password": "***", "secret": null, "has_secret": true}"#)
    );
}

#[test]
fn keys_that_hold_a_secret_are_renamed_and_no_attribute_is_lost() {
    let attributes = |pairs: &[(&str, OwnedValue)]| pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect::<Vec<_>>();
    let span = TestSpan {
        attributes: attributes(&[
            ("a@b.cc", 1_i64.into()),
            ("by a@b.cc", "x@y.zz".into()),
            ("c@d.ee", true.into()),
            ("plain", OwnedValue::Json("[1]".into())),
        ]),
        ..TestSpan::default()
    };
    let traces = [trace(vec![span])];
    let (after, tally) = redacted("{}", &traces);
    let expected =
        attributes(&[("plain", OwnedValue::Json("[1]".into())), ("***", 1_i64.into()), ("by ***", "***".into()), ("***#3", true.into())]);
    assert_eq!((&after[0].spans[0].attributes, tally.masked), (&expected, 4));
    let (after, tally) = redacted(r#"{"rules":[{"patterns":["email"],"action":"remove"}]}"#, &traces);
    assert_eq!((&after[0].spans[0].attributes, tally.removed), (&attributes(&[("plain", OwnedValue::Json("[1]".into()))]), 3));
    // An empty mask leaves no empty key, and a name that the span has already is not taken twice.
    let (after, _) = redacted(
        r#"{"rules":[{"patterns":["email"],"mask":""}]}"#,
        &[trace(vec![TestSpan {
            attributes: attributes(&[("***", 1_i64.into()), ("a@b.cc", 2_i64.into())]),
            ..TestSpan::default()
        }])],
    );
    assert_eq!(after[0].spans[0].attributes, attributes(&[("***", 1_i64.into()), ("***#2", 2_i64.into())]));
}
