use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::{Export, Exporter, Handle, Member, Outcome, Terms, run};
use crate::batch::{Resident, TraceBatch};
use crate::budget::{Budget, Share};
use crate::filter::FilteredBatch;
use crate::model::{Decision, Leadership, Receipts, Trace, TraceId};
use crate::source::{Fate, Settlement};
use crate::tasks::Tasks;

/// What exporters of a test share: each trace that was taken, with who took it.
#[derive(Clone, Default)]
struct Taken(Arc<Mutex<Vec<(String, String)>>>);

impl Taken {
    fn by(&self, who: &str) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter(|(own, _)| own == who).map(|(_, id)| id.clone()).collect()
    }
}

type Answer = Box<dyn FnMut(&TraceBatch) -> Outcome + Send>;

/// An exporter that does as it is told; its state is how many traces it and its predecessors took.
struct Fake {
    who: String,
    taken: Taken,
    count: u64,
    answer: Answer,
    refuses_state: bool,
    flushed: Arc<AtomicUsize>,
}

impl Exporter for Fake {
    fn export(&mut self, batch: &Arc<TraceBatch>) -> Outcome {
        let outcome = (self.answer)(batch);
        if outcome == Outcome::Delivered {
            self.count += batch.traces().len() as u64;
            let ids = batch.traces().iter().map(|trace| (self.who.clone(), trace.id.to_string()));
            self.taken.0.lock().unwrap_or_else(PoisonError::into_inner).extend(ids);
        }
        outcome
    }
}

impl Resident for Fake {
    fn flush(&mut self) -> Result<(), String> {
        self.flushed.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
    fn report(&mut self) -> Result<Option<String>, String> {
        Ok(Some(self.count.to_string()))
    }
    fn snapshot(&mut self) -> Result<Option<Vec<u8>>, String> {
        Ok(Some(self.count.to_be_bytes().to_vec()))
    }
    fn restore(&mut self, snapshot: &[u8]) -> Result<(), String> {
        if self.refuses_state {
            return Err("restore: it trapped".into());
        }
        self.count = snapshot.try_into().map_or(0, u64::from_be_bytes);
        Ok(())
    }
}

/// The stage between its neighbours.
struct Stage {
    input: mpsc::Sender<FilteredBatch>,
    settled: mpsc::Receiver<Settlement>,
    handle: Handle,
    leadership: Leadership,
    tasks: Tasks,
    taken: Taken,
    flushed: Arc<AtomicUsize>,
}

const TERMS: Terms = Terms {
    required: true,
    queue: 2,
    max_traces: 512,
};

impl Stage {
    fn start() -> Stage {
        let tasks = Tasks::new(tokio::runtime::Handle::current());
        let (input, received) = mpsc::channel(1);
        let (settlements, settled) = mpsc::channel(1_000);
        let (failed, _) = mpsc::channel(1);
        let leadership = Leadership::default();
        let stage = Export {
            input: received,
            settlements,
            leadership: leadership.clone(),
            failed,
        };
        let handle = run(stage, &tasks);
        Stage {
            input,
            settled,
            handle,
            leadership,
            tasks,
            taken: Taken::default(),
            flushed: Arc::default(),
        }
    }

    fn fake(&self, who: &str, answer: impl FnMut(&TraceBatch) -> Outcome + Send + 'static) -> Fake {
        Fake {
            who: who.into(),
            taken: self.taken.clone(),
            count: 0,
            answer: Box::new(answer),
            refuses_state: false,
            flushed: Arc::clone(&self.flushed),
        }
    }

    async fn put(&self, name: &str, terms: Terms, fakes: Vec<Fake>) -> Result<(), String> {
        self.put_within(name, terms, fakes, Duration::from_secs(20)).await
    }

    async fn put_within(&self, name: &str, terms: Terms, fakes: Vec<Fake>, within: Duration) -> Result<(), String> {
        let exporters = fakes.into_iter().map(|fake| Box::new(fake) as Box<dyn Exporter>).collect();
        self.handle
            .put(Member {
                name: name.into(),
                exporters,
                terms,
                within,
            })
            .await
    }

    async fn send(&self, ids: &[&str]) {
        let trace = |id: &&str| Arc::new(Trace::new(TraceId::parse(id), 0, Decision::Complete, Vec::new()));
        let batch = FilteredBatch {
            batch: Arc::new(TraceBatch::new(ids.iter().map(trace).collect())),
            receipts: ids.iter().map(|_| Receipts::default()).collect(),
            share: Share::default(),
        };
        self.input.send(batch).await.expect("the stage runs");
    }

    async fn settled(&mut self, count: usize) -> Vec<Fate> {
        let mut fates = Vec::new();
        while fates.len() < count {
            let settlement = tokio::time::timeout(Duration::from_secs(20), self.settled.recv()).await.expect("in time");
            fates.push(settlement.expect("the stage runs").fate);
        }
        fates
    }

    async fn until(&self, what: &str, condition: impl Fn(&super::Summary) -> bool) {
        let start = Instant::now();
        while !self.handle.summaries().iter().any(&condition) {
            assert!(start.elapsed() < Duration::from_secs(20), "{what}: {:?}", self.handle.summaries());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Closes the input and waits for every thread.
    async fn end(self) {
        drop(self.input);
        self.tasks.ended(Duration::from_secs(20)).await.expect("all have ended");
    }
}

fn delivered(fates: Vec<Fate>) -> bool {
    fates.iter().all(|fate| matches!(fate, Fate::Delivered))
}

fn delivers() -> impl FnMut(&TraceBatch) -> Outcome + Send + 'static {
    |_| Outcome::Delivered
}

fn pauses() -> impl FnMut(&TraceBatch) -> Outcome + Send + 'static {
    |_| Outcome::Retry {
        after: Some(Duration::from_secs(50)),
        reason: "not now".into(),
    }
}

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
async fn what_one_that_is_not_required_refuses_for_good_is_counted_and_told() {
    let mut stage = Stage::start();
    let best_effort = Terms { required: false, ..TERMS };
    stage.put("x", best_effort, vec![stage.fake("x", |_| Outcome::Rejected("too old".into()))]).await.expect("it runs");
    stage.send(&["1"]).await;
    assert!(delivered(stage.settled(1).await), "its say does not count");
    stage.until("it is told", |x| x.rejected == 1 && x.last_error.as_deref() == Some("too old")).await;
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
