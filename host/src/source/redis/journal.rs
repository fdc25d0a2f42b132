//! The journal: which traces have been decided, beside the stream, so that a late span joins its trace also after a restart or a take-over.
//!
//! A decision is written in the step that acknowledges its entries (`fence`): nine bytes (`source/recalled.rs`), appended to the key of the minute in which
//! it was made, by the clock of Redis. Whoever takes the lead reads it before anything else. While somebody leads, minutes are removed when stream time has
//! passed them by as long as late spans are waited for, and before that when newer ones hold as much as there may be; without a leader they end by themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::RedisResult;
use redis::aio::MultiplexedConnection;

use super::Shared;
use crate::model::{IdHasher, Mark};
use crate::source::{Beginning, DECISION_BYTES, PastDecision, Recalled};

/// The journal outlives the last leader by so much, and by what it is kept anyway: as long as the entries of that time are likely to be there.
const ABANDONED_LASTS: Duration = Duration::from_secs(24 * 3_600);
/// Minutes that the journal may have. Stream ids that are no times could make any number of them.
const MINUTES_MAX: usize = 2_000;
const MINUTE_MS: u64 = 60_000;

/// How much of what was decided is journalled.
#[derive(Debug, Clone, Copy)]
pub struct JournalBounds {
    /// Milliseconds of stream time for which a decision is kept: as long as ids are remembered, and as much longer as a late part may take to be gathered.
    pub keep_ms: u64,
    /// Decisions, at most: nine bytes of Redis' memory each.
    pub max: usize,
}

impl JournalBounds {
    /// A minute of the journal ends so many milliseconds after it was last touched.
    pub(super) fn lasts_ms(&self) -> u64 {
        // What Redis takes for a time.
        self.keep_ms.saturating_add(ABANDONED_LASTS.as_millis() as u64).min(i64::MAX as u64 / 4)
    }
}

/// Decisions to be journalled, by minute.
#[derive(Debug, Default)]
pub(super) struct Lines(BTreeMap<u64, Vec<u8>>);

impl Lines {
    /// Adds a decision. Stream time is ahead of the clock of Redis by `offset_ms`.
    pub fn add(&mut self, mark: Mark, dropped: bool, offset_ms: i64) {
        let decision = PastDecision {
            id_hash: mark.id_hash,
            parts: mark.parts,
            dropped,
        };
        let minute = mark.at_ms.saturating_add_signed(offset_ms.saturating_neg()) / MINUTE_MS;
        self.0.entry(minute).or_default().extend_from_slice(&decision.to_bytes());
    }

    pub fn minutes(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.0.iter().map(|(minute, bytes)| (*minute, bytes.as_slice()))
    }
}

/// How the leadership with this number begins: with the newest decisions of the journal, as many as may be remembered.
pub(super) async fn recall(shared: &Shared, connection: &mut MultiplexedConnection, epoch: u32) -> RedisResult<Beginning> {
    let id_key = id_key(shared, connection).await?;
    shared.set_id_key(id_key);
    let minutes: Vec<u64> = redis::cmd("ZRANGE").arg(&shared.keys.minutes).arg(0).arg(-1).query_async(connection).await?;
    let (mut decided, mut room) = (Vec::new(), shared.journal.max);
    for minute in minutes.into_iter().rev() {
        if room == 0 {
            break;
        }
        let mut bytes: Vec<u8> =
            redis::cmd("GET").arg(shared.keys.minute(minute)).query_async::<Option<_>>(connection).await?.unwrap_or_default();
        let count = bytes.len() / DECISION_BYTES;
        bytes.drain(..count.saturating_sub(room) * DECISION_BYTES);
        room -= count.min(room);
        let at_ms = minute.saturating_add(1).saturating_mul(MINUTE_MS);
        decided.push(Recalled { at_ms, bytes });
    }
    decided.reverse();
    Ok(Beginning { epoch, id_key: Some(id_key), decided })
}

/// What ids are hashed by: made once, and the same for all who ever read the journal.
async fn id_key(shared: &Shared, connection: &mut MultiplexedConnection) -> RedisResult<[u8; 16]> {
    let name = &shared.keys.id_key;
    let made = IdHasher::random_key();
    redis::cmd("SET").arg(name).arg(&made).arg("NX").exec_async(connection).await?;
    let found: Vec<u8> = redis::cmd("GET").arg(name).query_async(connection).await?;
    match found.try_into() {
        Ok(key) => Ok(key),
        Err(_) => {
            tracing::warn!(key = name, "this key did not hold 16 bytes, and has been made anew; what the journal says is lost");
            redis::cmd("SET").arg(name).arg(&made).exec_async(connection).await?;
            Ok(made)
        }
    }
}

/// Removes what is not needed any more, and what is too much, and keeps the rest from ending. Returns the bytes that are left.
pub(super) async fn look_after(shared: &Shared, connection: &mut MultiplexedConnection) -> RedisResult<u64> {
    let (keys, bounds) = (&shared.keys, &shared.journal);
    let minutes: Vec<u64> = redis::cmd("ZRANGE").arg(&keys.minutes).arg(0).arg(-1).query_async(connection).await?;
    if minutes.is_empty() {
        return Ok(0);
    }
    let mut asking = redis::pipe();
    for minute in &minutes {
        asking.cmd("STRLEN").arg(keys.minute(*minute));
    }
    let lengths: Vec<u64> = asking.query_async(connection).await?;
    let (going, bytes) = cut(minutes.iter().copied().zip(lengths), shared.redis_time_read(), bounds);
    let mut changing = redis::pipe();
    for minute in minutes {
        if minute < going {
            changing.cmd("DEL").arg(keys.minute(minute)).ignore();
            changing.cmd("ZREM").arg(&keys.minutes).arg(minute).ignore();
        } else {
            changing.cmd("PEXPIRE").arg(keys.minute(minute)).arg(bounds.lasts_ms()).ignore();
        }
    }
    changing.cmd("PEXPIRE").arg(&keys.minutes).arg(bounds.lasts_ms()).ignore();
    changing.exec_async(connection).await?;
    Ok(bytes)
}

/// The first minute that stays, and the bytes of those that do. `minutes` come with their bytes, the oldest first; all that comes before `read_ms`, by the
/// clock of Redis, has been read.
///
/// A minute goes when those after it hold as many decisions as may be remembered. So the oldest that stays reaches beyond the bound, mostly; were it to go whole,
/// a busy minute would take all that is remembered with it.
fn cut(minutes: impl DoubleEndedIterator<Item = (u64, u64)>, read_ms: u64, bounds: &JournalBounds) -> (u64, u64) {
    let bytes_max = (bounds.max as u64).saturating_mul(DECISION_BYTES as u64);
    let needed = |minute: u64| minute.saturating_add(1).saturating_mul(MINUTE_MS).saturating_add(bounds.keep_ms) >= read_ms;
    let (mut first, mut bytes) = (u64::MAX, 0);
    for (number, (minute, length)) in minutes.rev().enumerate() {
        if number >= MINUTES_MAX || bytes >= bytes_max || !needed(minute) {
            break;
        }
        (first, bytes) = (minute, bytes + length);
    }
    (first, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: JournalBounds = JournalBounds { keep_ms: 600_000, max: 100 };

    fn kept(minutes: &[(u64, u64)], read_ms: u64) -> (u64, u64) {
        cut(minutes.iter().copied(), read_ms, &BOUNDS)
    }

    #[test]
    fn minutes_go_when_nothing_late_can_come_of_them() {
        let minutes = [(100, 9), (101, 18), (115, 27)];
        assert_eq!(kept(&minutes, 0), (100, 54));
        assert_eq!(kept(&minutes, 111 * MINUTE_MS), (100, 54));
        assert_eq!(kept(&minutes, 111 * MINUTE_MS + 1), (101, 45));
        assert_eq!(kept(&minutes, u64::MAX), (u64::MAX, 0));
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many_bytes_or_minutes() {
        assert_eq!(kept(&[(100, 400), (101, 500), (102, 400)], 0), (101, 900));
        assert_eq!(kept(&[(100, 400), (101, 500), (102, 399)], 0), (100, 1_299), "a part of the oldest may still be remembered");
        let many: Vec<(u64, u64)> = (0..5_000).map(|minute| (minute, 0)).collect();
        assert_eq!(kept(&many, 0), (3_000, 0));
    }

    #[test]
    fn a_minute_that_is_too_large_alone_stays_until_others_take_its_place() {
        assert_eq!(kept(&[(100, 400), (101, 5_000)], 0), (101, 5_000));
        assert_eq!(kept(&[(101, 5_000), (102, 9)], 0), (101, 5_009));
        assert_eq!(kept(&[(101, 5_000), (102, 900)], 0), (102, 900));
    }

    #[test]
    fn decisions_are_written_under_the_minute_of_the_clock_of_redis() {
        let mark = |at_ms| Mark { id_hash: 7, parts: 1, at_ms };
        let mut lines = Lines::default();
        lines.add(mark(10 * MINUTE_MS), false, 0);
        // Stream time is two minutes behind: Redis was away that long.
        lines.add(mark(10 * MINUTE_MS), true, -120_000);
        lines.add(mark(10 * MINUTE_MS + 1), true, 0);
        let lines: Vec<(u64, usize)> = lines.minutes().map(|(minute, bytes)| (minute, bytes.len())).collect();
        assert_eq!(lines, [(10, 18), (12, 9)]);
    }
}
