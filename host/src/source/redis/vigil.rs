//! When Redis stood still, or its clock jumped, as all of our questions tell: also of a host that stands by, and of a leader that waits for an exporter and
//! reads nothing.
//!
//! Entries from before such a time and after it may be read together, later. Then nothing else tells that agents were not silent in between.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value};

use super::clock::{JUMP_MS, SILENCE_MS};
use super::reply::time_ms;

/// Gaps that are remembered: the newest. They are of no use any more when what was published around them has been read.
const GAPS_MAX: usize = 1_000;

/// A time of which no more than [`SILENCE_MS`] counts, by the clock of Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Gap {
    from_ms: u64,
    to_ms: u64,
    /// The clock went on faster than time.
    is_jump: bool,
}

/// What our questions have told.
#[derive(Debug, Default)]
pub(super) struct Vigil(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// What the clock said last, and when it had been asked for.
    last: Option<(u64, Instant)>,
    /// When the first question was sent of those that have not been answered.
    asked: Option<Instant>,
    gaps: VecDeque<Gap>,
}

impl Vigil {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Redis is asked for something now; its time will be asked for behind that, sooner or later.
    pub fn ask(&self) {
        self.lock().asked.get_or_insert_with(Instant::now);
    }

    /// Asks for the time.
    pub async fn look(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        self.ask();
        let sent = Instant::now();
        let time: Value = redis::cmd("TIME").query_async(connection).await?;
        if let Some(redis_ms) = time_ms(&time) {
            self.told(redis_ms, sent, Instant::now());
        }
        Ok(())
    }

    /// The clock of Redis said so, asked between these two moments of ours.
    ///
    /// From one answer to the next it may go on by the time that we took to ask again. If it has gone on by more, the second question was not answered
    /// for so long, or it has jumped.
    pub fn told(&self, redis_ms: u64, sent: Instant, came: Instant) {
        let mut state = self.lock();
        let sent = state.asked.take().map_or(sent, |asked| asked.min(sent));
        if let Some((last_ms, last_sent)) = state.last.replace((redis_ms, sent)) {
            let passed_ms = redis_ms.saturating_sub(last_ms);
            let late_ms = passed_ms.saturating_sub(millis(sent.saturating_duration_since(last_sent)));
            if late_ms > SILENCE_MS {
                let is_jump = passed_ms > millis(came.saturating_duration_since(last_sent)) + JUMP_MS;
                state.gaps.push_back(Gap {
                    from_ms: redis_ms - late_ms,
                    to_ms: redis_ms,
                    is_jump,
                });
            }
        }
        if state.gaps.len() > GAPS_MAX {
            state.gaps.pop_front();
        }
    }

    /// How many milliseconds do not count of the time between two signs of Redis, by its clock. Jumps only up to `jumps_until_ms`: whoever asks has seen the
    /// later ones.
    pub fn cut(&self, from_ms: u64, to_ms: u64, jumps_until_ms: u64) -> u64 {
        let within = |gap: &Gap| to_ms.min(gap.to_ms).saturating_sub(from_ms.max(gap.from_ms)).saturating_sub(SILENCE_MS);
        let gaps = &self.lock().gaps;
        gaps.iter().filter(|gap| !gap.is_jump || gap.to_ms <= jumps_until_ms).map(within).sum()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: u64 = 1_795_221_700_000;

    /// Answers of Redis: what its clock says, when it was asked, and when that came, in milliseconds from the start.
    fn vigil(answers: &[(u64, u64, u64)]) -> Vigil {
        let (vigil, start) = (Vigil::default(), Instant::now());
        for (redis_ms, sent_ms, came_ms) in answers {
            vigil.told(T + redis_ms, start + Duration::from_millis(*sent_ms), start + Duration::from_millis(*came_ms));
        }
        vigil
    }

    fn cut(vigil: &Vigil, from_ms: u64, to_ms: u64) -> u64 {
        vigil.cut(T + from_ms, T + to_ms, u64::MAX)
    }

    #[test]
    fn a_question_that_was_answered_late_tells_of_a_standstill() {
        let vigil = vigil(&[(0, 0, 1), (100, 100, 101), (7_300, 200, 7_201)]);
        assert_eq!(cut(&vigil, 0, 10_000), 7_100 - SILENCE_MS);
        assert_eq!(cut(&vigil, 0, 200), 0, "before");
        assert_eq!(cut(&vigil, 7_300, 99_000), 0, "after");
        // Redis took an entry in between: there are two shorter silences.
        assert_eq!(cut(&vigil, 0, 5_000) + cut(&vigil, 5_000, 10_000), 7_100 - 2 * SILENCE_MS);
    }

    #[test]
    fn it_is_no_standstill_when_we_did_not_ask_or_did_not_listen() {
        // We slept between two questions; then the answer lay there; then we asked rarely.
        let vigil =
            vigil(&[(0, 0, 1), (30_000, 30_000, 30_001), (30_100, 30_100, 60_000), (60_010, 60_001, 60_010), (61_010, 61_010, 61_011)]);
        assert_eq!(cut(&vigil, 0, 99_000), 0);
    }

    #[test]
    fn a_question_that_was_never_answered_counts_when_a_later_one_is() {
        let (vigil, start) = (Vigil::default(), Instant::now());
        vigil.told(T, start, start);
        vigil.ask();
        let later = Instant::now() + Duration::from_secs(60);
        vigil.told(T + 60_000, later, later);
        assert!(cut(&vigil, 0, 60_000) > 59_000, "{vigil:?}");
    }

    #[test]
    fn a_jump_forward_is_told_to_those_who_were_not_there_and_one_back_takes_nothing_out() {
        let hour = 3_600_000;
        let vigil = vigil(&[(0, 0, 1), (100 + hour, 100, 101), (200, 200, 201), (300, 300, 301)]);
        assert_eq!(cut(&vigil, 0, 2 * hour), hour - SILENCE_MS);
        assert_eq!(vigil.cut(T, T + 2 * hour, T + hour), 0, "whoever looked at the clock meanwhile knows of it");
    }
}
