//! How long filters and exporters are tried again, and with which pauses.

use std::time::{Duration, Instant};

use tokio::sync::watch;

/// Pauses before something is offered again, when nobody asks for a certain one: they grow from the first to the second.
pub const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How long things may still be repeated once the host is stopping: without an end until then.
#[derive(Debug)]
pub struct Patience {
    until: watch::Sender<Option<Instant>>,
}

impl Default for Patience {
    fn default() -> Self {
        Patience { until: watch::Sender::new(None) }
    }
}

impl Patience {
    /// From now on there is an end.
    pub fn end_at(&self, until: Instant) {
        self.until.send_replace(Some(until));
    }

    /// Whether there is time left for a pause.
    pub fn lasts(&self, pause: Duration) -> bool {
        self.until.borrow().is_none_or(|until| until >= Instant::now() + pause)
    }

    /// Waits; false as soon as there is no time left for that.
    pub async fn pause(&self, pause: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.ends_before(Instant::now() + pause) => false,
            () = tokio::time::sleep(pause) => true,
        }
    }

    /// Waits until it is known that patience ends before `at`.
    pub async fn ends_before(&self, at: Instant) {
        let mut until = self.until.subscribe();
        let ends = |until: &Option<Instant>| until.is_some_and(|until| until < at);
        if until.wait_for(ends).await.is_err() {
            // Nobody is left who could set an end.
            std::future::pending::<()>().await;
        }
    }
}

/// `pause`, or up to a fifth more, lest several come back in step.
pub fn jittered(pause: Duration) -> Duration {
    let jitter = ahash::RandomState::new().hash_one(pause) % 20;
    pause * (100 + jitter as u32) / 100
}
