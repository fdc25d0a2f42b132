//! Traces from events: the captured ones, and any order, repetition and delay of made ones.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Correlator, Decided, Rules};
use crate::decode::{Decoder, Event, Retry};
use crate::model::{Decision, IdHasher, Receipt, Span, SpanState, Status, Text, Trace, TraceId};
use crate::source::{Batch, Beginning, PastDecision, Recalled};

/// An event of trace `t`: span `id` under `parent`.
fn event(trace: &str, id: &str, parent: Option<&str>, state: SpanState) -> Event {
    Event {
        trace: TraceId::parse(trace),
        span: Span {
            id: crate::model::SpanId::parse(id),
            parent: parent.map(crate::model::SpanId::parse),
            name: Text::own("op"),
            error: Text::ABSENT,
            resource: Default::default(),
            start: None,
            end: None,
            measured: None,
            state,
            status: Status::Unset,
            kind: Default::default(),
            attributes: Default::default(),
        },
        retry: None,
    }
}

fn closed(id: &str, parent: Option<&str>) -> Event {
    event("t", id, parent, SpanState::Closed)
}

/// Feeds events at their stream times, then lets time go on to `until_ms`.
fn feed(correlator: &mut Correlator, events: impl IntoIterator<Item = (u64, Event)>, until_ms: u64) -> Vec<Decided> {
    let mut decided = Vec::new();
    for (seq, (at_ms, event)) in events.into_iter().enumerate() {
        correlator.advance(at_ms, &mut decided);
        correlator.add(event, Receipt { stream: 0, ms: at_ms, seq: seq as u64 }, at_ms, &mut decided);
    }
    correlator.advance(until_ms, &mut decided);
    decided
}

fn traces(events: impl IntoIterator<Item = (u64, Event)>, until_ms: u64) -> Vec<Decided> {
    feed(&mut Correlator::new(Rules::default()), events, until_ms)
}

const S: u64 = 1_000;

#[test]
fn a_trace_is_complete_after_five_quiet_seconds_and_not_before() {
    let mut correlator = Correlator::new(Rules::default());
    assert!(feed(&mut correlator, [(S, closed("a", None)), (3 * S, closed("b", Some("a")))], 8 * S).is_empty());
    let decided = feed(&mut correlator, [], 8 * S + 1);
    assert_eq!(decided.len(), 1);
    assert_eq!((decided[0].trace.decision, decided[0].trace.spans.len(), decided[0].receipts.list.len()), (Decision::Complete, 2, 2));
    assert_eq!(decided[0].at_ms, 8 * S, "when it fell due, not when that was noticed");
}

#[test]
fn a_child_twenty_seconds_before_its_parent_is_one_trace() {
    let decided = traces([(S, closed("child", Some("model-call"))), (21 * S, closed("model-call", None))], 27 * S);
    assert_eq!(decided.len(), 1);
    assert_eq!((decided[0].trace.decision, decided[0].trace.spans.len()), (Decision::Complete, 2));
}

#[test]
fn a_parent_that_never_comes_is_waited_for_thirty_seconds() {
    let events = || [(S, closed("child", Some("killed")))];
    assert!(traces(events(), 31 * S).is_empty());
    assert_eq!(traces(events(), 31 * S + 1)[0].trace.decision, Decision::ParentMissing);
}

#[test]
fn a_span_is_not_its_own_missing_parent() {
    assert_eq!(traces([(S, closed("a", Some("a")))], 7 * S)[0].trace.decision, Decision::Complete);
    let cycle = [(S, closed("a", Some("b"))), (S, closed("b", Some("a")))];
    assert_eq!(traces(cycle, 7 * S)[0].trace.decision, Decision::Complete);
}

#[test]
fn an_open_span_holds_its_trace_until_it_times_out() {
    let events = || [(S, event("t", "a", None, SpanState::Open)), (2 * S, closed("b", Some("a")))];
    assert!(traces(events(), 302 * S).is_empty());
    let decided = traces(events(), 302 * S + 1);
    assert_eq!(decided[0].trace.decision, Decision::Expired);
    assert!(!decided[0].trace.complete());
}

#[test]
fn an_end_that_comes_after_minutes_completes_the_trace_five_seconds_later() {
    let events = [(S, event("t", "a", None, SpanState::Open)), (240 * S, closed("a", None))];
    let decided = traces(events, 246 * S);
    assert_eq!((decided[0].trace.decision, decided[0].trace.spans.len(), decided[0].receipts.list.len()), (Decision::Complete, 1, 2));
}

#[test]
fn a_trace_that_never_falls_quiet_is_decided_at_the_maximum_age() {
    let decided = traces((0..1_000).map(|n| (n * 4 * S, closed(&n.to_string(), None))), 4_000 * S);
    assert_eq!((decided[0].trace.decision, decided[0].trace.spans.len()), (Decision::MaxAge, 901));
    assert_eq!(decided.iter().map(|part| part.receipts.list.len()).sum::<usize>(), 901);
}

#[test]
fn a_trace_is_decided_at_the_maximum_size_and_the_rest_leaves_in_parts() {
    let decided = traces((0..25_000).map(|n| (S, closed(&n.to_string(), None))), 10 * S);
    let parts: Vec<(u32, usize)> = decided.iter().map(|part| (part.trace.part, part.trace.spans.len())).collect();
    assert_eq!(parts, [(0, 10_000), (1, 10_000), (2, 5_000)]);
}

#[test]
fn late_spans_leave_as_numbered_parts_and_are_gathered_like_a_trace() {
    let late = [(20 * S, closed("late1", Some("a"))), (22 * S, closed("late2", Some("late1"))), (40 * S, closed("later", Some("gone")))];
    let events = [(S, closed("a", None))].into_iter().chain(late);
    let decided = traces(events, 60 * S);
    let parts: Vec<(u32, usize)> = decided.iter().map(|part| (part.trace.part, part.trace.spans.len())).collect();
    assert_eq!(parts, [(0, 1), (1, 2), (2, 1)]);
}

#[test]
fn ten_minutes_after_its_decision_a_trace_is_forgotten() {
    let decided = traces([(S, closed("a", None)), (700 * S, closed("b", None))], 800 * S);
    assert_eq!(decided.iter().map(|part| part.trace.part).collect::<Vec<_>>(), [0, 0]);
}

/// `event`, brought back by the retry that marks its entries with `by`.
fn retried(by: &str, event: Event) -> Event {
    Event { retry: Some(Retry::of(by)), ..event }
}

/// (part, spans, whether it is decided anew) of each.
fn parts(decided: &[Decided]) -> Vec<(u32, usize, bool)> {
    decided.iter().map(|part| (part.trace.part, part.trace.spans.len(), part.retry)).collect()
}

#[test]
fn a_retried_trace_is_decided_as_if_for_the_first_time() {
    let spans = || [closed("a", None), closed("b", Some("a"))];
    let events = spans().map(|span| (S, span)).into_iter().chain(spans().map(|span| (20 * S, retried("1-0", span))));
    assert_eq!(parts(&traces(events, 60 * S)), [(0, 2, false), (0, 2, true)]);
    // As a first part, it waits for a parent.
    let orphan = [(S, closed("a", None)), (20 * S, retried("1-0", closed("b", Some("gone"))))];
    assert_eq!(traces(orphan, 60 * S)[1].trace.decision, Decision::ParentMissing);
}

#[test]
fn every_retry_decides_anew_and_late_spans_number_on_from_the_highest_part() {
    let late = |n: u64| (n * 20 * S, closed(&n.to_string(), Some("a")));
    let again = |n: u64, by| (n * 20 * S, retried(by, closed("a", None)));
    let events = [(S, closed("a", None)), late(1), late(2), again(3, "1-0"), late(4), again(5, "2-0"), late(6)];
    let expected = [(0, 1, false), (1, 1, false), (2, 1, false), (0, 1, true), (3, 1, false), (0, 1, true), (4, 1, false)];
    assert_eq!(parts(&traces(events, 200 * S)), expected);
}

#[test]
fn retried_entries_join_the_trace_that_is_open_at_that_time() {
    let first = [(S, closed("a", None)), (2 * S, retried("1-0", closed("b", Some("a")))), (3 * S, closed("c", Some("a")))];
    let decided = traces(first, 60 * S);
    assert_eq!(parts(&decided), [(0, 3, true)]);
    assert_eq!(decided[0].receipts.list.len(), 3);
    // A late part that is open becomes part of what is decided anew, whichever comes first.
    let late = || (20 * S, closed("late", Some("a")));
    let back = || (20 * S, retried("1-0", closed("b", Some("a"))));
    for order in [[late(), back()], [back(), late()]] {
        let events = [(S, closed("a", None))].into_iter().chain(order);
        assert_eq!(parts(&traces(events, 60 * S)), [(0, 1, false), (0, 2, true)]);
    }
}

#[test]
fn a_retried_trace_that_is_too_large_leaves_in_parts_like_any_other() {
    let rules = Rules { max_spans: 10, ..Rules::default() };
    let spans = |at_ms: u64, by: Option<&'static str>| {
        let span = |n: u64| closed(&n.to_string(), None);
        (0..25).map(move |n| (at_ms, Event { retry: by.map(Retry::of), ..span(n) }))
    };
    let events = spans(S, None).chain(spans(20 * S, Some("1-0"))).chain(spans(40 * S, Some("2-0")));
    let decided = feed(&mut Correlator::new(rules), events, 100 * S);
    let expected = [
        [(0, 10, false), (1, 10, false), (2, 5, false)],
        [(0, 10, true), (3, 10, false), (4, 5, false)],
        [(0, 10, true), (5, 10, false), (6, 5, false)],
    ];
    assert_eq!(parts(&decided), expected.concat());
}

#[test]
fn the_memory_bound_decides_what_is_nearest_to_its_end() {
    let mut rules = Rules {
        max_open_bytes: 100_000,
        ..Rules::default()
    };
    let mut correlator = Correlator::new(rules.clone());
    let events = (0..1_000).map(|n| (S + n, event(&format!("trace {n}"), "a", None, SpanState::Closed)));
    let decided = feed(&mut correlator, events, 2 * S);
    assert!(decided.iter().all(|part| part.trace.decision == Decision::Memory));
    assert_eq!(decided[0].trace.id.to_string(), "trace 0");
    assert!(correlator.summary().open_bytes <= 100_000);
    assert_eq!(correlator.summary().active_traces + decided.len(), 1_000);
    rules.max_open_bytes = 1;
    assert_eq!(feed(&mut Correlator::new(rules), [(S, closed("a", None))], S).len(), 1);
}

#[test]
fn a_trace_of_too_many_bytes_leaves_in_parts() {
    let rules = Rules { max_bytes: 10_000, ..Rules::default() };
    let spans = (0..200).map(|n| (S, event("t", &n.to_string(), None, SpanState::Closed)));
    let decided = feed(&mut Correlator::new(rules), spans, 100 * S);
    let (last, cut) = decided.split_last().expect("parts");
    assert!(cut.len() > 2 && cut.iter().all(|part| part.trace.decision == Decision::MaxBytes && part.bytes() < 11_000));
    assert_eq!((last.trace.decision, last.trace.part as usize), (Decision::Complete, cut.len()));
    assert_eq!(decided.iter().map(|part| part.trace.spans.len()).sum::<usize>(), 200);
}

#[test]
fn no_more_is_remembered_than_may_be() {
    let rules = Rules { max_remembered: 10, ..Rules::default() };
    let mut correlator = Correlator::new(rules);
    feed(&mut correlator, (0..100).map(|n| (S, event(&n.to_string(), "a", None, SpanState::Closed))), 10 * S);
    assert_eq!(correlator.summary().remembered, 10);
}

const KEY: [u8; 16] = [3; 16];

/// The journal of an earlier leadership: a minute with one decision about the trace `t`.
fn journal(at_ms: u64, parts: u32, dropped: bool) -> Recalled {
    let id_hash = IdHasher::new(&KEY).hash(&TraceId::parse("t"));
    let decision = PastDecision { id_hash, parts, dropped };
    Recalled {
        at_ms,
        bytes: decision.to_bytes().to_vec(),
    }
}

fn begun(epoch: u32, decided: Vec<Recalled>) -> Correlator {
    let mut correlator = Correlator::new(Rules::default());
    let beginning = Beginning { epoch, id_key: Some(KEY), decided };
    correlator.begin(beginning);
    correlator
}

#[test]
fn a_late_span_follows_what_the_journal_says_about_its_trace() {
    for dropped in [false, true] {
        let mut correlator = begun(1, vec![journal(S, 3, dropped)]);
        let decided = feed(&mut correlator, [(20 * S, closed("late", None)), (40 * S, closed("later", None))], 60 * S);
        let followed: Vec<(u32, bool)> = decided.iter().map(|part| (part.trace.part, part.follows_drop)).collect();
        assert_eq!(followed, [(3, dropped), (4, dropped)]);
        let marks: Vec<u32> = decided.iter().filter_map(|part| part.receipts.mark).map(|mark| mark.parts).collect();
        assert_eq!(marks, [4, 5]);
    }
}

#[test]
fn of_two_decisions_in_the_journal_the_later_one_counts_and_part_numbers_never_go_back() {
    let mut correlator = begun(1, vec![journal(S, 5, true), journal(2 * S, 1, false)]);
    let decided = feed(&mut correlator, [(20 * S, closed("late", None))], 60 * S);
    assert_eq!((decided[0].trace.part, decided[0].follows_drop), (5, false));
}

#[test]
fn the_journal_is_forgotten_by_the_streams_time() {
    let events = || [(700 * S, closed("a", None))];
    let part = |at_ms| feed(&mut begun(1, vec![journal(at_ms, 1, false)]), events(), 800 * S)[0].trace.part;
    assert_eq!((part(99 * S), part(100 * S)), (0, 1));
}

#[test]
fn what_a_retry_brings_is_decided_anew_also_when_the_journal_says_dropped() {
    let mut correlator = begun(1, vec![journal(S, 1, true)]);
    let events = [(20 * S, retried("1-0", closed("a", None))), (40 * S, closed("late", None))];
    let decided = feed(&mut correlator, events, 60 * S);
    assert_eq!(parts(&decided), [(0, 1, true), (1, 1, false)]);
    assert!(decided.iter().all(|part| !part.follows_drop), "filters have decided anew, and late parts follow that");
}

#[test]
fn a_new_leadership_begins_without_open_traces_and_at_the_time_of_what_comes_again() {
    let mut correlator = begun(1, Vec::new());
    assert!(feed(&mut correlator, [(100 * S, closed("a", None))], 101 * S).is_empty());
    correlator.begin(Beginning { epoch: 2, ..Beginning::default() });
    assert_eq!((correlator.summary().active_traces, correlator.summary().open_bytes, correlator.epoch()), (0, 0, 2));
    // Read again from the log, it is still one trace, though all of it lies before what had been read.
    let again = [(90 * S, closed("a", None)), (93 * S, closed("b", Some("a")))];
    let decided = feed(&mut correlator, again, 99 * S);
    assert_eq!(parts(&decided), [(0, 2, false)]);
    assert_eq!(decided[0].receipts.epoch, 2);
}

#[test]
fn ids_hash_to_the_same_after_a_pause_of_the_leadership() {
    let mut correlator = begun(1, Vec::new());
    correlator.begin(Beginning { epoch: 2, ..Beginning::default() });
    correlator.begin(Beginning {
        epoch: 3,
        id_key: None,
        decided: vec![journal(S, 1, false)],
    });
    assert_eq!(feed(&mut correlator, [(20 * S, closed("late", None))], 60 * S)[0].trace.part, 1);
}

/// Decodes and correlates a captured file.
fn captured(file: &str) -> Vec<Trace> {
    let path = format!("{}/../tests/fixtures/mesh-events-{file}.ndjson", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the fixture");
    let mut batch = Batch::default();
    for line in text.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        let (ms, seq) = entry["id"].as_str().and_then(|id| id.split_once('-')).expect("an id");
        let (ms, seq) = (ms.parse().expect("ms"), seq.parse().expect("seq"));
        batch.push_entry(Receipt { stream: 0, ms, seq }, ms);
        for (key, value) in entry["fields"].as_object().expect("fields") {
            batch.push_field(key.as_bytes(), value.as_str().expect("text").as_bytes());
        }
    }
    let (mut decoder, mut correlator) = (Decoder::default(), Correlator::new(Rules::default()));
    let mut decided = Vec::new();
    for entry in batch.drain() {
        correlator.advance(entry.at_ms, &mut decided);
        let event = decoder.decode(&entry).expect("an event");
        correlator.add(event, entry.receipt, entry.at_ms, &mut decided);
    }
    correlator.advance(u64::MAX, &mut decided);
    assert!(decided.iter().all(|part| part.trace.part == 0), "no trace was cut in two");
    decided.into_iter().map(|part| part.trace).collect()
}

/// (traces, spans, failed traces, failed spans, error texts, traces without a root, traces with a parent that never comes)
fn counted(traces: &[Trace]) -> (usize, usize, usize, usize, usize, usize, usize) {
    let spans = || traces.iter().flat_map(|trace| &trace.spans);
    let orphaned = |trace: &&Trace| trace.parents().iter().zip(&trace.spans).any(|(found, span)| span.parent.is_some() && found.is_none());
    (
        traces.len(),
        spans().count(),
        traces.iter().filter(|trace| !trace.success()).count(),
        spans().filter(|span| span.status == Status::Error).count(),
        spans().filter(|span| !span.error.is_absent()).count(),
        traces.iter().filter(|trace| trace.spans.iter().all(|span| span.parent.is_some())).count(),
        traces.iter().filter(orphaned).count(),
    )
}

#[test]
fn the_captured_python_events_are_49_traces() {
    assert_eq!(counted(&captured("python")), (49, 204, 5, 10, 10, 7, 8));
}

#[test]
fn the_captured_typescript_events_are_10_traces() {
    assert_eq!(counted(&captured("typescript")), (10, 14, 3, 3, 2, 0, 1));
}

#[test]
fn the_captured_java_events_are_11_traces() {
    assert_eq!(counted(&captured("java")), (11, 14, 2, 3, 2, 1, 1));
}

/// What a trace is, apart from the order in which its parts came about.
fn essence(decided: &[Decided]) -> BTreeMap<String, Vec<Span>> {
    decided.iter().map(|part| (format!("{} {}", part.trace.id, part.trace.part), part.trace.spans.clone())).collect()
}

/// Accounts of a few spans of a few traces, some contradicting each other.
fn any_event() -> impl Strategy<Value = Event> {
    let number = |max: u8| (0..max).prop_map(|n| n.to_string());
    (number(3), number(5), proptest::option::of(number(6)), any::<bool>(), "[a-c]{0,2}", 0..3u8).prop_map(
        |(trace, id, parent, open, error, status)| {
            let state = if open { SpanState::Open } else { SpanState::Closed };
            let mut event = event(&trace, &id, parent.as_deref(), state);
            event.span.error = Text::own(&error);
            event.span.status = [Status::Unset, Status::Ok, Status::Error][usize::from(status)];
            event.span.attributes = [(&error, crate::model::Value::<&str>::Integer(status.into()))].into_iter().collect();
            event
        },
    )
}

proptest! {
    #[test]
    fn any_order_and_any_repetition_give_the_same_traces(
        events in proptest::collection::vec(any_event(), 1..30),
        order in proptest::collection::vec(any::<prop::sample::Index>(), 0..60),
    ) {
        let straight = traces(events.iter().cloned().map(|event| (S, event)), 1_000 * S);
        let repeated = order.iter().map(|index| index.get(&events).clone());
        let shuffled = repeated.chain(events.iter().rev().cloned()).map(|event| (S, event));
        prop_assert_eq!(essence(&traces(shuffled, 1_000 * S)), essence(&straight));
    }

    #[test]
    fn a_backlog_read_at_once_gives_the_same_traces_as_the_live_stream(
        events in proptest::collection::vec((any_event(), 0..40 * S), 1..40),
        ticks in 1..500u64,
    ) {
        let mut now = S;
        let timed: Vec<(u64, Event)> = events.into_iter().map(|(event, gap)| { now += gap; (now, event) }).collect();
        let until = now + 1_000 * S;
        let backlog = traces(timed.clone(), until);
        // Live: time also passes between entries, in ticks.
        let (mut live, mut correlator) = (Vec::new(), Correlator::new(Rules::default()));
        let mut clock = 0;
        for (seq, (at_ms, event)) in timed.into_iter().enumerate() {
            while clock + ticks < at_ms {
                clock += ticks;
                correlator.advance(clock, &mut live);
            }
            correlator.advance(at_ms, &mut live);
            correlator.add(event, Receipt { stream: 0, ms: at_ms, seq: seq as u64 }, at_ms, &mut live);
        }
        correlator.advance(until, &mut live);
        prop_assert_eq!(essence(&live), essence(&backlog));
    }
}
