//! How long filters and exporters are tried again, and with which pauses.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Pauses before something is offered again, when nobody asks for another: they grow from the first to the second.
pub(crate) const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How long things may still be repeated once the host is stopping.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    until: Mutex<Option<Instant>>,
    changed: Condvar,
    told: Notify,
}

impl Patience {
    pub fn end_at(&self, until: Instant) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
        self.changed.notify_all();
        self.told.notify_waiters();
    }

    /// Whether there is time left for a pause.
    pub fn lasts(&self, pause: Duration) -> bool {
        self.lasts_until(Instant::now() + pause)
    }

    fn lasts_until(&self, at: Instant) -> bool {
        self.until.lock().unwrap_or_else(PoisonError::into_inner).is_none_or(|until| until >= at)
    }

    /// Waits; false when there is no time left for that.
    pub fn pause(&self, pause: Duration) -> bool {
        let wanted = Instant::now() + pause;
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if until.is_some_and(|until| until < wanted) {
                return false;
            }
            let now = Instant::now();
            if now >= wanted {
                return true;
            }
            until = self.changed.wait_timeout(until, wanted - now).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until it is known that patience ends before `at`.
    pub async fn ends_before(&self, at: Instant) {
        loop {
            let mut told = std::pin::pin!(self.told.notified());
            // From here on nothing is missed.
            told.as_mut().enable();
            if !self.lasts_until(at) {
                return;
            }
            told.await;
        }
    }
}

/// A little more or less, lest several come back in step.
pub(crate) fn jittered(pause: Duration) -> Duration {
    let jitter = ahash::RandomState::new().hash_one(pause) % 40;
    pause * (80 + jitter as u32) / 100
}
