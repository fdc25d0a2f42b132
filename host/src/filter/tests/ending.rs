//! How the stage ends: with its input, in time, and never unnoticed. And what it does when a leadership has ended.

use std::sync::OnceLock;
use std::time::Instant;

use super::bench::Notes;
use super::*;
use crate::filter::Filter;
use crate::model::{Leadership, TraceId};

#[tokio::test(flavor = "multi_thread")]
async fn what_has_come_is_decided_and_filters_are_flushed_when_the_input_ends() {
    let notes = Notes::default();
    let mut bench = Bench::new(vec![passing().noting(&notes).called("f")]);
    bench.give(all(&["a"])).await;
    bench.give(all(&["b"])).await;
    bench.close();
    let mut kept = Vec::new();
    while let Some(batch) = bench.output.recv().await {
        kept.extend(bench::ids(&batch.batch));
    }
    bench.ended().await;
    assert_eq!((kept, notes.taken().pop()), (vec!["a".to_owned(), "b".to_owned()], Some("flushed".to_owned())));
    assert_eq!(bench.handle.put(passing().called("g")).await, Err("the filters have ended, as the host is stopping".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn holding_ends_with_patience_and_nothing_is_acknowledged() {
    for on_failure in [OnFailure::Hold, OnFailure::DeadLetter] {
        let fake = Fake::new(|_| Err("it trapped".to_owned()));
        let mut bench = Bench::new(vec![fake.called("f").on_failure(on_failure)]);
        bench.give(all(&["a", "b"])).await;
        bench.until("f", |filter| filter.failures >= 2).await;
        bench.give(all(&["c"])).await;
        bench.close();
        bench.handle.end_patience_at(Instant::now() + Duration::from_millis(50));
        bench.ended().await;
        bench.assert_nothing_left();
        assert_eq!(bench.handle.counts().kept, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_filter_does_not_keep_the_stage_from_ending() {
    let mut bench = Bench::new(vec![Slot::missing("f", 0, OnFailure::Hold, "gone")]);
    bench.give(all(&["a"])).await;
    bench.until("f", |filter| filter.holding.is_some()).await;
    bench.close();
    bench.handle.end_patience_at(Instant::now());
    bench.ended().await;
    bench.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_may_take_longer_than_there_is_time_is_not_tried() {
    let notes = Notes::default();
    let fake = Fake::new(|_| {
        std::thread::sleep(Duration::from_millis(300));
        Err("it ran longer than a call may".to_owned())
    });
    let mut bench = Bench::new(vec![fake.noting(&notes).called("f")]);
    bench.give(all(&["a"])).await;
    bench.until("f", |filter| filter.state == "holding").await;
    bench.handle.end_patience_at(Instant::now() + Duration::from_millis(250));
    bench.close();
    bench.ended().await;
    assert_eq!(notes.taken(), ["asked a", "flushed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_of_the_thread_is_told() {
    let mut bench = Bench::new(vec![Fake::new(|_| panic!("a fault of ours")).called("f")]);
    bench.give(all(&["a"])).await;
    let said = bench.failures.recv().await.unwrap().to_string();
    assert_eq!(said, "the thread of the filters ended by a fault of this program; what is pending is read again at the next start");
    bench.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stage_ends_with_the_next_one() {
    let mut bench = Bench::new(Vec::new());
    bench.output.close();
    bench.give(all(&["a"])).await;
    bench.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_host_has_by_now_is_put_before_no_filter_and_forgotten() {
    let notes = Notes::default();
    let mut bench = Bench::new(vec![passing().noting(&notes).called("f")]);
    bench.leadership.begin(1);
    let mut decided = all(&["theirs", "ours"]);
    decided[1].receipts.epoch = 1;
    bench.store.announce(decided.iter().map(|decided| &decided.trace));
    bench.give(decided).await;
    assert_eq!(bench.kept_ids().await, ["ours"]);
    assert_eq!((notes.taken(), bench.leadership.thrown_away()), (vec!["asked ours".to_owned()], 1));
    assert!(bench.store.outline(&TraceId::parse("theirs")).is_none());
    bench.assert_nothing_left();
}

/// A trace that was read under this leadership.
fn read_under(epoch: u32, id: &str) -> Vec<Decided> {
    let mut decided = all(&[id]);
    decided[0].receipts.epoch = epoch;
    decided
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_filter_is_offered_to_it_no_more_when_the_lead_has_ended() {
    for on_failure in [OnFailure::Hold, OnFailure::DeadLetter] {
        let (notes, leadership) = (Notes::default(), Arc::new(OnceLock::<Leadership>::new()));
        let ending = Arc::clone(&leadership);
        // Two that wait, each of which it fails with; the lead ends while it is asked about the second.
        let mut calls = 0;
        let fake = Fake::new(move |batch| {
            calls += 1;
            if calls == 3 {
                ending.get().unwrap().begin(1);
            }
            if calls <= 3 { Err("it trapped".to_owned()) } else { passing().decide(batch) }
        });
        let mut bench = Bench::new(vec![fake.noting(&notes).called("f").on_failure(on_failure)]);
        leadership.set(bench.leadership.clone()).unwrap();
        let theirs = all(&["a", "b"]);
        bench.store.announce(theirs.iter().map(|decided| &decided.trace));
        bench.give(theirs).await;
        bench.until("f", |filter| bench.leadership.thrown_away() == 2 && filter.holding.is_none()).await;
        assert!(["a", "b"].iter().all(|id| bench.store.outline(&TraceId::parse(id)).is_none()));
        bench.give(read_under(1, "ours")).await;
        assert_eq!(bench.kept_ids().await, ["ours"]);
        assert_eq!(notes.taken(), ["asked a b", "asked a", "asked b", "asked ours"]);
        bench.assert_nothing_left();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_let_go_of_when_traces_of_another_lead_come() {
    let mut bench = Bench::new(vec![Slot::missing("f", 0, OnFailure::Hold, "gone")]);
    bench.give(all(&["theirs"])).await;
    bench.until("f", |filter| filter.holding.is_some()).await;
    bench.leadership.begin(1);
    bench.give(read_under(1, "ours")).await;
    bench.handle.remove("f").await.unwrap();
    assert_eq!(bench.kept_ids().await, ["ours"], "not what waited without a filter either");
    assert_eq!(bench.leadership.thrown_away(), 1);
    bench.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_not_put_together_with_what_is_of_another_lead() {
    let fake = Fake::new(|_| Err("it trapped".to_owned()));
    let mut bench = Bench::new(vec![fake.called("f").on_failure(OnFailure::DeadLetter)]);
    // Of a filter that may be at fault, others are asked for meanwhile.
    bench.give(read_under(0, "theirs")).await;
    bench.until("f", |filter| filter.failures > 0).await;
    bench.give(read_under(1, "ours")).await;
    bench.until("f", |filter| filter.holding.as_ref().is_some_and(|why| why.contains("ours"))).await;
    bench.leadership.begin(1);
    bench.handle.put(passing().called("f")).await.unwrap();
    assert_eq!(bench.kept_ids().await, ["ours"]);
    bench.until("f", |filter| filter.holding.is_none()).await;
    assert_eq!(bench.leadership.thrown_away(), 1);
    bench.assert_nothing_left();
}
