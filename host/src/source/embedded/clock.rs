//! Stream time: what the entries are stamped with, and what quiet periods are judged by.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The most that stream time advances between two looks at it. The log is looked at every [`super::bounds::TICK`], so longer gaps mean
/// that the process did not run (a SIGSTOP, a suspended machine): what was sent meanwhile waits in the sockets, and a
/// clock that jumped would call its traces quiet before it is read.
const STEP: Duration = Duration::from_millis(250);

/// Starts at the time of day and advances with the monotonic clock, so that nothing it stamps goes back or jumps when the time
/// of day is corrected. It is no clock to tell the time of day by: it stays behind by what the process slept.
#[derive(Debug)]
pub struct StreamClock {
    start_ms: u64,
    run: Duration,
    seen: Instant,
}

impl StreamClock {
    /// Starts at the time of day.
    pub fn start() -> StreamClock {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        StreamClock {
            start_ms: u64::try_from(since_1970.as_millis()).unwrap_or_default(),
            run: Duration::ZERO,
            seen: Instant::now(),
        }
    }

    /// Stream time at `now`, in milliseconds since 1970; never less than it said before.
    pub fn advance(&mut self, now: Instant) -> u64 {
        self.run += now.saturating_duration_since(self.seen).min(STEP);
        self.seen = self.seen.max(now);
        self.start_ms.saturating_add(u64::try_from(self.run.as_millis()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advances_with_the_monotonic_clock_by_parts_of_milliseconds_too() {
        let mut clock = StreamClock::start();
        let (start_ms, start) = (clock.start_ms, clock.seen);
        for part in 1..=4_000 {
            clock.advance(start + Duration::from_micros(250 * part));
        }
        assert_eq!(clock.advance(start + Duration::from_secs(1)), start_ms + 1_000);
    }

    #[test]
    fn neither_goes_back_nor_counts_the_time_a_process_did_not_run() {
        let mut clock = StreamClock::start();
        let (start_ms, start) = (clock.start_ms, clock.seen);
        assert_eq!(clock.advance(start + Duration::from_secs(30)), start_ms + 250);
        assert_eq!(clock.advance(start + Duration::from_secs(20)), start_ms + 250);
        assert_eq!(clock.advance(start + Duration::from_millis(30_100)), start_ms + 350);
    }
}
