//! Stream time: Redis' clock, minus its jumps.
//!
//! Entries are stamped by Redis, so quiet is measured on Redis' clock. That clock may be set, or another server with another clock may
//! take over; a monotonic clock of our own tells how much time really passed between two looks, and what differs by more than
//! a clock drifts is taken out of every later stamp. A pause of this process or of Redis is no jump: both clocks see it.

use std::time::{Duration, Instant};

/// Less than this is drift, and followed.
const JUMP_MS: i128 = 1_000;

#[derive(Debug, Default)]
pub(super) struct StreamClock {
    /// Added to Redis' milliseconds.
    offset_ms: i128,
    last: Option<Look>,
    high_ms: u64,
}

/// What the clock said, and the two moments of ours between which it said so.
#[derive(Debug)]
struct Look {
    ms: i128,
    sent: Instant,
    came: Instant,
}

impl StreamClock {
    /// Notes what Redis' clock said at a moment of ours (between sending the question and the answer's coming).
    /// Returns the time of that moment.
    pub fn look(&mut self, redis_ms: u64, sent: Instant, came: Instant) -> u64 {
        let mut now_ms = i128::from(redis_ms) + self.offset_ms;
        if let Some(last) = &self.last {
            // Each answer was given some time between its question and its coming; what fits neither extreme is a jump.
            let soonest = last.ms + millis(sent.saturating_duration_since(last.came)) - JUMP_MS;
            let latest = last.ms + millis(came.saturating_duration_since(last.sent)) + JUMP_MS;
            if now_ms < soonest || now_ms > latest {
                let expected = last.ms + millis(sent.saturating_duration_since(last.sent));
                tracing::warn!(
                    by_ms = (now_ms - expected) as i64,
                    "the clock of Redis jumped; traces are judged by the time that really passed"
                );
                self.offset_ms += expected - now_ms;
                now_ms = expected;
            }
        }
        self.last = Some(Look { ms: now_ms, sent, came });
        u64::try_from(now_ms).unwrap_or(0)
    }

    /// The stream time of an entry that Redis stamped with `ms`, of those that earlier runs left pending: it may lie long ago.
    pub fn of_pending(&self, ms: u64) -> u64 {
        u64::try_from(i128::from(ms) + self.offset_ms).unwrap_or(0)
    }

    /// The stream time of an entry that has just been read with the last look.
    ///
    /// Ids need not be times: after its clock was set back Redis goes on from the last id, and a writer may choose ids himself. But an entry
    /// that has only now been read is not older than what was declared read before, and not younger than now.
    pub fn of_new(&mut self, ms: u64) -> u64 {
        let latest = self.last.as_ref().map_or(u64::MAX, |last| {
            let answered_within = millis(last.came.saturating_duration_since(last.sent));
            u64::try_from(last.ms + answered_within).unwrap_or(0)
        });
        let at_ms = self.of_pending(ms).clamp(self.high_ms.min(latest), latest);
        self.raise(at_ms)
    }

    /// Stream time never goes back.
    pub fn raise(&mut self, ms: u64) -> u64 {
        self.high_ms = self.high_ms.max(ms);
        self.high_ms
    }
}

fn millis(duration: Duration) -> i128 {
    duration.as_millis() as i128
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: u64 = 1_795_221_700_000;

    #[test]
    fn a_steady_clock_is_followed() {
        let (mut clock, start) = (StreamClock::default(), Instant::now());
        assert_eq!(clock.look(T, start, start), T);
        let later = start + Duration::from_secs(60);
        assert_eq!(clock.look(T + 60_010, later, later), T + 60_010);
        assert_eq!(clock.of_new(T + 60_005), T + 60_005);
    }

    #[test]
    fn a_jump_forward_or_back_is_taken_out() {
        for jump in [3_600_000i64, -3_600_000] {
            let (mut clock, start) = (StreamClock::default(), Instant::now());
            clock.look(T, start, start);
            let later = start + Duration::from_secs(2);
            let jumped = T.saturating_add_signed(jump) + 2_000;
            assert_eq!(clock.look(jumped, later, later), T + 2_000);
            // Redis' ids never go back: after a step back they go on from the last one.
            assert_eq!(clock.of_new(jumped.max(T + 1_990)), T + 2_000);
        }
    }

    #[test]
    fn an_entry_is_neither_from_before_what_was_read_nor_from_the_future() {
        let (mut clock, start) = (StreamClock::default(), Instant::now());
        let now = clock.look(T, start, start);
        clock.raise(now);
        assert_eq!(clock.of_new(T + 3_600_000), T);
        assert_eq!(clock.of_new(u64::MAX), T);
        assert_eq!(clock.of_new(5), T);
    }

    #[test]
    fn a_pause_of_either_side_is_no_jump() {
        let (mut clock, start) = (StreamClock::default(), Instant::now());
        clock.look(T, start, start);
        // We slept between two looks; then Redis answered late.
        let (sent, came) = (start + Duration::from_secs(30), start + Duration::from_secs(70));
        assert_eq!(clock.look(T + 69_000, sent, came), T + 69_000);
        // We slept after Redis had answered and before we read it.
        let (sent, came) = (came, came + Duration::from_secs(30));
        assert_eq!(clock.look(T + 70_010, sent, came), T + 70_010);
        let (sent, came) = (came, came);
        assert_eq!(clock.look(T + 100_020, sent, came), T + 100_020);
    }
}
