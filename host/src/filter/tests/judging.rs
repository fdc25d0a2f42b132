//! Verdicts: whose counts, what it costs, and where it can be read.

use std::sync::Mutex;

use super::bench::{Notes, ids};
use super::*;
use crate::batch::TraceBatch;
use crate::filter::{Counts, ReasonCount};
use crate::model::TraceId;

type Seen = Arc<Mutex<Vec<(usize, usize)>>>;

/// Notes where the batch and its first trace stand in memory.
fn watching(seen: &Seen, verdict: Verdict) -> Fake {
    let seen = Arc::clone(seen);
    Fake::new(move |batch: &Arc<TraceBatch>| {
        batch.columns();
        seen.lock().unwrap().push(places(batch));
        Ok(Decisions {
            verdicts: vec![verdict.clone(); batch.traces().len()],
            edits: Vec::new(),
        })
    })
}

fn places(batch: &Arc<TraceBatch>) -> (usize, usize) {
    (Arc::as_ptr(batch).addr(), Arc::as_ptr(&batch.traces()[0]).addr())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_filters_traces_go_on_and_nothing_is_noted() {
    let mut bench = Bench::new(Vec::new());
    bench.give(all(&["a", "b"])).await;
    let kept = bench.kept().await;
    assert_eq!(ids(&kept.batch), ["a", "b"]);
    assert!(kept.batch.traces().iter().all(|trace| trace.sampling.is_none()));
    assert_eq!((bench.handle.decision(&TraceId::parse("a")), bench.handle.counts().kept), (None, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_end_by_traces_and_by_spans() {
    let mut bench = Bench::new(Vec::new());
    let numbered = |count: usize, spans: usize| (0..count).map(|number| part(&number.to_string(), 0, spans)).collect();
    bench.give(numbered(1_030, 1)).await;
    assert_eq!([bench.kept_ids().await.len(), bench.kept_ids().await.len(), bench.kept_ids().await.len()], [512, 512, 6]);
    bench.give(numbered(5, 3_000)).await;
    assert_eq!([bench.kept_ids().await.len(), bench.kept_ids().await.len(), bench.kept_ids().await.len()], [2, 2, 1]);
    bench.give(numbered(2, 9_000)).await;
    assert_eq!([bench.kept_ids().await.len(), bench.kept_ids().await.len()], [1, 1], "one trace may be larger than a batch");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_is_the_very_same_batch() {
    for verdict in [Verdict::Pass, keep_for("errors")] {
        let seen = Seen::default();
        let filters = vec![watching(&seen, verdict.clone()).called("one"), watching(&seen, Verdict::Pass).called("two")];
        let mut bench = Bench::new(filters);
        bench.give(all(&["a", "b"])).await;
        let kept = bench.kept().await.batch;
        let place = places(&kept);
        assert_eq!(*seen.lock().unwrap(), [place, place]);
        let sampling = kept.traces()[1].sampling.clone();
        assert_eq!(sampling.is_some(), verdict != Verdict::Pass);
        assert!(
            kept.traces().windows(2).all(|pair| pair[0].sampling.as_ref().map(Arc::as_ptr) == pair[1].sampling.as_ref().map(Arc::as_ptr))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_are_asked_in_order_and_a_dropped_trace_no_further() {
    let notes = Notes::default();
    let dropping = |id: &'static str| deciding(move |own| if own == id { drop_for("no") } else { Verdict::Pass }).noting(&notes);
    let filters = vec![
        dropping("4").called("b").at(7),
        dropping("2").called("c").at(-1),
        dropping("3").called("a").at(7),
        dropping("1").called("z").at(-9),
    ];
    let mut bench = Bench::new(filters);
    bench.give(all(&["1", "2", "3", "4", "5"])).await;
    assert_eq!(bench.kept_ids().await, ["5"]);
    assert_eq!(notes.taken(), ["asked 1 2 3 4 5", "asked 2 3 4 5", "asked 3 4 5", "asked 4 5"]);
    for name in ["z", "c", "a", "b"] {
        assert_eq!(bench.dropped().await, (name.to_owned(), Some("no".to_owned())));
    }
    let names: Vec<String> = bench.handle.summaries().into_iter().map(|filter| filter.name).collect();
    assert_eq!(names, ["z", "c", "a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_drop_wins_over_any_keep_and_the_first_keep_stays() {
    let one = deciding(|id| if id == "default" { Verdict::Pass } else { keep_for("one's") });
    let two = deciding(|id| match id {
        "dropped" => drop_for("two's"),
        "default" => Verdict::Pass,
        _ => keep_for("two's"),
    });
    let mut bench = Bench::new(vec![one.called("one"), two.called("two")]);
    bench.give(all(&["kept", "dropped", "default"])).await;
    let kept = bench.kept().await.batch;
    assert_eq!(ids(&kept), ["kept", "default"]);
    let sampling = kept.traces()[0].sampling.clone().unwrap();
    assert_eq!((&*sampling.filter, sampling.reason.as_deref(), sampling.keep), ("one", Some("one's"), true));
    assert_eq!(kept.traces()[1].sampling, None);
    assert_eq!(bench.dropped().await, ("two".to_owned(), Some("two's".to_owned())));
    let decision = |id: &str| {
        let known = bench.handle.decision(&TraceId::parse(id)).unwrap();
        (known.keep, known.sampling.map(|sampling| (sampling.filter.to_string(), sampling.keep)), known.part)
    };
    assert_eq!(decision("kept"), (true, Some(("one".to_owned(), true)), 0));
    assert_eq!(decision("dropped"), (false, Some(("two".to_owned(), false)), 0));
    assert_eq!(decision("default"), (true, None, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_decided_is_counted_by_filter_and_reason() {
    let filter = deciding(|id| match &id[..1] {
        "k" => keep_for("errors"),
        "d" => drop_for("rate"),
        "n" => Verdict::Drop(None),
        _ => Verdict::Pass,
    });
    let mut bench = Bench::new(vec![filter.called("sampling")]);
    bench.give(all(&["k1", "d1", "p1", "k2", "n1", "d2", "k3"])).await;
    bench.kept().await;
    let filter = bench.filter("sampling");
    assert_eq!((filter.calls, filter.kept, filter.dropped, filter.passed, filter.failures), (1, 3, 3, 1, 0));
    let count = |reason: Option<&str>, kept, dropped| ReasonCount {
        reason: reason.map(Arc::from),
        kept,
        dropped,
    };
    assert_eq!(filter.reasons, [count(None, 0, 1), count(Some("errors"), 3, 0), count(Some("rate"), 0, 2)]);
    assert_eq!((filter.state, filter.numbers.counters), ("running", [("n".to_owned(), 1)].into()));
    let counts = Counts {
        kept: 4,
        dropped: 3,
        remembered: 3,
        ..Counts::default()
    };
    assert_eq!(bench.handle.counts(), counts);
    assert_eq!(bench.handle.report("sampling").await, Ok(Some("{}".to_owned())));
    assert_eq!(bench.handle.report("other").await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_makes_no_sense_is_a_failure() {
    let edit = |target| Decisions {
        verdicts: vec![Verdict::Pass],
        edits: vec![Edit { target, change: Change::Error(None) }],
    };
    for (answer, said) in [
        (Decisions::default(), "it gave 0 verdicts on a batch of 1 traces"),
        (edit(Target::Trace(1)), "it edited trace row 1, and the batch has 1 of them, counted from 0"),
        (edit(Target::Span(2)), "it edited span row 2, and the batch has 2 of them, counted from 0"),
    ] {
        let filter = Fake::new(move |_| Ok(answer.clone()));
        let mut bench = Bench::new(vec![filter.called("odd").on_failure(OnFailure::Pass)]);
        bench.give(vec![part("a", 0, 2)]).await;
        assert_eq!(bench.kept_ids().await, ["a"]);
        let filter = bench.filter("odd");
        assert_eq!((filter.failures, filter.undecided, filter.last_error.as_deref()), (1, 1, Some(said)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_decided_can_be_asked_for_while_the_next_stage_takes_nothing() {
    let mut bench = Bench::new(vec![deciding(|id| if id == "bad" { drop_for("bad") } else { Verdict::Pass }).called("f")]);
    let traces: Vec<Decided> = ["1", "2", "bad", "3"].map(one).into();
    bench.store.announce(traces.iter().map(|decided| &decided.trace));
    // The queue has room for one; the next waits for it, and what is behind that for its turn.
    for (decided, kept) in traces.into_iter().zip([1, 2, 2, 2]) {
        bench.give(vec![decided]).await;
        bench.until_kept(kept).await;
    }
    let stored = |id: &str| bench.store.get(&TraceId::parse(id)).is_some();
    assert!(stored("1") && stored("2") && !stored("3"));
    assert!(["1", "2"].iter().all(|id| bench.store.outline(&TraceId::parse(id)).is_none()));
    assert!(bench.store.outline(&TraceId::parse("3")).is_some(), "it is on its way");
    for id in ["1", "2", "3"] {
        assert_eq!(bench.kept_ids().await, [id]);
    }
    let left = ["1", "2", "bad", "3"].map(|id| bench.store.outline(&TraceId::parse(id)));
    assert_eq!(left, [None, None, None, None]);
}
