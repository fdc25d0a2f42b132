//! A span's fields give the span, whatever is in it.

use std::sync::Arc;

use proptest::prelude::*;

use super::{Fields, Told, accounts, trace_of};
use crate::decode::tests::{captured, decode_bytes};
use crate::decode::{Event, MAX_ENTRY_BYTES, MAX_FIELDS};
use crate::model::{Decision, Receipt, Resource, Span, SpanState, Text, Trace, TraceId, Value};
use crate::source::Batch;

type Bytes = Vec<u8>;

fn decode(fields: &Fields) -> Event {
    let pairs: Vec<(&[u8], &[u8])> = fields.iter().map(|(key, value)| (key.as_bytes(), value.as_bytes())).collect();
    decode_bytes(&pairs).unwrap_or_else(|reject| panic!("{reject}: {fields:?}"))
}

/// What the accounts of a span give together.
fn back(trace: &TraceId, span: &Span) -> Span {
    let mut events = accounts(trace, span).iter().map(decode).collect::<Vec<_>>().into_iter();
    let mut whole = events.next().expect("an account").span;
    for event in events {
        assert_eq!(&event.trace, trace);
        whole.settle(event.span);
    }
    whole
}

fn entry(batch: &mut Batch, fields: &[(&str, &str)]) {
    batch.push_entry(Receipt { stream: 0, ms: 1, seq: 0 }, 1);
    fields.iter().for_each(|(key, value)| batch.push_field(key.as_bytes(), value.as_bytes()));
}

#[test]
fn captured_events_are_given_back_in_the_words_of_their_agents() {
    for (fields, event) in ["python", "typescript", "java"].into_iter().flat_map(captured) {
        let accounts = accounts(&event.trace, &event.span);
        assert_eq!(accounts.len(), 1);
        assert_eq!(decode(&accounts[0]), event);
        for (key, _) in &accounts[0] {
            assert!(fields.contains_key(key), "{key}");
        }
    }
}

#[test]
fn what_is_too_large_for_one_entry_is_given_in_several() {
    let (trace, mut span) = (TraceId::parse("t"), decode(&vec![("trace_id".into(), "t".into()), ("span_id".into(), "s".into())]).span);
    span.state = SpanState::Open;
    span.name = Text::own(&"n".repeat(MAX_ENTRY_BYTES / 2));
    span.error = Text::own(&"e".repeat(MAX_ENTRY_BYTES / 2));
    span.resource = Arc::new(Resource {
        name: Text::own("agent"),
        ..Resource::default()
    });
    span.attributes = (0..3 * MAX_FIELDS).map(|number| (format!("key {number}"), Value::<&str>::Integer(number as i64))).collect();
    assert_eq!(accounts(&trace, &span).len(), 5);
    assert_eq!(back(&trace, &span), span);
}

#[test]
fn only_what_is_not_found_is_given() {
    let of_start = [("trace_id", "t"), ("span_id", "a"), ("event_type", "span_start"), ("timestamp", "1.5"), ("made_up", "x")];
    let of_end = [("trace_id", "t"), ("span_id", "a"), ("event_type", "span_end"), ("timestamp", "2.5")];
    let of_other = [("trace_id", "t"), ("span_id", "b"), ("parent_span", "a")];
    let mut spans = Vec::new();
    for fields in [&of_start[..], &of_end, &of_other] {
        spans.push(decode(&fields.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()).span);
    }
    let closing = spans.remove(1);
    spans[0].settle(closing);
    let trace = Trace::new(TraceId::parse("t"), 0, Decision::Complete, spans);
    let found = |entries: &[&[(&str, &str)]]| {
        let mut batch = Batch::default();
        entries.iter().for_each(|fields| entry(&mut batch, fields));
        batch
    };
    let given = |found: Vec<Batch>| {
        let mut told = Told::default();
        found.into_iter().for_each(|found| told.add(&trace.id, found));
        told.missing(&trace).iter().map(|fields| decode(fields).span).collect::<Vec<_>>()
    };
    assert_eq!(given(vec![found(&[&of_end, &of_other, &[("span_id", "of no trace")]])]), trace.spans[..1]);
    assert_eq!(given(vec![found(&[&of_start, &of_end])]), trace.spans[1..]);
    assert!(given(vec![found(&[&of_start, &of_end, &of_other])]).is_empty());
    assert!(given(vec![found(&[&of_end, &of_other]), found(&[&of_start])]).is_empty(), "what is found in parts is found");
    assert_eq!(given(vec![]), trace.spans);
}

#[test]
fn an_entry_names_the_trace_that_it_would_belong_to() {
    let named = |fields: &[(&'static str, &'static str)]| trace_of(fields.iter().map(|(key, value)| (key.as_bytes(), value.as_bytes())));
    assert_eq!(named(&[("span_id", "s"), ("trace_id", "a"), ("trace_id", "b")]), Some(TraceId::parse("b")));
    assert_eq!(named(&[("trace_id", "null")]), None);
    assert_eq!(named(&[("span_id", "s")]), None);
}

proptest! {
    #[test]
    fn whatever_was_decoded_is_given_back(entries in proptest::collection::vec(proptest::collection::vec((any_key(), any_value()), 0..20), 1..4)) {
        let mut whole: Option<Event> = None;
        for fields in &entries {
            let mut pairs: Vec<(&[u8], &[u8])> = fields.iter().map(|(key, value)| (&key[..], &value[..])).collect();
            pairs.extend([(&b"trace_id"[..], &b"t"[..]), (b"span_id", b"s")]);
            let Ok(event) = decode_bytes(&pairs) else { continue };
            match &mut whole {
                Some(whole) => whole.span.settle(event.span),
                None => whole = Some(event),
            }
        }
        if let Some(Event { trace, span, .. }) = whole {
            prop_assert_eq!(back(&trace, &span), span);
        }
    }

    #[test]
    fn attributes_of_any_key_and_type_are_given_back(attributes in proptest::collection::vec((any_key(), any_typed()), 0..20)) {
        let mut span = decode(&vec![("trace_id".into(), "t".into()), ("span_id".into(), "s".into())]).span;
        span.attributes = attributes.iter().map(|(key, value)| (String::from_utf8_lossy(key), value.view())).collect();
        prop_assert_eq!(back(&TraceId::parse("t"), &span), span);
    }
}

/// Every name that means something, and others.
fn any_key() -> impl Strategy<Value = Bytes> {
    const KNOWN: [&str; 30] = [
        "trace_id",
        "span_id",
        "parent_span",
        "event_type",
        "operation",
        "function_name",
        "error",
        "error_message",
        "start_time",
        "end_time",
        "timestamp",
        "duration_ms",
        "success",
        "agent_name",
        "agent_id",
        "agent_ip",
        "ip_address",
        "runtime",
        "agent_namespace",
        "agent_hostname",
        "agent_port",
        "agent_endpoint",
        "args_count",
        "published_at",
        "dependencies",
        "meshtrace:retry",
        "meshtrace:text:trace_id",
        "meshtrace:bool:b",
        "meshtrace:made_up",
        "dead:reason",
    ];
    prop_oneof![
        4 => proptest::sample::select(&KNOWN[..]).prop_map(|key| key.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..10),
    ]
}

fn any_value() -> impl Strategy<Value = Bytes> {
    const KNOWN: [&str; 14] = [
        "",
        "null",
        "None",
        " ",
        "True",
        "false",
        "7",
        "007",
        "-1.5",
        "1795221702.9446528",
        "[\"a\"]",
        "span_start",
        "span_end",
        "heartbeat",
    ];
    prop_oneof![
        4 => proptest::sample::select(&KNOWN[..]).prop_map(|value| value.as_bytes().to_vec()),
        1 => (0u64..2_000_000_000_000_000_000).prop_map(|nanos| format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000).into_bytes()),
        1 => proptest::collection::vec(any::<u8>(), 0..30),
        1 => Just(vec![b'y'; 300]),
    ]
}

fn any_typed() -> impl Strategy<Value = Value> {
    let text = || any_value().prop_map(|value| String::from_utf8_lossy(&value).into());
    prop_oneof![
        text().prop_map(Value::Text),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Integer),
        proptest::num::f64::NORMAL.prop_map(Value::Double),
        Just(Value::Json("{\"a\": [1]}".into())),
    ]
}
