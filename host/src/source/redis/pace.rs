//! How many entries are asked for at once: as many as are about to fit into so many bytes, by what came of late; and what to do when they did not.
//!
//! Reading begins with few entries and doubles, so that a log of large ones is not asked for hundreds. Where small ones are followed by large ones all
//! the same, the reply is cut off (`wire`), and much fewer are asked for next. An entry that a reply cannot hold even alone is not read at all.

use std::sync::Arc;

use redis::RedisResult;

use super::reader::SessionEnd;
use super::reply::EntryId;
use super::wire::Meter;

/// A reply with entries may have so many bytes; an entry that needs more is never read, and becomes a dead letter without its fields.
pub(super) const REPLY_BYTES: u64 = 32 * 1024 * 1024;
/// So many bytes are aimed at.
const AIM_BYTES: u64 = 8 * 1024 * 1024;
/// Entries that are asked for first.
const FIRST: usize = 16;

/// Outlives a connection.
#[derive(Debug)]
pub(super) struct Pace {
    max: usize,
    /// Doubles while replies fit.
    at_most: usize,
    /// Bytes of an entry: the highest average of late.
    entry_bytes: u64,
    /// Bytes of the last reply.
    came: u64,
    /// The one entry that is being asked for, where it is known which.
    alone: Option<EntryId>,
    /// The one that no reply can hold.
    unreadable: Option<EntryId>,
    pub meter: Arc<Meter>,
}

impl Pace {
    /// At most `max` entries at once.
    pub fn new(max: usize) -> Pace {
        let max = max.max(1);
        Pace {
            max,
            at_most: max.min(FIRST),
            entry_bytes: 0,
            came: 0,
            alone: None,
            unreadable: None,
            meter: Arc::default(),
        }
    }

    /// How many entries to ask for, one at least.
    pub fn count(&self) -> usize {
        let fitting = usize::try_from(AIM_BYTES / self.entry_bytes.max(1)).unwrap_or(usize::MAX);
        fitting.clamp(1, self.at_most)
    }

    /// Whether this entry is known to be larger than a reply may be. If not, it is the one that is asked for now, alone.
    pub fn is_unreadable(&mut self, id: EntryId) -> bool {
        self.alone = Some(id);
        self.unreadable == self.alone
    }

    /// Asks for so many entries with `query`.
    ///
    /// # Errors
    /// [`SessionEnd::Cut`] when they were too large together: then fewer are to be asked for, on another connection.
    pub async fn ask<T>(&mut self, entries: usize, query: impl Future<Output = RedisResult<T>>) -> Result<T, SessionEnd> {
        self.meter.allow(REPLY_BYTES);
        let reply = query.await;
        let exceeded = self.meter.is_exceeded();
        self.came = self.meter.came();
        self.meter.allow(u64::MAX);
        let alone = self.alone.take().filter(|_| entries == 1);
        match reply {
            Err(_) if exceeded => {
                self.unreadable = alone;
                self.at_most = (entries / 8).max(1);
                Err(SessionEnd::Cut { entries })
            }
            Err(error) => Err(SessionEnd::Failed(error)),
            Ok(reply) => {
                self.unreadable = None;
                Ok(reply)
            }
        }
    }

    /// So many entries came of those that were last asked for.
    pub fn took(&mut self, entries: usize) {
        if entries > 0 {
            let average = self.came / entries as u64;
            self.entry_bytes = average.max(self.entry_bytes - self.entry_bytes / 8);
        }
        if entries >= self.at_most {
            self.at_most = self.at_most.saturating_mul(2).min(self.max);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    /// All came that were asked for, of so many bytes each.
    fn came(pace: &mut Pace, bytes: u64) {
        let entries = pace.count();
        pace.came = entries as u64 * bytes;
        pace.took(entries);
    }

    #[test]
    fn few_entries_are_asked_for_first_and_of_small_ones_soon_as_many_as_wanted() {
        let mut pace = Pace::new(500);
        let mut counts = Vec::new();
        for _ in 0..7 {
            counts.push(pace.count());
            came(&mut pace, 1_000);
        }
        assert_eq!(counts, [16, 32, 64, 128, 256, 500, 500]);
        assert_eq!((Pace::new(3).count(), Pace::new(0).count()), (3, 1));
    }

    #[test]
    fn of_large_ones_so_many_are_asked_for_as_fit_and_that_is_forgotten_slowly() {
        let mut pace = Pace::new(500);
        came(&mut pace, MIB);
        assert_eq!(pace.count(), 8);
        came(&mut pace, 50 * MIB);
        assert_eq!(pace.count(), 1);
        let mut reads = 0;
        while pace.count() < 500 {
            came(&mut pace, 1_000);
            reads += 1;
        }
        assert!((30..100).contains(&reads), "{reads}");
    }

    #[tokio::test]
    async fn what_does_not_fit_is_asked_for_in_much_smaller_parts_down_to_one_which_is_known_then() {
        let too_much = |pace: &Pace| {
            let meter = Arc::clone(&pace.meter);
            async move {
                meter.add(REPLY_BYTES as usize + 1);
                RedisResult::<()>::Err(std::io::Error::other("cut off").into())
            }
        };
        let mut pace = Pace::new(500);
        (0..9).for_each(|_| came(&mut pace, 1));
        let mut counts = Vec::new();
        let large = EntryId { ms: 7, seq: 0 };
        while !pace.is_unreadable(large) {
            let count = pace.count();
            counts.push(count);
            let query = too_much(&pace);
            assert!(matches!(pace.ask(count, query).await, Err(SessionEnd::Cut { entries }) if entries == count));
        }
        assert_eq!(counts, [500, 62, 7, 1]);
        assert!(!pace.is_unreadable(EntryId { ms: 7, seq: 1 }), "it is this entry and no other");
        assert!(pace.ask(1, async { Ok(()) }).await.is_ok());
        pace.took(1);
        assert!(!pace.is_unreadable(large) && pace.count() == 2);
        let failed = pace.ask(1, async { RedisResult::<()>::Err(std::io::Error::other("gone").into()) }).await;
        assert!(matches!(failed, Err(SessionEnd::Failed(_))), "a connection that ends for another reason says nothing about sizes");
    }
}
