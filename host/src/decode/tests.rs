//! One test for each rule of the wire, on what real agents sent and on the documented events.

use proptest::prelude::*;

use super::{Decoder, Event, MAX_ENTRY_BYTES, MAX_FIELDS, RETRY_FIELD, Reject, Retry};
use crate::model::{Receipt, SpanState, Status, UnixNanos, Value};
use crate::source::Batch;

pub(super) fn decode_bytes(fields: &[(&[u8], &[u8])]) -> Result<Event, Reject> {
    decode_by(&mut Decoder::default(), fields)
}

fn decode_by(decoder: &mut Decoder, fields: &[(&[u8], &[u8])]) -> Result<Event, Reject> {
    let mut batch = Batch::default();
    batch.push_entry(Receipt { stream: 0, ms: 1, seq: 0 }, 1);
    for (key, value) in fields {
        batch.push_field(key, value);
    }
    let entry = batch.drain().next().expect("one entry");
    decoder.decode(&entry)
}

fn decode(fields: &[(&str, &str)]) -> Event {
    let mut all = vec![(&b"trace_id"[..], &b"t"[..]), (b"span_id", b"s")];
    all.extend(fields.iter().map(|(key, value)| (key.as_bytes(), value.as_bytes())));
    decode_bytes(&all).expect("an event")
}

fn nanos(text: i128) -> Option<UnixNanos> {
    UnixNanos::new(text)
}

/// Every captured entry of one runtime: its fields, and what they decode to.
pub(super) fn captured(file: &str) -> Vec<(serde_json::Map<String, serde_json::Value>, Event)> {
    let path = format!("{}/../tests/fixtures/mesh-events-{file}.ndjson", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the fixture");
    let mut events = Vec::new();
    for line in text.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        let fields = entry["fields"].as_object().expect("fields").clone();
        let pairs: Vec<(&[u8], &[u8])> =
            fields.iter().map(|(key, value)| (key.as_bytes(), value.as_str().expect("text").as_bytes())).collect();
        let event = decode_bytes(&pairs).expect("an event");
        events.push((fields, event));
    }
    events
}

#[test]
fn captured_events_of_all_runtimes_decode_as_their_formatters_wrote_them() {
    let mut count = 0;
    for (fields, event) in ["python", "typescript", "java"].into_iter().flat_map(captured) {
        let text = |key: &str| fields.get(key).and_then(|value| value.as_str()).unwrap_or_default();
        assert_eq!(event.trace.to_string(), text("trace_id"));
        assert_eq!(event.span.id.to_string(), text("span_id"));
        assert_eq!(event.span.name.as_str(), text("function_name"));
        assert_eq!(event.span.resource.name.as_str(), text("agent_name"));
        assert_eq!(event.span.resource.address.as_str(), text("agent_ip"));
        assert_eq!(event.span.state, SpanState::Closed);
        let failed = text("success").eq_ignore_ascii_case("false");
        assert_eq!(event.span.status, if failed { Status::Error } else { Status::Ok });
        let seconds = text("start_time").parse::<f64>().expect("a number") * 1e9;
        let start = event.span.start.expect("a start").get() as f64;
        assert!((start - seconds).abs() < 1000.0, "{start} {seconds}");
        count += 1;
    }
    assert_eq!(count, 204 + 14 + 14);
}

#[test]
fn nothing_that_was_captured_is_thrown_away() {
    const OWN_FIELD: [&str; 12] = [
        "trace_id",
        "span_id",
        "parent_span",
        "function_name",
        "start_time",
        "end_time",
        "duration_ms",
        "success",
        "error",
        "agent_name",
        "agent_id",
        "agent_ip",
    ];
    for (fields, event) in ["python", "typescript", "java"].into_iter().flat_map(captured) {
        let attributes = event.span.attributes.iter().chain(&event.span.resource.attributes);
        let mut kept: Vec<(&str, String)> = attributes.map(|own| (own.key.as_str(), own.value.text().into_owned())).collect();
        kept.push(("runtime", event.span.resource.runtime.as_str().to_owned()));
        for (key, value) in fields.iter().filter(|(key, _)| !OWN_FIELD.contains(&key.as_str())) {
            let value = value.as_str().expect("text");
            let found = kept.iter().find(|(own, _)| own == key).map(|(_, text)| text.as_str());
            let same_number = || found.and_then(|text| text.parse::<f64>().ok()) == value.parse::<f64>().ok();
            assert!(found == Some(value) || (key == "published_at" && same_number()), "{key}: {value:?} became {found:?}");
        }
    }
}

#[test]
fn every_word_for_nothing_is_a_root() {
    for nothing in ["null", "None", "none", "NONE", "", "  "] {
        assert_eq!(decode(&[("parent_span", nothing)]).span.parent, None, "{nothing:?}");
    }
    assert_eq!(decode(&[]).span.parent, None);
    let verbatim = decode(&[("parent_span", "caller/7 ")]).span.parent.expect("a parent");
    assert_eq!(verbatim.to_string(), "caller/7 ");
}

#[test]
fn success_says_whether_a_span_failed_not_error() {
    assert_eq!(decode(&[("success", "False"), ("error", "null")]).span.status, Status::Error);
    assert_eq!(decode(&[("success", "false"), ("error", "")]).span.status, Status::Error);
    assert_eq!(decode(&[("success", "True"), ("error", "boom")]).span.status, Status::Ok);
    let unknown = decode(&[("success", "perhaps"), ("error", "boom")]).span;
    assert_eq!(unknown.status, Status::Unset);
    assert_eq!(unknown.error.as_str(), "boom");
    assert_eq!(unknown.attribute("success").map(|value| value.text().into_owned()).as_deref(), Some("perhaps"));
}

#[test]
fn times_are_read_from_text_without_a_float_between() {
    let span = decode(&[("start_time", "1795221702.9446528"), ("end_time", "1.795221945673E9")]).span;
    assert_eq!(span.start, nanos(1_795_221_702_944_652_800));
    assert_eq!(span.end, nanos(1_795_221_945_673_000_000));
}

#[test]
fn the_measured_duration_wins_over_the_difference_of_times() {
    let span = decode(&[("start_time", "1795221702.0"), ("end_time", "1795221702.299999952"), ("duration_ms", "300")]).span;
    assert_eq!(span.duration().map(|duration| duration.nanos()), Some(300_000_000));
    let span = decode(&[("start_time", "10"), ("end_time", "10.5")]).span;
    assert_eq!(span.duration().map(|duration| duration.nanos()), Some(500_000_000));
}

#[test]
fn unreadable_and_impossible_numbers_are_unknown_and_kept() {
    for (key, value) in
        [("start_time", "yesterday"), ("start_time", "NaN"), ("end_time", "-5"), ("start_time", "99999999999"), ("duration_ms", "-1")]
    {
        let span = decode(&[(key, value)]).span;
        assert_eq!((span.start, span.end, span.measured), (None, None, None), "{key}={value}");
        assert_eq!(span.attribute(key).map(|kept| kept.text().into_owned()).as_deref(), Some(value));
    }
}

#[test]
fn the_documented_events_settle_into_one_span() {
    let base = [("operation", "tool:get_weather"), ("agent_name", "weather"), ("ip_address", "10.0.0.1")];
    let event = |more: &[(&str, &str)]| decode(&[&base[..], more].concat()).span;
    let start = event(&[("event_type", "span_start"), ("timestamp", "1640995200.123")]);
    assert_eq!((start.state, start.start, start.end), (SpanState::Open, nanos(1_640_995_200_123_000_000), None));
    let end = event(&[("event_type", "span_end"), ("timestamp", "1640995200.273"), ("duration_ms", "150"), ("success", "true")]);
    let mut span = start.clone();
    span.settle(end.clone());
    assert_eq!((span.state, span.status), (SpanState::Closed, Status::Ok));
    assert_eq!(span.duration().map(|duration| duration.nanos()), Some(150_000_000));
    assert_eq!(span.resource.address.as_str(), "10.0.0.1");
    let mut failed = end;
    failed.settle(event(&[("event_type", "error"), ("timestamp", "1640995200.2"), ("error_message", "boom")]));
    assert_eq!((failed.status, failed.error.as_str()), (Status::Error, "boom"));
}

#[test]
fn a_capability_and_a_target_are_attributes_and_numbers_have_types() {
    let span = decode(&[
        ("capability", "get_weather"),
        ("llm_input_tokens", "120"),
        ("dependencies", "[\"a\"]"),
        ("args_count", "007"),
        ("made_up", "x"),
    ])
    .span;
    assert_eq!(span.attribute("capability"), Some(Value::Text("get_weather")));
    assert_eq!(span.attribute("llm_input_tokens"), Some(Value::Integer(120)));
    assert!(matches!(span.attribute("dependencies"), Some(Value::Json(_))));
    assert!(matches!(span.attribute("args_count"), Some(Value::Text(_))));
    assert!(span.attribute("made_up").is_some());
}

#[test]
fn fields_that_mean_the_same_or_come_twice_are_all_kept() {
    let span = decode(&[
        ("error", "a"),
        ("error_message", "b"),
        ("operation", "o"),
        ("function_name", "f"),
        ("agent_ip", "1"),
        ("ip_address", "2"),
    ])
    .span;
    assert_eq!((span.error.as_str(), span.name.as_str(), span.resource.address.as_str()), ("a", "o", "1"));
    for (key, value) in [("error_message", "b"), ("function_name", "f"), ("ip_address", "2")] {
        assert_eq!(span.attribute(key).map(|kept| kept.text().into_owned()).as_deref(), Some(value));
    }
    let nothing = decode(&[("agent_ip", "null"), ("ip_address", "2"), ("agent_name", "None")]).span;
    assert_eq!((nothing.resource.address.as_str(), nothing.resource.name.as_str()), ("2", ""));
    let twice = decode(&[("error", "first"), ("error", "second")]).span;
    assert_eq!(twice.error.as_str(), "second");
    assert_eq!(twice.attribute("error").map(|kept| kept.text().into_owned()).as_deref(), Some("first"));
}

#[test]
fn times_and_outcomes_that_are_not_used_or_come_twice_are_kept() {
    let kept = |fields: &[(&str, &str)], key: &str| decode(fields).span.attribute(key).map(|kept| kept.text().into_owned());
    let complete = [("start_time", "1"), ("end_time", "2"), ("timestamp", "3")];
    assert_eq!(kept(&complete, "timestamp").as_deref(), Some("3"));
    assert_eq!(kept(&[("start_time", "1"), ("timestamp", "1.0")], "timestamp"), None, "it says the same");
    let start = [("event_type", "span_start"), ("timestamp", "1"), ("end_time", "2")];
    assert_eq!(kept(&start, "end_time").as_deref(), Some("2"));
    let at_once = [("event_type", "span_start"), ("start_time", "1"), ("end_time", "1")];
    assert_eq!(kept(&at_once, "end_time").as_deref(), Some("1"), "the span is open, whatever its start says");
    let end = [("event_type", "span_end"), ("end_time", "2"), ("timestamp", "3")];
    assert_eq!(kept(&end, "timestamp").as_deref(), Some("3"));
    assert_eq!(kept(&[("event_type", "error"), ("timestamp", "2"), ("success", "true")], "success").as_deref(), Some("true"));
    for (key, first, second) in [("start_time", "1", "2"), ("duration_ms", "10", "20"), ("success", "true", "false")] {
        assert_eq!(kept(&[(key, first), (key, second)], key).as_deref(), Some(first), "{key}");
        assert_eq!(kept(&[(key, first), (key, first)], key), None, "{key}");
    }
}

#[test]
fn ids_are_opaque() {
    for id in ["A1B2", "a1b2c3d4-e5f6-7890-abcd-ef1234567890", "line1\nline2", "nul\0", "\"quoted\"", &"x".repeat(200)] {
        let event = decode_bytes(&[(b"trace_id", id.as_bytes()), (b"span_id", id.as_bytes())]).expect("an event");
        assert_eq!((event.trace.to_string(), event.span.id.to_string()), (id.to_owned(), id.to_owned()));
    }
    let long = "y".repeat(5000);
    let event = decode_bytes(&[(b"trace_id", long.as_bytes()), (b"span_id", b"s")]).expect("an event");
    assert!(event.trace.to_string().starts_with("sha256:"));
    assert_eq!(event.span.attribute("trace_id").map(|kept| kept.text().into_owned()), Some(long));
}

#[test]
fn what_is_no_span_is_refused_with_its_reason() {
    assert_eq!(decode_bytes(&[(b"span_id", b"s")]), Err(Reject::NoTraceId));
    assert_eq!(decode_bytes(&[(b"trace_id", b"null"), (b"span_id", b"s")]), Err(Reject::NoTraceId));
    assert_eq!(decode_bytes(&[(b"trace_id", b"t"), (b"span_id", b" ")]), Err(Reject::NoSpanId));
    let odd = [(&b"trace_id"[..], &b"t"[..]), (b"span_id", b"s"), (b"event_type", b"heartbeat")];
    assert_eq!(decode_bytes(&odd), Err(Reject::UnknownEvent("heartbeat".into())));
    let whole = decode(&[("event_type", "execution_trace"), ("start_time", "1"), ("duration_ms", "1")]);
    assert_eq!(whole.span.state, SpanState::Closed);
    let huge = vec![b'x'; MAX_ENTRY_BYTES];
    assert!(matches!(decode_bytes(&[(b"trace_id", b"t"), (b"span_id", &huge)]), Err(Reject::TooLarge(_))));
    let many = vec![(&b"k"[..], &b"v"[..]); MAX_FIELDS + 1];
    assert!(matches!(decode_bytes(&many), Err(Reject::TooManyFields(_))));
}

#[test]
fn the_mark_of_a_retry_is_no_attribute_and_makes_no_entry_too_large() {
    let marked = decode(&[("meshtrace:retry", "1-0"), ("made_up", "x")]);
    assert_eq!(
        marked,
        Event {
            retry: Some(Retry::of("1-0")),
            ..decode(&[("made_up", "x")])
        }
    );
    assert_ne!(marked.retry, decode(&[(RETRY_FIELD, "1-1")]).retry);
    let text = vec![b'x'; MAX_ENTRY_BYTES - "trace_idtspan_idsk".len()];
    let whole = [(&b"meshtrace:retry"[..], &b"1-0"[..]), (b"trace_id", b"t"), (b"span_id", b"s"), (b"k", &text)];
    assert_eq!(decode_bytes(&whole).map(|event| event.retry), Ok(Some(Retry::of("1-0"))));
    let mut many = vec![(&b"k"[..], &b"v"[..]); MAX_FIELDS - 2];
    many.extend(&whole[..3]);
    assert!(decode_bytes(&many).is_ok());
    many.push((b"k", b"v"));
    assert_eq!(decode_bytes(&many), Err(Reject::TooManyFields(MAX_FIELDS + 1)));
}

#[test]
fn bytes_that_are_no_text_stay_distinguishable() {
    let event = decode_bytes(&[(b"trace_id", b"a\xff"), (b"span_id", b"a\xfe")]).expect("an event");
    assert_eq!((event.trace.to_string(), event.span.id.to_string()), ("a\\xff".into(), "a\\xfe".into()));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(fields in proptest::collection::vec((any_key(), proptest::collection::vec(any::<u8>(), 0..40)), 0..30)) {
        let pairs: Vec<(&[u8], &[u8])> = fields.iter().map(|(key, value)| (&key[..], &value[..])).collect();
        let _ = decode_bytes(&pairs);
    }
}

proptest! {
    #[test]
    fn what_a_decoder_has_seen_before_changes_nothing(
        orders in proptest::collection::vec(proptest::collection::vec(any_key(), 0..8), 1..4),
        entries in proptest::collection::vec((any::<usize>(), proptest::array::uniform8(any_value())), 1..24),
    ) {
        let mut seasoned = Decoder::default();
        for (order, values) in &entries {
            let order = &orders[order % orders.len()];
            let mut fields: Vec<(&[u8], &[u8])> = order.iter().zip(values).map(|(key, value)| (&key[..], value.as_bytes())).collect();
            fields.extend([(&b"trace_id"[..], &b"t"[..]), (b"span_id", b"s")]);
            prop_assert_eq!(decode_by(&mut seasoned, &fields), decode_bytes(&fields));
        }
    }
}

fn any_value() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(&["", "null", "7", "-1.5", "True", "[1]", "span_start", "1795221702.9446528", "x"][..])
}

/// Known names, mostly, so that their values are reached.
fn any_key() -> impl Strategy<Value = Vec<u8>> {
    const KNOWN: [&str; 12] = [
        "trace_id",
        "span_id",
        "parent_span",
        "event_type",
        "start_time",
        "end_time",
        "timestamp",
        "duration_ms",
        "success",
        "agent_port",
        "args_count",
        "dependencies",
    ];
    prop_oneof![
        4 => proptest::sample::select(&KNOWN[..]).prop_map(|key| key.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..20),
    ]
}
