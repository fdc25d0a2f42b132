//! Filters that fail: what passes, what waits, what becomes a dead letter.

use super::bench::Notes;
use super::*;

const NO: &str = "it trapped";

/// Fails with batches in which a trace's id begins with `bad`, and keeps what is in others.
fn fragile(notes: &Notes) -> Fake {
    Fake::new(|batch| {
        if batch.traces().iter().any(|trace| trace.id.to_string().starts_with("bad")) {
            return Err(NO.to_owned());
        }
        Ok(Decisions {
            verdicts: vec![keep_for("good"); batch.traces().len()],
            edits: Vec::new(),
        })
    })
    .noting(notes)
}

/// Fails until it is told to work.
fn broken() -> (Fake, Arc<std::sync::atomic::AtomicBool>) {
    let works = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let asked = Arc::clone(&works);
    let fake = Fake::new(move |batch| {
        if !asked.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(NO.to_owned());
        }
        Ok(Decisions {
            verdicts: vec![keep_for("good"); batch.traces().len()],
            edits: Vec::new(),
        })
    });
    (fake, works)
}

fn repair(works: &std::sync::atomic::AtomicBool) {
    works.store(true, std::sync::atomic::Ordering::SeqCst);
}

/// So many good traces, with bad ones at these places.
fn mixed(count: usize, bad: &[usize]) -> Vec<Decided> {
    (0..count).map(|at| one(&format!("{}-{at}", if bad.contains(&at) { "bad" } else { "good" }))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pass_lets_those_pass_that_it_fails_with_and_decides_on_the_others() {
    let notes = Notes::default();
    let mut bench = Bench::new(vec![fragile(&notes).called("f").on_failure(OnFailure::Pass)]);
    bench.give(mixed(64, &[0, 31, 32])).await;
    let kept = bench.kept().await.batch;
    assert_eq!(kept.traces().len(), 64);
    for (at, trace) in kept.traces().iter().enumerate() {
        assert_eq!(trace.id.to_string(), format!("{}-{at}", if [0, 31, 32].contains(&at) { "bad" } else { "good" }));
        assert_eq!(trace.sampling.is_some(), ![0, 31, 32].contains(&at), "{at}");
    }
    let filter = bench.filter("f");
    assert_eq!((filter.kept, filter.undecided, filter.state), (61, 3, "running"));
    assert_eq!((filter.last_error.as_deref(), notes.taken().len()), (Some(NO), filter.calls as usize));
    bench.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_fails_at_everything_costs_passing_traces_few_calls() {
    let (fake, works) = broken();
    let mut bench = Bench::new(vec![fake.called("f").on_failure(OnFailure::Pass)]);
    bench.give(mixed(512, &[])).await;
    assert_eq!(bench.kept_ids().await.len(), 512);
    let filter = bench.filter("f");
    assert_eq!((filter.calls, filter.failures, filter.undecided), (15, 15, 512));
    assert_eq!((filter.state, filter.holding.as_deref()), ("failing", Some(NO)));
    repair(&works);
    let mut asked = 0;
    loop {
        bench.give(all(&["next"])).await;
        let verdict = bench.kept().await.batch.traces()[0].sampling.clone();
        asked += 1;
        if verdict.is_some() {
            break;
        }
        assert_eq!(bench.filter("f").calls, 15, "it is left alone for a while");
    }
    let filter = bench.filter("f");
    assert_eq!((filter.state, filter.calls, filter.undecided), ("running", 16, 511 + asked));
}

#[tokio::test(flavor = "multi_thread")]
async fn hold_lets_nothing_past_until_it_works() {
    let (fake, works) = broken();
    let mut bench = Bench::new(vec![passing().called("first").at(-1), fake.called("f")]);
    bench.give(all(&["a", "b"])).await;
    bench.until("f", |filter| filter.failures >= 1).await;
    bench.give(all(&["c"])).await;
    let filter = bench.until("f", |filter| filter.failures >= 3).await;
    let why = format!("{NO}; it fails with 2 traces, \"a\" among them");
    assert_eq!((filter.state, filter.holding), ("holding", Some(why)));
    bench.assert_nothing_left();
    repair(&works);
    assert_eq!((bench.kept_ids().await, bench.kept_ids().await), (vec!["a".to_owned(), "b".to_owned()], vec!["c".to_owned()]));
    let filter = bench.filter("f");
    assert_eq!((filter.state, filter.holding, filter.last_error.as_deref(), filter.kept), ("running", None, Some(NO), 3));
    assert_eq!(bench.filter("first").calls, 2, "what waits is not shown again to a filter that it has passed");
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letter_finds_the_guilty_and_lets_the_others_on() {
    let notes = Notes::default();
    let mut bench = Bench::new(vec![fragile(&notes).called("f").on_failure(OnFailure::DeadLetter)]);
    bench.give(mixed(100, &[7, 99])).await;
    let kept = bench.kept_ids().await;
    assert_eq!((kept.len(), kept.iter().any(|id| id.starts_with("bad"))), (98, false));
    // Shows whose fault it was, should nothing have worked after the last of them.
    bench.give(all(&["good"])).await;
    assert_eq!(bench.kept_ids().await, ["good"]);
    let guilty = ("f".to_owned(), NO.to_owned());
    assert_eq!([bench.dead().await, bench.dead().await], [guilty.clone(), guilty]);
    let filter = bench.until("f", |filter| filter.state == "running").await;
    assert_eq!((filter.kept, filter.dead, bench.handle.counts().dead), (99, 2, 2));
    bench.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lone_trace_is_blamed_when_it_fails_again_after_others_were_decided() {
    let notes = Notes::default();
    let mut bench = Bench::new(vec![fragile(&notes).called("f").on_failure(OnFailure::DeadLetter)]);
    bench.give(all(&["bad-1"])).await;
    bench.until("f", |filter| filter.failures >= 2 && filter.state == "holding").await;
    bench.assert_nothing_left();
    for (number, good) in [(1, "good-1"), (2, "good-2")] {
        bench.give(all(&[good])).await;
        assert_eq!((bench.kept_ids().await, bench.dead().await.0), (vec![good.to_owned()], "f".to_owned()));
        assert_eq!(bench.until("f", |filter| filter.state == "running").await.dead, number);
        // The next one comes when the filter has just worked, which proves nothing.
        let failures = bench.filter("f").failures;
        bench.give(all(&["bad-2"])).await;
        let filter = bench.until("f", |filter| filter.failures >= failures + 3).await;
        assert_eq!((filter.dead, filter.state), (number, "holding"));
        assert_eq!(filter.holding.as_deref(), Some(r#"it trapped; it fails with the trace "bad-2""#));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_fails_for_a_while_costs_no_trace() {
    for on_failure in [OnFailure::DeadLetter, OnFailure::Hold] {
        let mut calls = 0;
        let fake = Fake::new(move |batch| {
            calls += 1;
            // The batch fails, its first half works, and then nothing for a while.
            if calls != 2 && calls < 12 {
                return Err(NO.to_owned());
            }
            Ok(Decisions {
                verdicts: vec![keep_for("good"); batch.traces().len()],
                edits: Vec::new(),
            })
        });
        let mut bench = Bench::new(vec![fake.called("f").on_failure(on_failure)]);
        bench.give(mixed(8, &[])).await;
        let mut kept = bench.kept_ids().await;
        assert_eq!(kept.len(), 4, "what was decided goes on");
        while kept.len() < 8 {
            kept.extend(bench.kept_ids().await);
        }
        assert_eq!((bench.filter("f").dead, bench.handle.counts().kept), (0, 8));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hold_narrows_a_batch_down_and_only_the_trace_that_it_fails_with_waits() {
    // As one that hits a limit: it fails with more than three traces at once, and always with a bad one.
    let fake = Fake::new(|batch| {
        let traces = batch.traces();
        if traces.len() > 3 || traces.iter().any(|trace| trace.id.to_string().starts_with("bad")) {
            return Err(NO.to_owned());
        }
        Ok(Decisions {
            verdicts: vec![keep_for("good"); traces.len()],
            edits: Vec::new(),
        })
    });
    let after = Notes::default();
    let mut bench = Bench::new(vec![fake.called("f"), passing().noting(&after).called("g").at(1)]);
    bench.give(mixed(20, &[])).await;
    assert_eq!(bench.kept_ids().await.len(), 20, "a batch that is too large for it is none for ever");
    bench.give(mixed(20, &[11])).await;
    let kept = bench.kept_ids().await;
    assert_eq!((kept.len(), kept.iter().any(|id| id.starts_with("bad"))), (19, false));
    let filter = bench.until("f", |filter| filter.state == "holding").await;
    assert_eq!(filter.holding.as_deref(), Some(r#"it trapped; it fails with the trace "bad-11""#));
    bench.give(all(&["next"])).await;
    bench.until("f", |now| now.failures > filter.failures).await;
    bench.assert_nothing_left();
    bench.handle.put(passing().called("f")).await.unwrap();
    assert_eq!((bench.kept_ids().await, bench.kept_ids().await), (vec!["bad-11".to_owned()], vec!["next".to_owned()]));
    let asked: Vec<usize> = after.taken().iter().map(|note| note.split(' ').count() - 1).collect();
    assert_eq!(asked, [20, 19, 1, 1], "each trace passes the other filter once");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_blamed_for_a_filter_that_fails_at_everything() {
    let (fake, works) = broken();
    let mut bench = Bench::new(vec![fake.called("f").on_failure(OnFailure::DeadLetter)]);
    for round in 0..4 {
        bench.give((0..200).map(|at| one(&format!("{round}-{at}"))).collect()).await;
    }
    bench.until("f", |filter| filter.failures > 60).await;
    bench.assert_nothing_left();
    repair(&works);
    let mut kept = 0;
    while kept < 800 {
        kept += bench.kept_ids().await.len();
    }
    assert_eq!((bench.filter("f").dead, bench.filter("f").kept), (0, 800));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_filter_a_place_does_as_it_says() {
    let why = "it could not be compiled";
    let mut bench = Bench::new(vec![Slot::missing("f", 0, OnFailure::Pass, why)]);
    bench.give(all(&["a"])).await;
    assert_eq!(bench.kept_ids().await, ["a"]);
    let filter = bench.filter("f");
    assert_eq!((filter.state, filter.undecided, filter.calls, filter.last_error.as_deref()), ("missing", 1, 0, Some(why)));
    for on_failure in [OnFailure::Hold, OnFailure::DeadLetter] {
        let mut bench = Bench::new(vec![Slot::missing("f", 0, on_failure, why)]);
        bench.give(all(&["a"])).await;
        let filter = bench.until("f", |filter| filter.holding.is_some()).await;
        assert_eq!((filter.state, filter.holding.as_deref(), filter.failures), ("missing", Some(why), 0));
        bench.assert_nothing_left();
        bench.handle.put(passing().called("f")).await.unwrap();
        assert_eq!(bench.kept_ids().await, ["a"]);
        assert_eq!((bench.filter("f").state, bench.filter("f").swaps), ("running", 0));
    }
}
