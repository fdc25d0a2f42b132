//! Stream time: Redis' clock, minus its jumps.
//!
//! Entries are stamped by Redis, so quiet is measured on Redis' clock. That clock may be set, or another server with another clock may
//! take over; a monotonic clock of our own tells how much time really passed between two looks, and what differs by more than
//! a clock drifts is taken out of every later stamp. A pause of this process or of Redis is no jump: both clocks see it. But silence counts only
//! as far as somebody could have broken it: while Redis stood still, or was away, nobody could, and that time is taken out too.
//!
//! Whoever begins to lead knows little of what the clock did before, and of when Redis stood still. So the ids of what earlier leaders left pending
//! are not taken for times: all of it counts as published in the moment before what comes next. No quiet ends that nobody has watched. What happened
//! between entries that nobody has read yet, those tell who stood by meanwhile (`vigil`), and those who led and were held up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::vigil::Vigil;

/// Less than this is drift, and followed.
pub(super) const JUMP_MS: u64 = 1_000;
/// While all is well Redis is looked at more often than this; of a longer time without any sign of it, only so much counts.
pub(super) const SILENCE_MS: u64 = 250;

#[derive(Debug, Default)]
pub(super) struct StreamClock {
    /// Added to Redis' milliseconds.
    offset_ms: i128,
    last: Option<Look>,
    high_ms: u64,
    /// Redis' milliseconds when it was last known to take entries.
    heard_ms: Option<u64>,
    /// Redis' milliseconds up to which everything is taken out that did not count.
    passed_ms: u64,
    /// The stream time of what earlier leaders left pending.
    begun_ms: u64,
    /// What Redis' clock said when we first looked at it. Of later jumps we know ourselves.
    first_ms: Option<u64>,
    vigil: Arc<Vigil>,
}

/// What the clock said, and the two moments of ours between which it said so.
#[derive(Debug)]
struct Look {
    ms: i128,
    /// The same, by Redis.
    redis_ms: u64,
    sent: Instant,
    came: Instant,
}

impl StreamClock {
    pub fn new(vigil: Arc<Vigil>) -> StreamClock {
        StreamClock { vigil, ..StreamClock::default() }
    }

    /// Begins where earlier leaders ended: with the entry of `last_ms`. What comes next is of `next_ms`: the first entry that nobody has been given, or the
    /// clock of Redis, if there is none or it lies ahead.
    pub fn begin(&mut self, last_ms: u64, next_ms: u64) {
        self.begun_ms = last_ms.max(next_ms.saturating_sub(SILENCE_MS)).min(next_ms);
        self.heard_ms = Some(self.begun_ms);
        self.passed_ms = self.begun_ms;
    }

    /// Notes what Redis' clock said at a moment of ours (between sending the question and the answer's coming).
    pub fn look(&mut self, redis_ms: u64, sent: Instant, came: Instant) {
        let mut now_ms = i128::from(redis_ms) + self.offset_ms;
        self.first_ms.get_or_insert(redis_ms);
        if let Some(last) = &self.last {
            // Each answer was given some time between its question and its coming; what fits neither extreme is a jump.
            let soonest = last.ms + millis(sent.saturating_duration_since(last.came)) - i128::from(JUMP_MS);
            let latest = last.ms + millis(came.saturating_duration_since(last.sent)) + i128::from(JUMP_MS);
            if now_ms < soonest || now_ms > latest {
                let expected = last.ms + millis(sent.saturating_duration_since(last.sent));
                tracing::warn!(
                    by_ms = (now_ms - expected) as i64,
                    "the clock of Redis jumped; traces are judged by the time that really passed"
                );
                self.offset_ms += expected - now_ms;
                // What was heard before the jump was stamped by the clock as it was.
                let as_it_is = |ms| u64::try_from(i128::from(ms) + now_ms - expected).unwrap_or(0);
                (self.heard_ms, self.passed_ms) = (self.heard_ms.map(as_it_is), as_it_is(self.passed_ms));
                now_ms = expected;
            }
        }
        self.last = Some(Look { ms: now_ms, redis_ms, sent, came });
    }

    /// Takes out of stream time what nobody could use: `redis_ms` is what the last look said, `first_ms` and `last_ms` are the stamps of
    /// the first and last entry that came with it, if any did.
    ///
    /// If entries came from inside a long time that nobody looked, Redis was there and the time counts: it was us who were away.
    pub fn heard(&mut self, redis_ms: u64, entries: Option<(u64, u64)>) {
        let (first_ms, last_ms) = entries.unwrap_or((redis_ms, redis_ms));
        let waited = self.last.as_ref().map_or(0, |last| millis(last.came.saturating_duration_since(last.sent)));
        let latest_ms = redis_ms.saturating_add(u64::try_from(waited).unwrap_or(0));
        if let Some(heard_ms) = self.heard_ms {
            // It was heard of before, and not all was read.
            self.pass(first_ms.min(heard_ms));
            self.take_out(silence(heard_ms, first_ms.min(redis_ms)));
            // Redis told the time, stood still, and only then gave entries: no longer than we waited for them, whatever their ids say.
            self.offset_ms -= silence(redis_ms, first_ms).min(waited);
            self.passed_ms = self.passed_ms.max(first_ms.min(latest_ms));
        }
        self.heard_ms = Some(last_ms.clamp(redis_ms, latest_ms));
    }

    /// Everything has been read that was published before the last look.
    pub fn caught_up(&mut self) {
        if let Some(last) = &self.last {
            self.pass(last.redis_ms);
        }
    }

    /// From the last sign of Redis to this one: what of it does not count is taken out.
    fn pass(&mut self, redis_ms: u64) {
        let cut = self.vigil.cut(self.passed_ms, redis_ms, self.first_ms.unwrap_or(u64::MAX));
        self.take_out(i128::from(cut));
        self.passed_ms = self.passed_ms.max(redis_ms);
    }

    fn take_out(&mut self, ms: i128) {
        self.offset_ms -= ms;
        if let Some(last) = &mut self.last {
            last.ms -= ms;
        }
    }

    /// Stream time is ahead of the clock of Redis by so many milliseconds.
    pub fn ahead_ms(&self) -> i64 {
        i64::try_from(self.offset_ms).unwrap_or(if self.offset_ms < 0 { i64::MIN } else { i64::MAX })
    }

    /// The stream time of the last look.
    pub fn now(&self) -> u64 {
        self.last.as_ref().map_or(0, |last| u64::try_from(last.ms).unwrap_or(0))
    }

    /// The stream time of an entry that Redis stamped with `ms`, of those that are pending when a leadership begins: the moment before what comes next, or
    /// later, if a former leader was given it since. Not after the last look, whatever the id says.
    pub fn of_pending(&self, ms: u64) -> u64 {
        self.stamp(ms).max(self.begun_ms).min(self.last.as_ref().map_or(u64::MAX, |_| self.now()))
    }

    fn stamp(&self, ms: u64) -> u64 {
        u64::try_from(i128::from(ms) + self.offset_ms).unwrap_or(0)
    }

    /// The stream time of an entry that has just been read with the last look.
    ///
    /// Ids need not be times: after its clock was set back Redis goes on from the last id, and a writer may choose ids himself. But an entry
    /// that has only now been read is not older than what was declared read before, and not younger than now.
    pub fn of_new(&mut self, ms: u64) -> u64 {
        let answered_within = |last: &Look| millis(last.came.saturating_duration_since(last.sent));
        if let Some(last) = &self.last {
            let latest_ms = last.redis_ms.saturating_add(u64::try_from(answered_within(last)).unwrap_or(0));
            self.pass(ms.min(latest_ms));
        }
        let latest = self.last.as_ref().map_or(u64::MAX, |last| u64::try_from(last.ms + answered_within(last)).unwrap_or(0));
        let at_ms = self.stamp(ms).clamp(self.high_ms.min(latest), latest);
        self.raise(at_ms)
    }

    /// Stream time never goes back.
    pub fn raise(&mut self, ms: u64) -> u64 {
        self.high_ms = self.high_ms.max(ms);
        self.high_ms
    }
}

/// What of the time between two signs of Redis does not count, in milliseconds.
fn silence(from_ms: u64, to_ms: u64) -> i128 {
    i128::from(to_ms.saturating_sub(from_ms).saturating_sub(SILENCE_MS))
}

fn millis(duration: Duration) -> i128 {
    duration.as_millis() as i128
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: u64 = 1_795_221_700_000;

    /// A look that took no time.
    fn look(clock: &mut StreamClock, redis_ms: u64, at: Instant) -> u64 {
        clock.look(redis_ms, at, at);
        clock.now()
    }

    #[test]
    fn a_steady_clock_is_followed() {
        let (mut clock, start) = (StreamClock::default(), Instant::now());
        assert_eq!(look(&mut clock, T, start), T);
        assert_eq!(look(&mut clock, T + 60_010, start + Duration::from_secs(60)), T + 60_010);
        assert_eq!(clock.of_new(T + 60_005), T + 60_005);
    }

    #[test]
    fn a_jump_forward_or_back_is_taken_out() {
        for jump in [3_600_000i64, -3_600_000] {
            let (mut clock, start) = (StreamClock::default(), Instant::now());
            clock.look(T, start, start + Duration::from_millis(1_995));
            clock.heard(T, Some((T + 1_990, T + 1_990)));
            let jumped = T.saturating_add_signed(jump) + 2_000;
            assert_eq!(look(&mut clock, jumped, start + Duration::from_secs(2)), T + 2_000);
            clock.heard(jumped, None);
            assert_eq!(clock.now(), T + 2_000);
            // Redis' ids never go back: after a step back they go on from the last one.
            assert_eq!(clock.of_new(jumped.max(T + 1_990)), T + 2_000);
        }
    }

    #[test]
    fn an_entry_is_neither_from_before_what_was_read_nor_from_the_future() {
        let (mut clock, start) = (StreamClock::default(), Instant::now());
        let now = look(&mut clock, T, start);
        clock.raise(now);
        assert_eq!(clock.of_new(T + 3_600_000), T);
        assert_eq!(clock.of_new(u64::MAX), T);
        assert_eq!(clock.of_new(5), T);
    }

    #[test]
    fn a_pause_of_either_side_is_no_jump() {
        let (mut clock, start) = (StreamClock::default(), Instant::now());
        look(&mut clock, T, start);
        // We slept between two looks; then Redis answered late.
        let (sent, came) = (start + Duration::from_secs(30), start + Duration::from_secs(70));
        clock.look(T + 69_000, sent, came);
        assert_eq!(clock.now(), T + 69_000);
        // We slept after Redis had answered and before we read it.
        let (sent, came) = (came, came + Duration::from_secs(30));
        clock.look(T + 70_010, sent, came);
        assert_eq!(clock.now(), T + 70_010);
        assert_eq!(look(&mut clock, T + 100_020, came), T + 100_020);
    }

    #[test]
    fn while_redis_stood_still_no_time_passed() {
        let (mut clock, start) = (StreamClock::default(), Instant::now());
        look(&mut clock, T, start);
        clock.heard(T, None);
        // It stood still between two answers.
        let later = start + Duration::from_secs(7);
        look(&mut clock, T + 7_000, later);
        clock.heard(T + 7_000, Some((T + 7_001, T + 7_001)));
        assert_eq!((clock.now(), clock.of_new(T + 7_001)), (T + SILENCE_MS, T + SILENCE_MS));
        // It told the time, stood still, and gave an entry.
        clock.look(T + 7_050, later, later + Duration::from_secs(9));
        clock.heard(T + 7_050, Some((T + 16_050, T + 16_050)));
        assert_eq!(clock.of_new(T + 16_050), T + 550);
        assert_eq!(look(&mut clock, T + 16_060, later + Duration::from_millis(9_010)), T + 560);
    }

    #[test]
    fn an_id_from_the_future_hides_no_silence_and_moves_no_time() {
        let (mut clock, start) = (StreamClock::default(), Instant::now());
        look(&mut clock, T, start);
        clock.heard(T, Some((T + 3_600_000, T + 3_600_000)));
        look(&mut clock, T + 7_000, start + Duration::from_secs(7));
        clock.heard(T + 7_000, None);
        assert_eq!(clock.now(), T + SILENCE_MS);
        assert_eq!((clock.of_pending(u64::MAX), clock.of_pending(T - 9)), (T + SILENCE_MS, T - 9 - (7_000 - SILENCE_MS)));
    }

    #[test]
    fn what_is_pending_at_the_beginning_is_from_the_moment_before_what_comes_next() {
        let hour = 3_600_000;
        // Redis stood still for 8 s, or its clock jumped; nobody who is left has seen it. The last entry is from before that, or from after it.
        for (last_ms, next_ms, begun_ms) in [
            (T, T + 8_000, T + 8_000 - SILENCE_MS),
            (T + 8_000, T + 8_010, T + 8_000),
            (T, T + hour, T + hour - SILENCE_MS),
            (T + hour, T, T),
            (0, T, T - SILENCE_MS),
        ] {
            let (mut clock, start) = (StreamClock::default(), Instant::now());
            clock.begin(last_ms, next_ms);
            assert_eq!(look(&mut clock, next_ms, start), next_ms);
            let pending = [T - hour, last_ms, u64::MAX].map(|ms| clock.of_pending(ms));
            assert_eq!(pending, [begun_ms, begun_ms, next_ms]);
            clock.heard(next_ms, None);
            assert_eq!(clock.now(), next_ms, "no more silence than counts");
        }
    }

    /// Whoever begins to lead finds entries that nobody has read, from before a standstill of 8 s and from after it, or nothing from after it. One who stood by
    /// has seen it.
    fn begun_after_a_standstill(is_jump: bool) -> StreamClock {
        let (vigil, start) = (Arc::<Vigil>::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        vigil.told(T, at(0), at(1));
        vigil.told(T + 8_100, at(100), at(if is_jump { 101 } else { 8_101 }));
        let mut clock = StreamClock::new(vigil);
        clock.begin(T - 1_000, T + 50);
        assert_eq!(look(&mut clock, T + 8_110, at(if is_jump { 111 } else { 8_111 })), T + 8_110);
        clock
    }

    #[test]
    fn who_stood_by_knows_of_a_standstill_or_a_jump_between_entries_that_nobody_has_read() {
        for is_jump in [false, true] {
            let mut clock = begun_after_a_standstill(is_jump);
            clock.heard(T + 8_110, Some((T + 50, T + 8_105)));
            assert_eq!([T + 50, T + 60, T + 8_105].map(|ms| clock.of_new(ms)), [T + 50, T + 60, T + 8_105 - 7_750]);
            clock.caught_up();
            assert_eq!((clock.now(), clock.of_pending(T)), (T + 8_110 - 7_750, T + 50 - SILENCE_MS));

            let mut clock = begun_after_a_standstill(is_jump);
            clock.heard(T + 8_110, Some((T + 50, T + 50)));
            assert_eq!(clock.of_new(T + 50), T + 50);
            clock.caught_up();
            assert_eq!(clock.now(), T + 8_110 - 7_750, "nothing has come since");
        }
    }

    #[test]
    fn a_standstill_between_two_reads_of_a_backlog_is_taken_out_once() {
        let (vigil, start) = (Arc::<Vigil>::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let mut clock = StreamClock::new(Arc::clone(&vigil));
        let look = |clock: &mut StreamClock, redis_ms: u64, sent, came| {
            vigil.told(T + redis_ms, at(sent), at(came));
            clock.look(T + redis_ms, at(sent), at(came));
        };
        look(&mut clock, 0, 0, 1);
        clock.heard(T, None);
        clock.caught_up();
        // It waits for an exporter, and the lease is kept alive meanwhile. For 8 s that takes.
        for (redis_ms, sent, came) in [(1_000, 1_000, 1_001), (10_000, 2_000, 10_001), (11_000, 11_000, 11_001)] {
            vigil.told(T + redis_ms, at(sent), at(came));
        }
        look(&mut clock, 60_000, 60_000, 60_001);
        clock.heard(T + 60_000, Some((T + 1_500, T + 1_900)));
        assert_eq!([1_500, 1_900].map(|ms| clock.of_new(T + ms)), [1_500, 1_900].map(|ms| T + ms - 1_250));
        look(&mut clock, 60_010, 60_010, 60_011);
        clock.heard(T + 60_010, Some((T + 10_000, T + 60_005)));
        assert_eq!([10_000, 60_005].map(|ms| clock.of_new(T + ms)), [10_000, 60_005].map(|ms| T + ms - 1_250 - 7_750));
        clock.caught_up();
        assert_eq!(clock.now(), T + 60_010 - 1_250 - 7_750);
    }

    #[test]
    fn while_we_were_away_and_redis_was_not_time_passed() {
        let (mut clock, start) = (StreamClock::default(), Instant::now());
        look(&mut clock, T, start);
        clock.heard(T, None);
        look(&mut clock, T + 60_000, start + Duration::from_secs(60));
        clock.heard(T + 60_000, Some((T + 100, T + 40_000)));
        assert_eq!(clock.now(), T + 60_000);
        assert_eq!((clock.of_new(T + 100), clock.of_new(T + 40_000)), (T + 100, T + 40_000));
    }
}
