//! Late parts: they follow what was decided about their trace.

use super::bench::Notes;
use super::*;
use crate::filter::Remember;
use crate::model::TraceId;

fn late(id: &str, number: u32) -> Vec<Decided> {
    vec![part(id, number, 1)]
}

/// Drops traces called `bad…`, keeps the others, and signs all of them.
fn signing(notes: &Notes) -> Fake {
    Fake::new(|batch| {
        let bad = |id: String| id.starts_with("bad");
        Ok(Decisions {
            verdicts: batch
                .traces()
                .iter()
                .map(|trace| if bad(trace.id.to_string()) { drop_for("bad") } else { keep_for("good") })
                .collect(),
            edits: (0..batch.traces().len())
                .map(|row| Edit {
                    target: Target::Trace(row),
                    change: Change::Name("signed".to_owned()),
                })
                .collect(),
        })
    })
    .noting(notes)
}

#[tokio::test(flavor = "multi_thread")]
async fn late_parts_of_dropped_traces_are_dropped_without_asking() {
    let notes = Notes::default();
    let mut bench = Bench::new(vec![signing(&notes).called("f")]);
    bench.give(all(&["bad", "good"])).await;
    assert_eq!(bench.kept_ids().await, ["good"]);
    bench.give(late("bad", 1)).await;
    bench.give(late("bad", 2)).await;
    let bad = ("f".to_owned(), Some("bad".to_owned()));
    assert_eq!([bench.dropped().await, bench.dropped().await, bench.dropped().await], [bad.clone(), bad.clone(), bad]);
    assert_eq!(notes.taken(), ["asked bad good"]);
    let (counts, known) = (bench.handle.counts(), bench.handle.decision(&TraceId::parse("bad")).unwrap());
    assert_eq!((counts.dropped, counts.late_dropped, known.keep, known.part), (1, 2, false, 2));
    bench.handle.remove("f").await.unwrap();
    bench.give(late("bad", 3)).await;
    bench.dropped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_parts_of_kept_traces_are_edited_and_their_verdicts_ignored() {
    let mut decided_on = 0;
    let filter = Fake::new(move |batch| {
        decided_on += 1;
        let verdict = if decided_on == 1 { keep_for("good") } else { drop_for("a second thought") };
        Ok(Decisions {
            verdicts: vec![verdict; batch.traces().len()],
            edits: vec![Edit {
                target: Target::Trace(0),
                change: Change::Name("signed".to_owned()),
            }],
        })
    });
    let mut bench = Bench::new(vec![filter.called("f")]);
    bench.give(all(&["good"])).await;
    bench.kept().await;
    bench.give(late("good", 1)).await;
    let kept = bench.kept().await.batch;
    let trace = &kept.traces()[0];
    assert_eq!((trace.part, trace.spans[0].name.as_str()), (1, "signed"));
    assert_eq!(trace.sampling.as_ref().and_then(|sampling| sampling.reason.as_deref()), Some("good"), "what was decided about the trace");
    assert_eq!((bench.filter("f").dropped, bench.filter("f").passed), (0, 1));
    assert_eq!(bench.handle.decision(&TraceId::parse("good")).map(|known| (known.keep, known.part)), Some((true, 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_part_that_comes_with_its_trace_waits_for_its_verdict() {
    let notes = Notes::default();
    let mut bench = Bench::new(vec![signing(&notes).called("f")]);
    let together = vec![one("bad"), one("good"), part("bad", 1, 1), part("good", 1, 1), one("other"), part("bad", 2, 1)];
    bench.give(together).await;
    assert_eq!((bench.kept_ids().await, bench.kept_ids().await), (vec!["good".to_owned()], vec!["good".to_owned(), "other".to_owned()]));
    assert_eq!(notes.taken(), ["asked bad good", "asked good other"]);
    let counts = bench.handle.counts();
    assert_eq!((counts.dropped, counts.late_dropped, counts.kept), (1, 2, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_that_is_decided_anew_is_not_held_to_what_it_was() {
    let mut first = true;
    let filter = Fake::new(move |batch| {
        let verdict = if std::mem::take(&mut first) { drop_for("first") } else { keep_for("second") };
        Ok(Decisions {
            verdicts: vec![verdict; batch.traces().len()],
            edits: Vec::new(),
        })
    });
    let mut bench = Bench::new(vec![filter.called("f")]);
    bench.give(all(&["again"])).await;
    bench.dropped().await;
    bench.give(all(&["again"])).await;
    assert_eq!(bench.kept_ids().await, ["again"]);
    bench.give(late("again", 1)).await;
    assert_eq!(bench.kept_ids().await, ["again"], "its late part follows the second decision");
    assert_eq!(bench.handle.decision(&TraceId::parse("again")).map(|known| (known.keep, known.part)), Some((true, 1)));
    assert_eq!(bench.handle.counts().late_dropped, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn late_parts_of_traces_that_an_earlier_leader_dropped_are_dropped_with_a_reason_that_says_so() {
    let notes = Notes::default();
    let mut bench = Bench::new(vec![signing(&notes).called("f")]);
    bench.give(vec![Decided { follows_drop: true, ..part("good", 1, 1) }]).await;
    let (filter, reason) = bench.dropped().await;
    assert_eq!(
        (filter.as_str(), reason.as_deref()),
        ("(journal)", Some("its trace was dropped before this meshtrace was started or took the lead"))
    );
    assert!(notes.taken().is_empty(), "no filter is asked");
    assert_eq!(bench.handle.counts().late_dropped, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_dropped_under_a_leadership_that_has_ended_is_left_to_the_journal() {
    let notes = Notes::default();
    let mut bench = Bench::new(vec![signing(&notes).called("f")]);
    bench.give((0..3).map(|number| one(&format!("bad-{number}"))).collect()).await;
    bench.settle_down().await;
    assert_eq!(bench.handle.counts().remembered, 3);
    let mut anew = one("bad-anew");
    anew.receipts.epoch = 2;
    bench.give(vec![anew]).await;
    for _ in 0..4 {
        bench.dropped().await;
    }
    assert_eq!(bench.handle.counts().remembered, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_part_does_not_follow_what_was_decided_under_a_leadership_that_has_ended() {
    let under = |epoch: u32, mut decided: Decided| {
        decided.receipts.epoch = epoch;
        decided
    };
    let notes = Notes::default();
    let mut bench = Bench::new(vec![signing(&notes).called("f")]);
    bench.give(all(&["bad-before"])).await;
    bench.dropped().await;
    // Another host has led meanwhile, and has exported both traces. One was waiting here when this host began to lead again.
    bench.give(vec![one("bad-waiting"), under(2, one("good"))]).await;
    bench.dropped().await;
    assert_eq!(bench.kept_ids().await, ["good"]);
    for id in ["bad-before", "bad-waiting"] {
        bench.give(vec![under(2, part(id, 1, 1))]).await;
        assert_eq!(bench.kept_ids().await, [id]);
        assert_eq!(
            bench.handle.decision(&TraceId::parse(id)).map(|known| (known.keep, known.part)),
            Some((false, 1)),
            "it can be asked for"
        );
    }
    assert_eq!((bench.handle.counts().late_dropped, bench.handle.counts().remembered), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_dropped_traces_are_remembered_than_may_be() {
    let notes = Notes::default();
    let mut bench = Bench::remembering(vec![signing(&notes).called("f")], Remember { keep_ms: 600_000, max: 3 });
    for round in 0..20 {
        bench.give((0..50).map(|number| one(&format!("bad-{round}-{number}"))).collect()).await;
    }
    for _ in 0..1_000 {
        bench.dropped().await;
    }
    bench.settle_down().await;
    assert_eq!(bench.handle.counts().remembered, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_remembered_is_forgotten_by_the_streams_time() {
    let notes = Notes::default();
    let mut bench = Bench::remembering(vec![signing(&notes).called("f")], Remember { keep_ms: 10_000, max: 1_000 });
    let at = |id: &str, at_ms: u64| vec![Decided { at_ms, ..one(id) }];
    bench.give(at("bad-1", 1_000)).await;
    bench.give(at("bad-2", 11_000)).await;
    bench.settle_down().await;
    assert_eq!(bench.handle.counts().remembered, 2);
    bench.give(at("bad-3", 11_001)).await;
    bench.settle_down().await;
    assert_eq!(bench.handle.counts().remembered, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_part_of_a_trace_that_waits_under_suspicion_follows_its_verdict() {
    let mut left = 3;
    // Fails with the trace for a while, then drops it.
    let filter = Fake::new(move |batch| {
        let ours = |trace: &std::sync::Arc<crate::model::Trace>| trace.id == TraceId::parse("x") && trace.part == 0;
        if batch.traces().iter().any(ours) {
            left -= 1;
            if left >= 0 {
                return Err("it trapped".to_owned());
            }
        }
        Ok(Decisions {
            verdicts: batch.traces().iter().map(|trace| if ours(trace) { drop_for("bad") } else { Verdict::Pass }).collect(),
            edits: Vec::new(),
        })
    });
    let mut bench = Bench::new(vec![filter.called("f").on_failure(OnFailure::DeadLetter)]);
    bench.give(all(&["x"])).await;
    bench.until("f", |filter| filter.failures >= 1).await;
    bench.give(late("x", 1)).await;
    bench.until("f", |filter| filter.dropped == 1).await;
    let bad = ("f".to_owned(), Some("bad".to_owned()));
    assert_eq!([bench.dropped().await, bench.dropped().await], [bad.clone(), bad]);
    let counts = bench.handle.counts();
    assert_eq!((counts.kept, counts.dropped, counts.late_dropped, counts.dead), (0, 1, 1, 0));
}
