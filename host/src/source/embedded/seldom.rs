//! Warnings that anybody on the network can cause: said, but not as often as they are caused.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One kind of warning; at most one a second is said.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    last: Option<Instant>,
    withheld: u64,
}

const PAUSE: Duration = Duration::from_secs(1);

impl Seldom {
    /// Whether to say it now, and then how often it was not said since the last time.
    pub fn now(&self) -> Option<u64> {
        self.at(Instant::now())
    }

    fn at(&self, now: Instant) -> Option<u64> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.last.is_some_and(|last| now.saturating_duration_since(last) < PAUSE) {
            said.withheld += 1;
            return None;
        }
        said.last = Some(now);
        Some(std::mem::take(&mut said.withheld))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_a_second_is_said_and_the_others_are_counted() {
        let (seldom, start) = (Seldom::default(), Instant::now());
        assert_eq!(seldom.at(start), Some(0));
        assert_eq!(seldom.at(start), None);
        assert_eq!(seldom.at(start + PAUSE / 2), None);
        assert_eq!(seldom.at(start + PAUSE), Some(2));
        assert_eq!(seldom.at(start + PAUSE * 2), Some(0));
    }
}
