//! Exporters come, are replaced and go while batches flow.

use super::*;

#[tokio::test]
async fn a_successor_takes_over_between_two_batches_with_the_state() {
    let mut stage = Stage::start();
    stage.put("x", TERMS, vec![stage.fake("old", delivers())]).await.expect("it runs");
    stage.send(&["1", "2"]).await;
    stage.settled(2).await;
    stage.put("x", TERMS, vec![stage.fake("new", delivers())]).await.expect("it takes over");
    stage.send(&["3"]).await;
    stage.settled(1).await;
    assert_eq!((stage.taken.by("old"), stage.taken.by("new")), (vec!["1".into(), "2".into()], vec!["3".to_owned()]));
    assert_eq!(stage.handle.report("x").await, Ok(Some("3".into())), "it goes on counting");
    assert_eq!(stage.flushed.load(Ordering::Relaxed), 1);
    stage.until("the pause is told", |x| x.longest_swap.is_some()).await;
    stage.end().await;
}

#[tokio::test]
async fn a_successor_that_cannot_take_the_state_over_leaves_the_old_one_running() {
    let mut stage = Stage::start();
    stage.put("x", TERMS, vec![stage.fake("old", delivers())]).await.expect("it runs");
    let mut successor = stage.fake("new", delivers());
    successor.refuses_state = true;
    assert_eq!(stage.put("x", TERMS, vec![successor]).await, Err("restore: it trapped".into()));
    stage.send(&["1"]).await;
    stage.settled(1).await;
    assert_eq!(stage.taken.by("old"), ["1"]);
    stage.end().await;
}

#[tokio::test]
async fn a_successor_gets_what_the_old_one_was_stuck_with() {
    let mut stage = Stage::start();
    stage.put("x", TERMS, vec![stage.fake("old", pauses())]).await.expect("it runs");
    for id in ["1", "2", "3"] {
        stage.send(&[id]).await;
    }
    stage.until("it is stuck", |x| x.holding.is_some()).await;
    stage.put("x", TERMS, vec![stage.fake("new", delivers())]).await.expect("it takes over in the middle of a pause");
    assert!(delivered(stage.settled(3).await));
    assert_eq!(stage.taken.by("new").len(), 3);
    stage.until("it holds no more", |x| x.holding.is_none()).await;
    stage.end().await;
}

#[tokio::test]
async fn nobody_waits_for_an_exporter_that_was_taken_out() {
    let mut stage = Stage::start();
    stage.put("stuck", TERMS, vec![stage.fake("stuck", pauses())]).await.expect("it runs");
    stage.put("other", TERMS, vec![stage.fake("other", delivers())]).await.expect("it runs");
    for id in ["1", "2", "3"] {
        stage.send(&[id]).await;
    }
    stage.until("it is stuck", |x| x.name == "stuck" && x.holding.is_some()).await;
    // Its queue is full by now or soon, and the stage waits for room there.
    stage.send(&["4"]).await;
    stage.handle.remove("stuck");
    assert!(delivered(stage.settled(4).await));
    assert_eq!(stage.taken.by("other"), ["1", "2", "3", "4"]);
    stage.end().await;
}

#[tokio::test]
async fn several_instances_share_the_batches_and_may_become_fewer() {
    let mut stage = Stage::start();
    let slow = |_: &TraceBatch| {
        std::thread::sleep(Duration::from_millis(2));
        Outcome::Delivered
    };
    stage.put("x", TERMS, vec![stage.fake("one", slow), stage.fake("two", slow)]).await.expect("they run");
    for number in 0..40 {
        stage.send(&[&number.to_string()]).await;
    }
    stage.settled(40).await;
    let (one, two) = (stage.taken.by("one").len(), stage.taken.by("two").len());
    assert!(one > 0 && two > 0 && one + two == 40, "{one} and {two}");
    stage.put("x", TERMS, vec![stage.fake("three", delivers())]).await.expect("it takes over");
    for number in 40..60 {
        stage.send(&[&number.to_string()]).await;
    }
    stage.settled(20).await;
    let (now, after) = (stage.taken.by("three").len(), stage.taken.by("one").len() + stage.taken.by("two").len());
    // The second may take what came before it noticed.
    assert!(now + after == 60 && now > 0, "{now} and {after}");
    assert_eq!(stage.handle.summaries()[0].instances, 1);
    stage.end().await;
}

#[tokio::test]
async fn several_instances_are_replaced_together_or_not_at_all() {
    let mut stage = Stage::start();
    stage.put("x", TERMS, vec![stage.fake("old", delivers()), stage.fake("old", delivers())]).await.expect("they run");
    let mut second = stage.fake("new", delivers());
    second.refuses_state = true;
    assert_eq!(stage.put("x", TERMS, vec![stage.fake("new", delivers()), second]).await, Err("restore: it trapped".into()));
    for number in 0..20 {
        stage.send(&[&number.to_string()]).await;
    }
    stage.settled(20).await;
    assert_eq!((stage.taken.by("old").len(), stage.taken.by("new").len(), stage.flushed.load(Ordering::Relaxed)), (20, 0, 0));
    stage.end().await;
}

#[tokio::test]
async fn a_swap_does_not_wait_for_ever_and_is_not_made_afterwards() {
    let mut stage = Stage::start();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let begun = Arc::new(AtomicBool::new(false));
    let begins = Arc::clone(&begun);
    let answer = move |_: &TraceBatch| {
        if !begins.swap(true, Ordering::SeqCst) {
            released.recv_timeout(Duration::from_secs(20)).expect("it is released");
        }
        Outcome::Delivered
    };
    stage.put("x", TERMS, vec![stage.fake("old", answer)]).await.expect("it runs");
    stage.send(&["1"]).await;
    while !begun.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let refused = stage.put_within("x", TERMS, vec![stage.fake("new", delivers())], Duration::from_millis(50)).await;
    let said = r#"the exporter "x", which runs on, came to no end of its call within 0.05 s"#;
    assert_eq!(refused, Err(said.to_owned()));
    release.send(()).expect("it waits");
    stage.send(&["2"]).await;
    stage.settled(2).await;
    assert_eq!(stage.taken.by("old"), ["1", "2"]);
    stage.end().await;
}

#[tokio::test]
async fn what_was_delivered_is_counted_once_whichever_exporters_come_and_go() {
    let mut stage = Stage::start();
    stage.put("x", TERMS, vec![stage.fake("x", delivers())]).await.expect("it runs");
    stage.send(&["1", "2"]).await;
    stage.settled(2).await;
    assert_eq!(stage.handle.delivered(), 2);
    stage.put("y", TERMS, vec![stage.fake("y", delivers())]).await.expect("it runs");
    assert_eq!(stage.handle.delivered(), 2);
    stage.put("z", TERMS, vec![stage.fake("z", |_| Outcome::Rejected("never".into()))]).await.expect("it runs");
    stage.send(&["3"]).await;
    stage.settled(1).await;
    assert_eq!(stage.handle.delivered(), 2, "it is a dead letter");
    ["x", "y", "z"].iter().for_each(|name| stage.handle.remove(name));
    stage.send(&["4"]).await;
    stage.settled(1).await;
    assert_eq!(stage.handle.delivered(), 3, "nobody has to take it");
    stage.end().await;
}

#[tokio::test]
async fn a_late_part_is_delivered_and_no_trace_of_its_own() {
    let mut stage = Stage::start();
    stage.send(&["unwanted"]).await;
    stage.settled(1).await;
    stage.put("x", TERMS, vec![stage.fake("x", delivers())]).await.expect("it runs");
    stage.send(&["1", "2"]).await;
    stage.send_part(&["1"], 1).await;
    stage.settled(3).await;
    assert_eq!((stage.handle.delivered(), stage.handle.delivered_traces()), (4, 3));
    stage.end().await;
}
