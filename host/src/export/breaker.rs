//! An exporter whose calls fail one after another is only tried now and then: each try ends an instance, and may take as long as a call may.

use std::time::Duration;

/// Calls that fail in a row before it opens.
const STRIKES: u32 = 10;
/// Pauses between tries while it is open: they grow from the first to the second.
const PAUSE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    strikes: u32,
}

impl Breaker {
    /// A call failed.
    pub fn strike(&mut self) {
        self.strikes = self.strikes.saturating_add(1);
    }

    /// A call worked.
    pub fn close(&mut self) {
        self.strikes = 0;
    }

    /// Until the next try, if it is open.
    pub fn pause(&self) -> Option<Duration> {
        let beyond = self.strikes.checked_sub(STRIKES)?;
        Some(PAUSE.0.saturating_mul(1 << beyond.min(8)).min(PAUSE.1))
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        self.strikes >= STRIKES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_with_one_success() {
        let mut breaker = Breaker::default();
        for _ in 1..STRIKES {
            breaker.strike();
        }
        breaker.close();
        assert!(!breaker.is_open());
        for _ in 0..STRIKES {
            assert_eq!(breaker.pause(), None);
            breaker.strike();
        }
        assert_eq!(breaker.pause(), Some(PAUSE.0));
        breaker.strike();
        assert_eq!(breaker.pause(), Some(PAUSE.0 * 2));
        for _ in 0..40 {
            breaker.strike();
        }
        assert_eq!(breaker.pause(), Some(PAUSE.1));
    }
}
