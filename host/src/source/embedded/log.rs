//! What was accepted and is not settled: the log that a Redis would be, in memory and bounded.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use super::bounds;
use super::clock::StreamClock;
use super::entry_id::{AskedId, EntryId};
use super::payload::Payload;
use super::seldom::Seldom;
use crate::model::Receipt;
use crate::source::{Batch, Fate, GivenUp, Settlement, SourceStatus};

/// Entries from `XADD` to their settlement. Shared by all connections and the pump; its lock is never held across an await.
#[derive(Debug)]
pub struct Log {
    state: Mutex<State>,
    changed: Notify,
    held_bytes_max: usize,
    /// Warns of entries that are given up.
    given_up: Seldom,
}

#[derive(Debug)]
struct State {
    clock: StreamClock,
    /// The last id given.
    top: EntryId,
    /// The last id handed on; what is held above it is waiting.
    handed: EntryId,
    held: BTreeMap<EntryId, Held>,
    held_bytes: usize,
    waiting: usize,
    full: bool,
    closed: bool,
}

#[derive(Debug)]
struct Held {
    /// Stream time of its arrival. Not the id's, which a publisher may choose.
    at_ms: u64,
    payload: Payload,
}

/// Why an entry was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// As much is held as may be. `first` after a time in which entries were accepted.
    Full { first: bool },
    /// The id asked for is `0-0`.
    IdZero,
    /// The id asked for is not above the last one.
    IdTooSmall,
    /// There is no id above the last one.
    NoMoreIds,
    /// The host is stopping.
    Closed,
}

/// What the log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    /// Entries.
    pub entries: usize,
    /// Bytes of them.
    pub bytes: usize,
}

impl Log {
    /// Empty, for at most `held_bytes_max` bytes.
    pub fn new(held_bytes_max: usize) -> Log {
        let state = State {
            clock: StreamClock::start(),
            top: EntryId::default(),
            handed: EntryId::default(),
            held: BTreeMap::new(),
            held_bytes: 0,
            waiting: 0,
            full: false,
            closed: false,
        };
        Log {
            state: Mutex::new(state),
            changed: Notify::new(),
            held_bytes_max,
            given_up: Seldom::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts an entry and tells its id.
    pub fn append(&self, asked: AskedId, payload: Payload) -> Result<EntryId, Refused> {
        let bytes = payload.held_bytes();
        let mut state = self.state();
        if state.closed {
            return Err(Refused::Closed);
        }
        let at_ms = state.clock.advance(Instant::now());
        let id = state.give(asked, at_ms)?;
        if state.held_bytes.saturating_add(bytes) > self.held_bytes_max {
            let first = !state.full;
            state.full = true;
            return Err(Refused::Full { first });
        }
        state.top = id;
        state.held_bytes += bytes;
        state.waiting += 1;
        state.held.insert(id, Held { at_ms, payload });
        drop(state);
        self.changed.notify_one();
        Ok(id)
    }

    /// The next entries in order, or none, and the stream time up to which everything has been handed on with them.
    pub fn take(&self) -> Batch {
        let mut batch = Batch::default();
        let mut bytes = 0;
        let mut state = self.state();
        let now_ms = state.clock.advance(Instant::now());
        let mut handed = state.handed;
        batch.watermark_ms = now_ms;
        for (id, held) in state.held.range((Bound::Excluded(state.handed), Bound::Unbounded)) {
            if batch.len() >= bounds::BATCH_ENTRIES || bytes >= bounds::BATCH_BYTES {
                batch.watermark_ms = held.at_ms;
                break;
            }
            let receipt = Receipt { stream: 0, ms: id.ms, seq: id.seq };
            batch.push_entry(receipt, held.at_ms);
            held.payload.fields().for_each(|(key, value)| batch.push_field(key, value));
            bytes += held.payload.held_bytes();
            handed = *id;
        }
        state.handed = handed;
        state.waiting -= batch.len().min(state.waiting);
        batch
    }

    /// Lets go of settled entries. Tells whether that made room in a log that was full.
    pub fn settle(&self, settlement: Settlement, status: &SourceStatus) -> bool {
        let (mut gone, mut first) = (0, None);
        let mut state = self.state();
        for receipt in &settlement.receipts.list {
            let id = EntryId { ms: receipt.ms, seq: receipt.seq };
            if let Some(held) = state.held.remove(&id) {
                state.held_bytes -= held.payload.held_bytes().min(state.held_bytes);
                gone += 1;
                first = first.min(Some(id)).or(Some(id));
            }
        }
        let freed = gone > 0 && std::mem::take(&mut state.full);
        drop(state);
        status.entries_acknowledged.fetch_add(gone as u64, Ordering::Relaxed);
        if let (Fate::Dead { stage, plugin, reason, .. }, Some(first)) = (settlement.fate, first) {
            status.entries_dead.fetch_add(gone as u64, Ordering::Relaxed);
            if let Some(withheld) = self.given_up.now() {
                // Debug form: a reason may quote control characters.
                tracing::warn!(entry = %first, entries = gone, stage, ?plugin, ?reason, withheld, "entries were given up, and are kept nowhere");
            }
            status.note_given_up(GivenUp {
                entry: first.to_string(),
                entries: gone,
                stage,
                plugin,
                reason,
            });
        }
        freed
    }

    /// Accepts nothing from now on.
    pub fn close(&self) {
        self.state().closed = true;
        self.changed.notify_one();
    }

    /// Whether it is closed, and how many entries wait to be handed on. Also keeps the clock going, see [`StreamClock`].
    pub fn look(&self) -> (bool, usize) {
        let mut state = self.state();
        state.clock.advance(Instant::now());
        (state.closed, state.waiting)
    }

    /// Waits until an entry has come, or the log was closed, since the last time. For one task only.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What is held.
    pub fn holding(&self) -> Holding {
        let state = self.state();
        Holding {
            entries: state.held.len(),
            bytes: state.held_bytes,
        }
    }
}

impl State {
    /// The id that an entry gets, by the rules of Redis.
    fn give(&self, asked: AskedId, now_ms: u64) -> Result<EntryId, Refused> {
        if asked == AskedId::Exactly(EntryId::default()) {
            return Err(Refused::IdZero);
        }
        if self.top == EntryId::MAX {
            return Err(Refused::NoMoreIds);
        }
        let id = match asked {
            AskedId::Next if now_ms > self.top.ms => EntryId { ms: now_ms, seq: 0 },
            AskedId::Next => self.top.next().ok_or(Refused::NoMoreIds)?,
            AskedId::NextIn(ms) if ms == self.top.ms => {
                let seq = self.top.seq.checked_add(1).ok_or(Refused::IdTooSmall)?;
                EntryId { ms, seq }
            }
            AskedId::NextIn(ms) => EntryId { ms, seq: 0 },
            AskedId::Exactly(id) => id,
        };
        if id > self.top { Ok(id) } else { Err(Refused::IdTooSmall) }
    }
}
