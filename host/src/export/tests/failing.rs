//! Exporters that fail, refuse or ask for a pause: what is tried again, and who is blamed.

use super::*;

#[tokio::test]
async fn one_that_fails_at_everything_is_only_tried_now_and_then_until_it_works() {
    let mut stage = Stage::start();
    let works = Arc::new(AtomicBool::new(false));
    let mended = Arc::clone(&works);
    let answer = move |_: &TraceBatch| {
        if mended.load(Ordering::Relaxed) { Outcome::Delivered } else { Outcome::Failed("it trapped".into()) }
    };
    stage.put("x", TERMS, vec![stage.fake("x", answer)]).await.expect("it runs");
    let ids: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    stage.send(&ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    stage.until("it is broken", |x| x.broken).await;
    let failures = stage.handle.summaries()[0].failures;
    assert!(failures < 20, "{failures} calls for 100 traces");
    works.store(true, Ordering::Relaxed);
    assert!(delivered(stage.settled(100).await));
    stage.until("it is mended", |x| !x.broken && x.holding.is_none()).await;
    stage.end().await;
}

#[tokio::test]
async fn the_one_trace_that_kills_it_is_found_and_the_others_are_taken() {
    let mut stage = Stage::start();
    let answer = |batch: &TraceBatch| {
        let poisoned = batch.traces().iter().any(|trace| trace.id == TraceId::parse("poison"));
        if poisoned { Outcome::Failed("it trapped".into()) } else { Outcome::Delivered }
    };
    stage.put("x", TERMS, vec![stage.fake("x", answer)]).await.expect("it runs");
    stage.send(&["1", "2", "poison", "3", "4", "5"]).await;
    // The next one shows that it is not the exporter's fault.
    stage.send(&["6"]).await;
    let fates = stage.settled(7).await;
    let dead: Vec<&Fate> = fates.iter().filter(|fate| !matches!(fate, Fate::Delivered)).collect();
    assert!(matches!(&dead[..], [Fate::Dead { stage: "export", plugin: Some(plugin), .. }] if plugin == "x"), "{dead:?}");
    assert_eq!((stage.taken.by("x").len(), stage.handle.delivered()), (6, 6), "a dead letter is not delivered");
    stage.end().await;
}

#[tokio::test]
async fn a_lone_trace_that_fails_once_is_not_given_up() {
    let mut stage = Stage::start();
    let mut fails = 1;
    let answer = move |batch: &TraceBatch| {
        let unlucky = batch.traces().iter().any(|trace| trace.id == TraceId::parse("unlucky"));
        fails -= i32::from(unlucky);
        if unlucky && fails >= 0 { Outcome::Failed("it trapped".into()) } else { Outcome::Delivered }
    };
    stage.put("x", TERMS, vec![stage.fake("x", answer)]).await.expect("it runs");
    stage.send(&["1"]).await;
    stage.settled(1).await;
    stage.send(&["unlucky"]).await;
    assert!(delivered(stage.settled(1).await));
    stage.end().await;
}

#[tokio::test]
async fn an_outage_in_the_middle_of_a_batch_costs_no_trace() {
    let mut stage = Stage::start();
    let mut calls = 0;
    // Works for a call, then fails at all that it is offered for a while.
    let answer = move |_: &TraceBatch| {
        calls += 1;
        if (2..9).contains(&calls) { Outcome::Failed("it ran longer than its limit".into()) } else { Outcome::Delivered }
    };
    stage.put("x", Terms { max_traces: 2, ..TERMS }, vec![stage.fake("x", answer)]).await.expect("it runs");
    stage.send(&["1", "2", "3", "4", "5", "6"]).await;
    assert!(delivered(stage.settled(6).await));
    assert_eq!(stage.handle.summaries()[0].rejected, 0);
    stage.end().await;
}

/// Asks for reports all the time, as somebody who watches does.
fn polled(stage: &Stage) -> tokio::task::JoinSet<()> {
    let handle = stage.handle.clone();
    let mut polling = tokio::task::JoinSet::new();
    polling.spawn(async move {
        loop {
            drop(handle.report("x").await);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    polling
}

#[tokio::test]
async fn a_pause_that_was_asked_for_lasts_whoever_asks_meanwhile() {
    let mut stage = Stage::start();
    let calls = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&calls);
    let answer = move |_: &TraceBatch| {
        let mut calls = noted.lock().expect("no panic");
        calls.push(Instant::now());
        let retry = Outcome::Retry {
            after: Some(Duration::from_millis(500)),
            reason: "not now".into(),
        };
        if calls.len() == 1 { retry } else { Outcome::Delivered }
    };
    stage.put("x", TERMS, vec![stage.fake("x", answer)]).await.expect("it runs");
    let polling = polled(&stage);
    stage.send(&["1"]).await;
    assert!(delivered(stage.settled(1).await));
    drop(polling);
    let paused = {
        let calls = calls.lock().expect("no panic");
        calls[1] - calls[0]
    };
    assert!(paused >= Duration::from_millis(500), "{paused:?}");
    stage.end().await;
}

#[tokio::test]
async fn what_failed_is_tried_again_whoever_asks_meanwhile() {
    let mut stage = Stage::start();
    let mut left = 3;
    let answer = move |_: &TraceBatch| {
        left -= 1;
        if left >= 0 { Outcome::Failed("it trapped".into()) } else { Outcome::Delivered }
    };
    stage.put("x", TERMS, vec![stage.fake("x", answer)]).await.expect("it runs");
    let polling = polled(&stage);
    stage.send(&["1"]).await;
    assert!(delivered(stage.settled(1).await));
    drop(polling);
    stage.end().await;
}

#[tokio::test]
async fn an_instance_that_works_does_not_hide_one_that_is_stuck() {
    let mut stage = Stage::start();
    stage.put("x", TERMS, vec![stage.fake("stuck", pauses()), stage.fake("works", delivers())]).await.expect("they run");
    let mut sent = 0;
    while stage.handle.summaries()[0].retries == 0 {
        stage.send(&[&sent.to_string()]).await;
        sent += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // One is with the stuck instance.
    stage.settled(sent - 1).await;
    stage.send(&["more"]).await;
    stage.settled(1).await;
    let summary = stage.handle.summaries().remove(0);
    assert_eq!((summary.state(), summary.holding.as_deref()), ("holding", Some("not now (1 of 2 instances)")));
    stage.handle.remove("x");
    stage.end().await;
}

#[tokio::test]
async fn what_one_that_is_not_required_refuses_for_good_is_counted_and_told() {
    let mut stage = Stage::start();
    let best_effort = Terms { required: false, ..TERMS };
    stage.put("x", best_effort, vec![stage.fake("x", |_| Outcome::Rejected("too old".into()))]).await.expect("it runs");
    stage.send(&["1"]).await;
    assert!(delivered(stage.settled(1).await), "its say does not count");
    stage.until("it is told", |x| x.rejected == 1 && x.last_error.as_deref() == Some("too old")).await;
    stage.end().await;
}
