//! What the store keeps, for how long, and what a search finds.

use std::sync::Arc;
use std::time::Duration;

use super::{Criteria, Limits, Search, Store};
use crate::encode::sample;
use crate::model::{Resource, Sampling, SpanId, Status, Text, Trace, TraceId, UnixNanos};

fn named(id: &str) -> Arc<Trace> {
    Arc::new(sample::trace(id, vec![sample::span(&format!("span of {id}"))]))
}

fn numbered(numbers: std::ops::Range<usize>) -> Vec<Arc<Trace>> {
    numbers.map(|number| named(&format!("t{number}"))).collect()
}

fn ids(traces: &[Arc<Trace>]) -> Vec<String> {
    traces.iter().map(|trace| trace.id.to_string()).collect()
}

fn store(limits: impl FnOnce(&mut Limits)) -> Store {
    let mut all = Limits::default();
    limits(&mut all);
    Store::new(all)
}

#[test]
fn lists_are_newest_decision_first_and_paged() {
    let store = store(|_| ());
    store.insert(&numbered(0..3), 1);
    store.insert(&numbered(3..5), 2);
    assert_eq!(ids(&store.list(10, 0).0), ["t4", "t3", "t2", "t1", "t0"]);
    let (page, total) = store.list(2, 1);
    assert_eq!((ids(&page), total), (vec!["t3".to_owned(), "t2".to_owned()], 5));
    for (limit, offset) in [(2, 5), (usize::MAX, usize::MAX), (0, 0)] {
        let (nothing, total) = store.list(limit, offset);
        assert_eq!((nothing.len(), total), (0, 5));
    }
}

#[test]
fn one_trace_too_many_removes_the_oldest_fifth() {
    let store = store(|_| ());
    store.insert(&numbered(0..1000), 1);
    assert_eq!(store.counts().traces, 1000);
    store.insert(&numbered(1000..1001), 1);
    assert_eq!((store.counts().traces, store.counts().removed_by_count), (801, 200));
    assert!(store.get(&TraceId::parse("t199")).is_none());
    assert!(store.get(&TraceId::parse("t200")).is_some());
    assert_eq!(ids(&store.list(1, 0).0), ["t1000"]);
    assert_eq!(ids(&store.list(1, 800).0), ["t200"]);
}

#[test]
fn a_batch_larger_than_the_store_leaves_its_end() {
    let store = store(|limits| limits.max_traces = 3);
    store.insert(&numbered(0..100), 1);
    assert_eq!(ids(&store.list(10, 0).0), ["t99", "t98", "t97"]);
}

#[test]
fn traces_leave_when_the_retention_has_passed_also_when_nothing_comes() {
    let store = store(|limits| limits.retention = Duration::from_secs(10));
    store.insert(&numbered(0..1), 1_000);
    store.insert(&numbered(1..2), 5_000);
    store.prune(11_000);
    assert_eq!(store.counts().traces, 2);
    store.prune(11_001);
    assert_eq!(ids(&store.list(10, 0).0), ["t1"]);
    // A clock that steps back neither keeps nor removes anything too early.
    store.insert(&numbered(2..3), 100);
    store.prune(15_000);
    assert_eq!(store.counts().traces, 2);
    store.insert(&numbered(3..4), 15_001);
    assert_eq!((ids(&store.list(10, 0).0), store.counts().removed_by_age), (vec!["t3".to_owned()], 3));
}

#[test]
fn no_retention_is_no_end() {
    let store = store(|limits| limits.retention = Duration::ZERO);
    store.insert(&numbered(0..1), 0);
    store.prune(u64::MAX);
    assert_eq!(store.counts().traces, 1);
}

#[test]
fn a_late_part_joins_its_trace_and_leaves_it_in_its_place() {
    let store = store(|_| ());
    store.insert(&numbered(0..2), 1);
    let mut late = sample::trace("t0", vec![sample::span("late")]);
    late.part = 1;
    // Twice in one batch, and once more: events and parts may be repeated.
    let late = Arc::new(late);
    store.insert(&[late.clone(), late.clone()], 2);
    store.insert(&[late], 3);
    let (traces, total) = store.list(10, 0);
    assert_eq!((ids(&traces), total), (vec!["t1".to_owned(), "t0".to_owned()], 2));
    let spans: Vec<String> = traces[1].spans.iter().map(|span| span.id.to_string()).collect();
    assert_eq!((spans, traces[1].part), (vec!["late".to_owned(), "span of t0".to_owned()], 0));
    // The bytes are those of a store that got the whole trace at once.
    let whole = Store::new(Limits::default());
    whole.insert(&[traces[0].clone(), traces[1].clone()], 1);
    assert_eq!(store.counts().bytes, whole.counts().bytes);
}

#[test]
fn the_verdict_on_a_trace_stays_when_a_late_part_joins_it_and_a_later_one_replaces_it() {
    let store = store(|_| ());
    let verdict = |reason: &str| {
        let sampling = Sampling {
            filter: "f".into(),
            keep: true,
            reason: Some(reason.into()),
        };
        Some(Arc::new(sampling))
    };
    let part = |number: u32, sampling: Option<Arc<Sampling>>| {
        let mut trace = sample::trace("t0", vec![sample::span(&number.to_string())]);
        (trace.part, trace.sampling) = (number, sampling);
        Arc::new(trace)
    };
    let stored = || store.get(&TraceId::parse("t0")).and_then(|trace| trace.sampling.clone());
    store.insert(&[part(0, verdict("first"))], 1);
    store.insert(&[part(1, None)], 1);
    assert_eq!(stored(), verdict("first"));
    store.insert(&[part(0, verdict("second")), part(2, verdict("a part's"))], 1);
    assert_eq!(stored(), verdict("second"), "the trace was decided anew");
}

#[test]
fn bytes_are_bounded_and_the_oldest_leave_first() {
    let big = |id: &str| {
        let mut span = sample::span("s");
        span.name = Text::own(&"x".repeat(100_000));
        Arc::new(sample::trace(id, vec![span]))
    };
    let store = store(|limits| limits.max_bytes = 450_000);
    for id in ["a", "b", "c", "d", "e"] {
        store.insert(&[big(id)], 1);
    }
    assert_eq!((ids(&store.list(10, 0).0), store.counts().removed_by_bytes), (["e", "d", "c", "b"].map(String::from).to_vec(), 1));
    assert!(store.counts().bytes <= 450_000);
}

#[test]
fn a_producer_counts_and_a_trace_that_is_too_large_costs_no_other_one() {
    let mut span = sample::span("s");
    span.resource = Arc::new(Resource {
        name: Text::own(&"x".repeat(300_000)),
        ..Resource::default()
    });
    let large = Arc::new(sample::trace("t0", vec![span]));
    let store = store(|limits| limits.max_bytes = 1_000_000);
    store.insert(std::slice::from_ref(&large), 1);
    assert_eq!((store.counts().traces, store.counts().too_large), (0, 1));
    store.insert(&numbered(0..2), 1);
    store.insert(&[large], 1);
    assert_eq!((store.counts().traces, store.counts().too_large), (2, 2));
    assert_eq!(store.get(&TraceId::parse("t0")).map(|trace| trace.spans.len()), Some(1), "as it was before the part that was too much");
    store.prune(u64::MAX);
    assert_eq!(store.counts().bytes, 0);
}

#[test]
fn every_criterion_must_be_met() {
    let trace = sample::documented();
    let all = Criteria {
        agent_name: Some("data-processor".to_owned()),
        operation: Some("weather".to_owned()),
        parent_span_id: Some(SpanId::parse("x1y2z3w4-a5b6-c789-def0-123456789abc")),
        success: Some(false),
        start_unix_nanos: Some(sample::TEN_O_CLOCK),
        end_unix_nanos: Some(sample::TEN_O_CLOCK + 300_000_000),
        min_duration_ms: Some(300),
        max_duration_ms: Some(300),
    };
    assert!(all.matches(&trace), "bounds belong to the range");
    assert!(Criteria::default().matches(&trace));
    let changes: [fn(&mut Criteria); 8] = [
        |c| c.agent_name = Some("data".to_owned()),
        |c| c.operation = Some("Weather".to_owned()),
        |c| c.parent_span_id = Some(SpanId::parse("s3")),
        |c| c.success = Some(true),
        |c| c.start_unix_nanos = Some(sample::TEN_O_CLOCK + 1),
        |c| c.end_unix_nanos = Some(sample::TEN_O_CLOCK + 299_999_999),
        |c| c.min_duration_ms = Some(301),
        |c| c.max_duration_ms = Some(299),
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut criteria = all.clone();
        change(&mut criteria);
        assert!(!criteria.matches(&trace), "criterion {number}");
    }
}

#[test]
fn durations_are_compared_to_the_nanosecond_and_unknown_times_match_nothing() {
    let mut span = sample::span("s");
    span.end = UnixNanos::new(sample::TEN_O_CLOCK + 150_400_000);
    let trace = sample::trace("t", vec![span.clone()]);
    assert!(
        !Criteria {
            max_duration_ms: Some(150),
            ..Criteria::default()
        }
        .matches(&trace)
    );
    assert!(
        Criteria {
            min_duration_ms: Some(150),
            ..Criteria::default()
        }
        .matches(&trace)
    );
    (span.start, span.end) = (None, None);
    let unknown = sample::trace("t", vec![span]);
    for criteria in [
        Criteria {
            max_duration_ms: Some(u64::MAX),
            ..Criteria::default()
        },
        Criteria {
            start_unix_nanos: Some(i128::MIN),
            ..Criteria::default()
        },
        Criteria {
            end_unix_nanos: Some(i128::MAX),
            ..Criteria::default()
        },
    ] {
        assert!(!criteria.matches(&unknown), "{criteria:?}");
    }
}

#[test]
fn a_search_looks_through_the_whole_store_newest_first() {
    let store = store(|_| ());
    let failed = |id: &str| {
        let mut span = sample::span("s");
        span.status = Status::Error;
        Arc::new(sample::trace(id, vec![span]))
    };
    store.insert(&[failed("oldest")], 1);
    store.insert(&numbered(0..700), 1);
    store.insert(&[failed("newest")], 1);
    let criteria = Criteria {
        success: Some(false),
        ..Criteria::default()
    };
    let all = |criteria: &Criteria, limit| {
        let mut search = Search::new(criteria.clone(), limit);
        search.finish(&store);
        ids(search.found())
    };
    assert_eq!(all(&criteria, 100), ["newest", "oldest"]);
    assert_eq!(all(&criteria, 1), ["newest"]);
    assert!(all(&criteria, 0).is_empty());
    assert_eq!(all(&Criteria::default(), 1_000).len(), 702);
    // It can be left off after any of them, and nothing is missed or found twice.
    let (mut search, mut steps) = (Search::new(Criteria::default(), 1_000), 1);
    while !search.go_on(&store, 100) {
        steps += 1;
        assert!(search.found().len() <= 100 * steps);
    }
    assert_eq!((steps, ids(search.found())), (8, all(&Criteria::default(), 1_000)));
}

#[test]
fn what_is_announced_has_an_outline_until_it_is_stored_or_withdrawn() {
    let store = store(|_| ());
    let traces = numbered(0..3);
    store.announce(traces.iter().map(|trace| &**trace));
    let (first, second) = (TraceId::parse("t0"), TraceId::parse("t1"));
    assert_eq!((store.outline(&first).map(|outline| outline.spans), store.get(&first).is_none()), (Some(1), true));
    store.insert(&traces[..1], 1);
    assert_eq!((store.outline(&first), store.get(&first).is_some()), (None, true));
    // A late part on its way keeps it known.
    store.announce([&*traces[1]]);
    store.withdraw([&second]);
    assert!(store.outline(&second).is_some());
    store.withdraw([&second, &second, &first]);
    assert_eq!((store.outline(&second), store.outline(&TraceId::parse("t2")).is_some()), (None, true));
}
