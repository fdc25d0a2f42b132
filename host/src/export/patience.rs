//! How long exporters are tried again, and with which pauses.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Pauses before something is offered again, when the exporter does not ask for one: they grow from the first to the second.
pub(super) const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How long workers may still repeat things once the host is stopping.
#[derive(Debug, Default)]
pub(super) struct Patience {
    until: Mutex<Option<Instant>>,
    changed: Condvar,
}

impl Patience {
    pub fn end_at(&self, until: Instant) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
        self.changed.notify_all();
    }

    /// Whether there is time left for a pause.
    pub fn lasts(&self, pause: Duration) -> bool {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_none_or(|until| until >= Instant::now() + pause)
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
}

/// A little more or less, lest several exporters come back in step.
pub(super) fn jittered(pause: Duration) -> Duration {
    let jitter = ahash::RandomState::new().hash_one(pause) % 40;
    pause * (80 + jitter as u32) / 100
}
