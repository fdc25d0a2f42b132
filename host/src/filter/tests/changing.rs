//! Filters that come, go and take over while the stage runs.

use super::bench::Notes;
use super::*;
use crate::filter::Filter;

fn failing() -> Fake {
    Fake::new(|_| Err("it trapped".to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_filter_takes_over_the_state_and_the_old_one_is_flushed() {
    let (old, new) = (Notes::default(), Notes::default());
    let mut first = passing().noting(&old);
    first.state = Some(vec![1, 2, 3]);
    let mut bench = Bench::new(vec![first.called("f").at(5)]);
    bench.give(all(&["a"])).await;
    bench.kept().await;
    bench.handle.put(deciding(|_| keep_for("new")).noting(&new).called("f").at(-5)).await.unwrap();
    bench.give(all(&["b"])).await;
    bench.kept().await;
    assert_eq!(
        (old.taken(), new.taken()),
        (vec!["asked a".to_owned(), "flushed".into()], vec!["restored [1, 2, 3]".to_owned(), "asked b".into()])
    );
    let filter = bench.filter("f");
    assert_eq!((filter.calls, filter.swaps, filter.order, filter.kept, filter.passed), (2, 1, -5, 1, 1), "its counters go on");
    assert!(filter.longest_swap.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_cannot_take_over_leaves_the_old_one_as_it_was() {
    let notes = Notes::default();
    let mut first = deciding(|_| keep_for("old")).noting(&notes);
    first.state = Some(vec![1]);
    let mut bench = Bench::new(vec![first.called("f").at(1)]);
    let mut second = passing();
    second.picky = true;
    let refused = bench.handle.put(second.called("f").at(2).on_failure(OnFailure::Pass)).await;
    assert_eq!(refused, Err(r#"the new "f" could not take over from the one that runs, which stays: it is not mine"#.to_owned()));
    bench.give(all(&["a"])).await;
    assert!(bench.kept().await.batch.traces()[0].sampling.is_some());
    let filter = bench.filter("f");
    assert_eq!((filter.swaps, filter.longest_swap, filter.order, filter.on_failure), (0, None, 1, OnFailure::Hold));
    assert_eq!(notes.taken(), ["asked a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_ends_holding_and_what_waited_is_seen_once_by_the_others() {
    let (before, after) = (Notes::default(), Notes::default());
    let mut bench = Bench::new(vec![passing().noting(&before).called("1"), failing().called("2"), passing().noting(&after).called("3")]);
    bench.give(all(&["a", "b"])).await;
    bench.until("2", |filter| filter.failures >= 2).await;
    bench.handle.put(deciding(|id| if id == "a" { drop_for("new") } else { Verdict::Pass }).called("2")).await.unwrap();
    assert_eq!((bench.kept_ids().await, bench.dropped().await.0), (vec!["b".to_owned()], "2".to_owned()));
    assert_eq!((before.taken(), after.taken()), (vec!["asked a b".to_owned()], vec!["asked b".to_owned()]));
    assert_eq!(bench.filter("2").state, "running");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_filter_that_is_removed_goes_on_without() {
    let after = Notes::default();
    let mut bench = Bench::new(vec![failing().called("1"), passing().noting(&after).called("2")]);
    bench.give(all(&["a"])).await;
    bench.until("1", |filter| filter.state == "holding").await;
    bench.handle.remove("1").await.unwrap();
    assert_eq!(bench.kept_ids().await, ["a"]);
    assert_eq!((after.taken(), bench.handle.summaries().len()), (vec!["asked a".to_owned()], 1));
    assert_eq!(bench.handle.remove("1").await, Err(r#"there is no filter "1"; there are 2"#.to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_goes_missing_keeps_its_place_and_holds() {
    let notes = Notes::default();
    let mut bench = Bench::new(vec![passing().noting(&notes).called("redact").at(3)]);
    bench.handle.missing("redact", "its file is gone").await.unwrap();
    bench.give(all(&["a"])).await;
    let filter = bench.until("redact", |filter| filter.holding.is_some()).await;
    assert_eq!((filter.state, filter.order, filter.holding.as_deref()), ("missing", 3, Some("its file is gone")));
    bench.assert_nothing_left();
    assert_eq!(notes.taken(), ["flushed"]);
    assert_eq!(bench.handle.report("redact").await, Err("its file is gone".to_owned()));
    bench.handle.put(passing().called("redact").at(3)).await.unwrap();
    assert_eq!(bench.kept_ids().await, ["a"]);
    let said = bench.handle.missing("other", "?").await;
    assert_eq!(said, Err(r#"there is no filter "other"; there are redact"#.to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn however_filters_are_moved_what_waits_passes_each_of_them_once() {
    let notes = [Notes::default(), Notes::default(), Notes::default()];
    let noting = |at: usize| passing().noting(&notes[at]);
    let mut bench = Bench::new(vec![noting(0).called("first").at(0), failing().called("stuck").at(1), noting(1).called("redact").at(2)]);
    bench.give(all(&["a"])).await;
    bench.until("stuck", |filter| filter.state == "holding").await;
    // Behind what was to come, in front of it, and new in front of all.
    bench.handle.put(noting(1).called("redact").at(-5)).await.unwrap();
    bench.handle.put(noting(2).called("new").at(-9)).await.unwrap();
    bench.handle.put(passing().called("stuck").at(9)).await.unwrap();
    assert_eq!(bench.kept_ids().await, ["a"]);
    assert_eq!(notes[0].taken(), ["asked a"]);
    assert_eq!(notes[1].taken(), ["flushed", "asked a"]);
    assert_eq!(notes[2].taken(), ["asked a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_change_while_the_next_stage_takes_nothing() {
    let mut bench = Bench::new(Vec::new());
    // The queue has room for one: the second waits for it, and the third behind that.
    for (id, kept) in [("1", 1), ("2", 2), ("3", 2)] {
        bench.give(all(&[id])).await;
        bench.until_kept(kept).await;
    }
    bench.handle.put(deciding(|_| drop_for("late")).called("f")).await.unwrap();
    assert_eq!((bench.kept_ids().await, bench.kept_ids().await), (vec!["1".to_owned()], vec!["2".to_owned()]));
    assert_eq!(bench.dropped().await.0, "f");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_for_the_guilty_is_interrupted_between_two_calls() {
    // Every call fails and takes a while: alone, it would be at it for minutes.
    let fake = Fake::new(|_| {
        std::thread::sleep(Duration::from_millis(50));
        Err("it ran longer than a call may".to_owned())
    });
    let mut bench = Bench::new(vec![fake.called("f").on_failure(OnFailure::DeadLetter)]);
    bench.give((0..512).map(|at| one(&at.to_string())).collect()).await;
    bench.until("f", |filter| filter.failures >= 2).await;
    bench.handle.put(passing().called("f").on_failure(OnFailure::DeadLetter)).await.unwrap();
    assert_eq!(bench.kept_ids().await.len(), 512);
    assert!(bench.filter("f").failures < 200, "{}", bench.filter("f").failures);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_does_not_wait_for_ever_to_take_over_and_does_not_afterwards() {
    let ((release, released), entered) = (std::sync::mpsc::channel::<()>(), Notes::default());
    let begun = entered.clone();
    let mut waits = Some(released);
    let stuck = Fake::new(move |batch| {
        begun.add("entered");
        if let Some(released) = waits.take() {
            released.recv_timeout(Duration::from_secs(20)).expect("it is released");
        }
        Ok(Decisions {
            verdicts: vec![keep_for("old"); batch.traces().len()],
            edits: Vec::new(),
        })
    });
    let mut bench = Bench::new(vec![stuck.called("f")]);
    bench.give(all(&["a"])).await;
    while entered.taken().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let hasty = Slot {
        within: Duration::from_millis(50),
        ..passing().called("f")
    };
    let refused = bench.handle.put(hasty).await;
    let said = r#"the filters came to no end of a call within 0.05 s, so "f" was not put in its place"#;
    assert_eq!(refused, Err(said.to_owned()));
    release.send(()).expect("it waits");
    bench.kept().await;
    bench.give(all(&["b"])).await;
    assert!(bench.kept().await.batch.traces()[0].sampling.is_some(), "the old one decides");
    assert_eq!(bench.filter("f").swaps, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_go_on_between_two_reports_however_many_are_asked_for() {
    let (notes, (release, released)) = (Notes::default(), std::sync::mpsc::channel::<()>());
    let mut busy = true;
    let fake = Fake::new(move |batch| {
        if std::mem::take(&mut busy) {
            released.recv().unwrap();
        }
        passing().decide(batch)
    });
    let mut bench = Bench::new(vec![fake.noting(&notes).called("f")]);
    bench.give(all(&["a"])).await;
    bench.until("f", |filter| filter.calls == 1).await;
    bench.give(all(&["b"])).await;
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let handle = bench.handle.clone();
        clients.spawn(async move {
            loop {
                drop(handle.report("f").await);
                // Once there is no filter any more, the answer is there at once, and this would never end.
                tokio::task::yield_now().await;
            }
        });
    }
    let commands = bench.handle.commands.clone();
    bench.until("f", |_| commands.max_capacity() - commands.capacity() >= 8).await;
    release.send(()).unwrap();
    assert_eq!([bench.kept_ids().await, bench.kept_ids().await], [["a"], ["b"]]);
    drop(clients);
    let notes = notes.taken();
    // One before it is taken, one before it is decided on.
    assert!(notes.iter().position(|note| note == "asked b").unwrap() <= 3, "{notes:?}");
}
