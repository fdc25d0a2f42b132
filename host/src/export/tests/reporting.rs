//! Exporters that are asked for their reports all the time.

use tokio::task::JoinSet;

use super::*;

/// Clients, each of which asks again as soon as it is answered.
struct Clients {
    /// Questions so far.
    asked: Arc<AtomicUsize>,
    _asking: JoinSet<()>,
}

impl Clients {
    fn of(stage: &Stage, clients: usize) -> Clients {
        let (asked, mut asking) = (Arc::<AtomicUsize>::default(), JoinSet::new());
        for _ in 0..clients {
            let (handle, asked) = (stage.handle.clone(), Arc::clone(&asked));
            asking.spawn(async move {
                loop {
                    // On one thread, the question has been asked before anybody else can see this.
                    asked.fetch_add(1, Ordering::Relaxed);
                    drop(handle.report("x").await);
                    // Once nobody is there to be asked, the answer is there at once, and this would never end.
                    tokio::task::yield_now().await;
                }
            });
        }
        Clients { asked, _asking: asking }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn between_two_reports_an_item_that_waits_is_taken() {
    let mut stage = Stage::start();
    let (begun, release) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (begins, released) = (Arc::clone(&begun), Arc::clone(&release));
    // The first call lasts until everything waits: items, and questions of all clients.
    let answer = move |_: &TraceBatch| {
        begins.store(true, Ordering::SeqCst);
        while !released.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Outcome::Delivered
    };
    stage.put("x", Terms { queue: 6, ..TERMS }, vec![stage.fake("x", answer)]).await.expect("it runs");
    stage.send(&["0"]).await;
    stage.until("it is busy", |_| begun.load(Ordering::SeqCst)).await;
    for number in 1..=6 {
        stage.send(&[&number.to_string()]).await;
    }
    stage.until("six wait", |x| x.queued == 6).await;
    let clients = Clients::of(&stage, 8);
    stage.until("eight ask", |_| clients.asked() >= 8).await;
    release.store(true, Ordering::SeqCst);
    assert!(delivered(stage.settled(7).await));
    drop(clients);
    let asked = stage.asked.lock().expect("no panic").clone();
    let until_last: Vec<&str> = asked.iter().map(String::as_str).take_while(|what| *what != "6").collect();
    assert_eq!(until_last, ["0", "report", "1", "report", "2", "report", "3", "report", "4", "report", "5", "report"]);
    stage.end().await;
}

#[tokio::test]
async fn what_is_to_be_offered_again_is_however_many_ask_for_reports() {
    let mut stage = Stage::start();
    let mut calls = 0;
    // Each way to wait: a pause that it asks for, and one after a failure.
    let answer = move |_: &TraceBatch| {
        calls += 1;
        match calls {
            1 => Outcome::Retry { after: None, reason: "not now".into() },
            2 => Outcome::Failed("it trapped".into()),
            _ => Outcome::Delivered,
        }
    };
    let mut fake = stage.fake("x", answer);
    // So that there is always somebody who waits for the next one.
    fake.report_takes = Duration::from_millis(2);
    stage.put("x", TERMS, vec![fake]).await.expect("it runs");
    let clients = Clients::of(&stage, 16);
    stage.until("reports are given", |_| clients.asked() > 32).await;
    stage.send(&["1"]).await;
    assert!(delivered(stage.settled(1).await));
    drop(clients);
    stage.end().await;
}
