//! Many who ask for reports at the same time: each is a call that traces wait for.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;
use tokio::task::{JoinSet, yield_now};

use super::*;
use crate::plugin::Record;

/// Statistics that are told when there is a permit for it.
struct Statistics {
    router: axum::Router,
    asked: Arc<AtomicUsize>,
    may_report: Arc<Semaphore>,
    clients: JoinSet<StatusCode>,
}

impl Statistics {
    fn new() -> Statistics {
        let (asked, may_report) = (Arc::<AtomicUsize>::default(), Arc::new(Semaphore::new(0)));
        let mut fake = Fake {
            report: Some(Ok("{}".to_owned())),
            reports: Arc::clone(&asked),
            may_report: Some(Arc::clone(&may_report)),
            ..Fake::default()
        };
        fake.plugins.records = [("stats".to_owned(), Record::default())].into();
        Statistics {
            router: router(state(store(), fake)),
            asked,
            may_report,
            clients: JoinSet::new(),
        }
    }

    /// Asks, and lets it wait.
    async fn ask(&mut self, path: &str) -> tokio::task::AbortHandle {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let asking = self.router.clone().oneshot(request);
        let client = self.clients.spawn(async move { asking.await.unwrap().status() });
        // There is one thread, so it comes as far as it can.
        yield_now().await;
        client
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn whoever_asks_for_a_report_while_one_is_under_way_gets_that_one() {
    let mut statistics = Statistics::new();
    for _ in 0..10 {
        statistics.ask("/trace/stats").await;
        statistics.ask("/plugins/stats/report").await;
    }
    assert_eq!(statistics.asked(), 1);
    statistics.may_report.add_permits(1);
    for _ in 0..20 {
        assert_eq!(statistics.clients.join_next().await.unwrap().unwrap(), StatusCode::OK);
    }
    assert_eq!(statistics.asked(), 1);
    // It is over: who asks now gets another one.
    statistics.ask("/trace/stats").await;
    assert_eq!(statistics.asked(), 2);
}

#[tokio::test]
async fn a_report_is_asked_for_again_when_who_asked_for_it_has_gone() {
    let mut statistics = Statistics::new();
    let first = statistics.ask("/trace/stats").await;
    statistics.ask("/trace/stats").await;
    first.abort();
    assert!(statistics.clients.join_next().await.unwrap().is_err());
    statistics.may_report.add_permits(1);
    assert_eq!(statistics.clients.join_next().await.unwrap().unwrap(), StatusCode::OK);
    assert_eq!(statistics.asked(), 2);
}
