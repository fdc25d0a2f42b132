//! How much is offered at once, may wait, and until when.

use super::*;

#[tokio::test]
async fn one_that_is_not_required_loses_what_it_cannot_keep_up_with_and_holds_nobody() {
    let mut stage = Stage::start();
    let best_effort = Terms { required: false, queue: 1, ..TERMS };
    stage.put("slow", best_effort, vec![stage.fake("slow", pauses())]).await.expect("it runs");
    stage.put("other", TERMS, vec![stage.fake("other", delivers())]).await.expect("it runs");
    for number in 0..20 {
        stage.send(&[&number.to_string()]).await;
        stage.settled(1).await;
    }
    let slow = stage.handle.summaries().into_iter().find(|x| x.name == "slow").expect("it is there");
    assert!(slow.dropped >= 17 && slow.exported == 0, "{slow:?}");
    assert_eq!(stage.taken.by("other").len(), 20);
    stage.handle.remove("slow");
    stage.end().await;
}

#[tokio::test]
async fn a_plugin_that_wants_few_traces_in_a_call_gets_few() {
    let mut stage = Stage::start();
    let largest = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&largest);
    let exporter = stage.fake("x", move |batch: &TraceBatch| {
        seen.fetch_max(batch.traces().len(), Ordering::Relaxed);
        Outcome::Delivered
    });
    stage.put("x", Terms { max_traces: 3, ..TERMS }, vec![exporter]).await.expect("it runs");
    stage.send(&["1", "2", "3", "4", "5", "6", "7"]).await;
    stage.settled(7).await;
    assert_eq!(largest.load(Ordering::Relaxed), 3);
    stage.end().await;
}

#[tokio::test]
async fn once_the_time_to_end_has_come_nothing_more_is_offered() {
    let mut stage = Stage::start();
    let handle = stage.handle.clone();
    let ends_it = move |_: &TraceBatch| {
        handle.end_patience_at(Instant::now());
        Outcome::Delivered
    };
    let terms = Terms { max_traces: 1, ..TERMS };
    stage.put("slow", terms, vec![stage.fake("slow", ends_it)]).await.expect("it runs");
    stage.send(&["a", "b"]).await;
    stage.send(&["c"]).await;
    let Stage { input, tasks, .. } = &mut stage;
    drop(std::mem::replace(input, mpsc::channel(1).0));
    tasks.ended(Duration::from_secs(20)).await.expect("all have ended");
    assert_eq!(stage.taken.by("slow"), ["a"]);
    assert_eq!(stage.flushed.load(Ordering::Relaxed), 1);
    assert!(delivered(stage.settled(1).await));
    assert!(stage.settled.recv().await.is_none(), "what was not taken is not settled");
}

/// A batch of one trace that takes this share, and whose error text has so many bytes.
fn large(id: &str, bytes: usize, share: Share) -> FilteredBatch {
    let mut span = crate::encode::sample::span("a");
    span.error = crate::model::Text::own(&"x".repeat(bytes));
    FilteredBatch {
        batch: Arc::new(TraceBatch::new(vec![Arc::new(crate::encode::sample::trace(id, vec![span]))])),
        receipts: vec![Receipts::default()],
        share,
    }
}

#[tokio::test]
async fn the_bytes_of_a_batch_are_free_again_when_every_exporter_has_taken_it_that_it_waits_for() {
    let mut stage = Stage::start();
    let budget = Budget::new(1 << 20);
    let best_effort = Terms { required: false, ..TERMS };
    stage.put("slow", best_effort, vec![stage.fake("slow", pauses())]).await.expect("it runs");
    stage.put("stuck", TERMS, vec![stage.fake("stuck", pauses())]).await.expect("it runs");
    stage.input.send(large("1", 10, budget.take(1000).await)).await.expect("the stage runs");
    stage.until("it is stuck", |x| x.name == "stuck" && x.holding.is_some()).await;
    assert!(budget.used_bytes() > 0);
    stage.put("stuck", TERMS, vec![stage.fake("stuck", delivers())]).await.expect("it takes over");
    stage.settled(1).await;
    assert_eq!(budget.used_bytes(), 0, "whatever one keeps that nobody waits for");
    stage.handle.remove("slow");
    stage.end().await;
}

#[tokio::test]
async fn one_that_is_not_required_may_have_so_many_bytes_waiting() {
    let mut stage = Stage::start();
    let best_effort = Terms { required: false, queue: 64, ..TERMS };
    stage.put("slow", best_effort, vec![stage.fake("slow", pauses())]).await.expect("it runs");
    for number in 0..10 {
        stage.input.send(large(&number.to_string(), 10 << 20, Share::default())).await.expect("the stage runs");
        stage.settled(1).await;
    }
    assert_eq!(stage.handle.summaries()[0].dropped, 4, "six of ten MiB fit into 64");
    stage.handle.remove("slow");
    stage.end().await;
}

#[tokio::test]
async fn what_another_host_has_by_now_is_not_offered_again_and_takes_no_room() {
    let mut stage = Stage::start();
    let answer = |batch: &TraceBatch| match batch.traces()[0].id == TraceId::parse("theirs") {
        true => Outcome::Retry {
            after: Some(Duration::from_millis(1)),
            reason: "not now".into(),
        },
        false => Outcome::Delivered,
    };
    stage.put("x", TERMS, vec![stage.fake("x", answer)]).await.expect("it runs");
    let budget = Budget::new(4096);
    for (epoch, id) in [(0, "theirs"), (1, "ours")] {
        let trace = Arc::new(Trace::new(TraceId::parse(id), 0, Decision::Complete, Vec::new()));
        let batch = FilteredBatch {
            batch: Arc::new(TraceBatch::new(vec![trace])),
            receipts: vec![Receipts { epoch, ..Receipts::default() }],
            share: budget.take(1024).await,
        };
        stage.input.send(batch).await.expect("the stage runs");
    }
    stage.until("it refuses what comes first", |summary| summary.retries > 1).await;
    assert_eq!((budget.used_bytes(), stage.leadership.thrown_away()), (2048, 0));
    stage.leadership.begin(1);
    assert!(delivered(stage.settled(1).await));
    assert_eq!((stage.taken.by("x"), stage.leadership.thrown_away()), (vec!["ours".to_owned()], 1));
    stage.end().await;
    assert_eq!(budget.used_bytes(), 0);
}
