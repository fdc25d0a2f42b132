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
    assert_eq!((filter.state, filter.holding.as_deref()), ("holding", Some(NO)));
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
    let guilty = ("f".to_owned(), NO.to_owned());
    assert_eq!([bench.dead().await, bench.dead().await], [guilty.clone(), guilty]);
    let filter = bench.filter("f");
    assert_eq!((filter.kept, filter.dead, filter.state, bench.handle.counts().dead), (98, 2, "running", 2));
    bench.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lone_trace_is_blamed_when_the_filter_decides_on_others() {
    let notes = Notes::default();
    let mut bench = Bench::new(vec![fragile(&notes).called("f").on_failure(OnFailure::DeadLetter)]);
    bench.give(all(&["bad-1"])).await;
    bench.until("f", |filter| filter.failures >= 2 && filter.state == "holding").await;
    bench.assert_nothing_left();
    bench.give(all(&["good-1"])).await;
    assert_eq!((bench.kept_ids().await, bench.dead().await.0), (vec!["good-1".to_owned()], "f".to_owned()));
    bench.until("f", |filter| filter.state == "running").await;
    bench.give(all(&["good-2"])).await;
    bench.kept().await;
    bench.give(all(&["bad-2"])).await;
    bench.dead().await;
    assert_eq!(bench.filter("f").dead, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_blamed_for_a_filter_that_fails_at_everything() {
    let (fake, works) = broken();
    let mut bench = Bench::new(vec![fake.called("f").on_failure(OnFailure::DeadLetter)]);
    for round in 0..4 {
        bench.give((0..200).map(|at| one(&format!("{round}-{at}"))).collect()).await;
    }
    let mut failures = bench.until("f", |filter| filter.failures > 3_000).await.failures;
    // Repaired between two trials: in the middle of one, what failed before and what worked after would tell on the traces that failed.
    loop {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        let now = bench.filter("f").failures;
        if std::mem::replace(&mut failures, now) == now {
            break;
        }
    }
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
