//! Batches made for tests read as batches of the host do.

use super::*;
use crate::{SpanKind, Target, Value};
use std::time::Duration;

const START: u64 = 1_795_221_702_944_652_801;

fn sample() -> Batch {
    let root = TestSpan {
        id: "root".into(),
        name: "tool:a".into(),
        agent: "one".into(),
        start_unix_ns: Some(START),
        duration_ns: Some(300_000_001),
        status: Status::Ok,
        ..TestSpan::default()
    };
    let child = TestSpan {
        id: "child".into(),
        parent: Some("root".into()),
        name: "tool:b".into(),
        agent: "two".into(),
        start_unix_ns: Some(START + 1),
        status: Status::Error,
        error: Some(String::new()),
        open: true,
        attributes: vec![("z".into(), "1".into()), ("capability".into(), "weather".into())],
        ..TestSpan::default()
    };
    batch(&[
        TestTrace {
            id: "first".into(),
            spans: vec![TestSpan::default()],
            ..TestTrace::default()
        },
        TestTrace {
            id: "t".into(),
            spans: vec![root, child],
            part: 2,
            ..TestTrace::default()
        },
    ])
}

#[test]
fn rows_read_what_the_columns_say() {
    let batch = sample();
    let trace = batch.trace(1).unwrap();
    let spans: Vec<Span> = trace.spans().collect();
    assert_eq!((trace.id_text(), trace.part(), trace.span_count(), trace.agent_count()), ("t", 2, 2, 2));
    assert!(trace.is_failed() && trace.is_late() && !trace.is_rootless() && !trace.is_incomplete());
    assert_eq!((trace.start_unix_ns(), trace.duration_ns()), (Some(START), Some(300_000_001)));
    assert_eq!(trace.root().unwrap().name(), "tool:a");
    assert_eq!(spans[0].duration(), Some(Duration::from_nanos(300_000_001)));
    assert_eq!(spans[1].start_unix_ns(), Some(START + 1), "nanoseconds survive");
    assert_eq!((spans[1].duration(), spans[1].end(), spans[1].error()), (None, None, Some("")));
    assert_eq!(spans[1].parent().unwrap().id_text(), "root");
    assert!(spans[1].is_open() && spans[1].is_failed());
}

#[test]
fn attributes_are_found_by_key_and_in_order() {
    let batch = sample();
    let child = spans(&batch).last().unwrap();
    assert_eq!(child.attribute("capability"), Some("weather"));
    assert_eq!((child.attribute("none"), child.attribute_value("z")), (None, Some(Value::Text("1"))));
    assert_eq!(child.attributes().map(|(key, _)| key).collect::<Vec<_>>(), ["capability", "z"]);
    assert_eq!(batch.trace(0).unwrap().spans().next().unwrap().attribute("capability"), None);
}

#[test]
fn missing_columns_and_rows_read_as_absent() {
    let batch = Batch::default();
    assert!(batch.is_empty() && batch.trace(0).is_none() && batch.text(7).is_empty());
    let stray = Span { batch: &batch, trace: 3, row: 9 };
    assert_eq!((stray.name(), stray.id(), stray.start()), ("", [0; 8], None));
    assert_eq!((stray.attributes().count(), stray.events().count(), stray.links().count()), (0, 0, 0));
    assert_eq!(stray.trace().spans().count(), 0);
}

#[test]
fn attributes_keep_their_types() {
    let typed: [(&str, OwnedValue); 5] =
        [("b", true.into()), ("d", 2.5.into()), ("i", i64::MIN.into()), ("j", OwnedValue::Json("[1]".into())), ("t", "1".into())];
    let attributes: Vec<_> = typed.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let span = TestSpan {
        kind: SpanKind::Client,
        attributes: attributes.iter().rev().cloned().collect(),
        ..TestSpan::default()
    };
    let batch = batch(&[TestTrace {
        spans: vec![span],
        ..TestTrace::default()
    }]);
    let span = spans(&batch).next().unwrap();
    let values: Vec<_> = span.attributes().map(|(key, value)| (key.to_owned(), OwnedValue::from(value))).collect();
    assert_eq!((values, span.kind()), (attributes, SpanKind::Client));
}

#[test]
fn spans_of_one_agent_process_share_a_resource() {
    let span = |agent: &str, id: &str| TestSpan {
        agent: agent.into(),
        resource: TestResource {
            id: id.into(),
            runtime: "python".into(),
            attributes: vec![("port".into(), 8080_i64.into())],
            ..TestResource::default()
        },
        ..TestSpan::default()
    };
    let trace = |spans| TestTrace { spans, ..TestTrace::default() };
    let batch = batch(&[trace(vec![span("a", "1"), span("a", "2")]), trace(vec![span("b", "1"), span("a", "1")])]);
    let resources: Vec<_> = spans(&batch).map(|span| span.resource()).collect();
    assert_eq!(resources.iter().map(|resource| resource.row()).collect::<Vec<_>>(), [0, 1, 2, 0]);
    assert_eq!((resources[2].name(), resources[2].id(), resources[2].address()), (Some("b"), Some("1"), None));
    assert_eq!(resources[1].runtime(), Some("python"));
    assert_eq!(resources[1].attributes().collect::<Vec<_>>(), [("port", Value::Integer(8080))]);
}

#[test]
fn edits_of_a_trace_reach_all_its_spans_and_those_of_a_span_only_it() {
    let span = TestSpan {
        name: "n".into(),
        error: Some("e".into()),
        attributes: vec![("k".into(), 1_i64.into())],
        ..TestSpan::default()
    };
    let traces = [1, 2].map(|count| TestTrace {
        spans: vec![span.clone(); count],
        ..TestTrace::default()
    });
    let mut decisions = crate::Decisions::pass_all(&batch(&traces));
    decisions.set_attribute(Target::Trace(1), "k", "v");
    decisions.remove_error(Target::Trace(1));
    decisions.set_name(Target::Span(2), "last");
    decisions.remove_attribute(Target::Span(0), "k");
    decisions.set_error(Target::Span(0), "first");
    let after = edited(&traces, &decisions);
    let spans: Vec<_> =
        after.iter().flat_map(|trace| &trace.spans).map(|span| (&*span.name, span.error.as_deref(), &*span.attributes)).collect();
    let set = [("k".to_owned(), OwnedValue::from("v"))];
    assert_eq!(spans, [("n", Some("first"), &[][..]), ("n", None, &set), ("last", None, &set)]);
}

#[test]
fn a_damaged_batch_names_a_string_that_is_not_there() {
    let span = TestSpan {
        attributes: vec![("a".into(), "1".into()), ("b".into(), "2".into())],
        ..TestSpan::default()
    };
    let batch = damaged_batch(&[TestTrace {
        spans: vec![span],
        ..TestTrace::default()
    }]);
    let values = batch.columns().attribute_values();
    assert!(values[0] < batch.string_count() && values[1] >= batch.string_count());
}
