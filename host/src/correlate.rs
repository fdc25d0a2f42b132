//! From spans to traces.
//!
//! Time here is the stream's time: a trace's quiet is judged by the entries' own times against the source's watermark, never by
//! a clock of ours. So a paused host, an outage or a backlog cuts no trace in two: what has not been read yet has not been missed.
//!
//! Must never: read a clock, do I/O, or know what happens to a trace afterwards.

mod memory;
mod open;
mod schedule;
mod stage;

pub use stage::{Correlate, Counters, Handle, Question, Summary, run};

use ahash::RandomState;
use hashbrown::HashTable;
use slab::Slab;

use crate::budget::Share;
use crate::decode::{Event, Retry};
use crate::model::{Decision, IdHasher, Receipt, Receipts, Trace, TraceId};
use crate::source::Beginning;
use memory::Remembered;
use open::OpenTrace;
use schedule::Schedule;

/// When traces are decided. Times are milliseconds of stream time.
#[derive(Debug, Clone)]
pub struct Rules {
    /// A trace whose spans are all closed is complete after this long without an entry (5 s, as MCP Mesh documents).
    pub quiet_ms: u64,
    /// How long a parent that was named and has not come is waited for, counted like the quiet period: agents publish a span when
    /// it ends, so its children come before it. `MESHTRACE_PARENT_WAIT`, 30 s.
    pub parent_wait_ms: u64,
    /// A trace with an open span expires after this long without an entry. `TRACE_TIMEOUT`, 5 min.
    pub timeout_ms: u64,
    /// A trace that never falls quiet is decided at this age. 1 h.
    pub max_age_ms: u64,
    /// A trace is decided when it has this many spans; further ones leave as late parts. 10,000.
    pub max_spans: usize,
    /// A trace is decided when it holds this many bytes; further spans leave as late parts. 8 MiB: what a plugin answers about one trace shall fit into
    /// its limits.
    pub max_bytes: usize,
    /// Bytes that open traces may hold; beyond, the one that is nearest to its end is decided as it is. 512 MiB.
    pub max_open_bytes: usize,
    /// How long the id of a decided trace is remembered, so that late spans join it. 10 min.
    pub remember_ms: u64,
    /// How many ids are remembered at most. 5,000,000.
    pub max_remembered: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            quiet_ms: 5_000,
            parent_wait_ms: 30_000,
            timeout_ms: 300_000,
            max_age_ms: 3_600_000,
            max_spans: 10_000,
            max_bytes: 8 * 1024 * 1024,
            max_open_bytes: 512 * 1024 * 1024,
            remember_ms: 600_000,
            max_remembered: 5_000_000,
        }
    }
}

/// A decided trace part with the receipts of all its entries.
#[derive(Debug)]
pub struct Decided {
    /// The trace, or a late part of one.
    pub trace: Trace,
    /// One for each entry that went into it.
    pub receipts: Receipts,
    /// When it fell due, milliseconds of stream time.
    pub at_ms: u64,
    /// Whether a retry brought it back from the dead letters. Then it is decided anew: whatever is remembered of an earlier decision about this trace
    /// (that it was dropped, say) does not count. Never true of a late part.
    pub retry: bool,
    /// Whether its trace was dropped under an earlier leadership, as the journal says. Only true of a late part.
    pub follows_drop: bool,
    /// What it takes of the bytes that may be on their way behind the correlator.
    pub share: Share,
}

impl Decided {
    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        self.trace.bytes() + self.receipts.list.len() * size_of::<Receipt>()
    }
}

/// The open traces, and when each is due.
#[derive(Debug)]
pub struct Correlator {
    rules: Rules,
    open: Slab<OpenTrace>,
    /// Slots by trace id, which is with the trace alone.
    by_id: HashTable<u32>,
    table_hasher: RandomState,
    schedule: Schedule,
    hasher: IdHasher,
    remembered: Remembered,
    /// The leadership under which entries are read now.
    epoch: u32,
    open_bytes: usize,
    open_spans: usize,
    watermark_ms: u64,
    /// First entry of the oldest open trace, and the watermark when it was looked for.
    oldest: (Option<u64>, u64),
}

/// All open traces are looked through for the oldest at most once in this much stream time.
const LOOK_FOR_OLDEST_MS: u64 = 1_000;

impl Correlator {
    /// A correlator without traces.
    pub fn new(rules: Rules) -> Correlator {
        let remembered = Remembered::new(rules.remember_ms, rules.max_remembered);
        Correlator {
            rules,
            open: Slab::new(),
            by_id: HashTable::new(),
            table_hasher: RandomState::new(),
            schedule: Schedule::default(),
            hasher: IdHasher::random(),
            remembered,
            epoch: 0,
            open_bytes: 0,
            open_spans: 0,
            watermark_ms: 0,
            oldest: (None, 0),
        }
    }

    /// Begins anew, without open traces, at stream time 0: all entries that are not settled come again, whatever their time.
    pub fn begin(&mut self, beginning: Beginning) {
        self.by_id = HashTable::new();
        self.open = Slab::new();
        self.schedule = Schedule::default();
        (self.open_bytes, self.open_spans, self.watermark_ms, self.oldest) = (0, 0, 0, (None, 0));
        self.epoch = beginning.epoch;
        if let Some(key) = beginning.id_key {
            self.hasher = IdHasher::new(&key);
        }
        self.remembered.clear();
        beginning.decided.iter().for_each(|recalled| self.remembered.recall(recalled));
    }

    /// The leadership under which entries are read now.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Takes the event of an entry of stream time `at_ms`, after [`Correlator::advance`] to that time. Traces that it decides (by size
    /// or for want of memory) are appended to `decided`.
    ///
    /// An event that a retry brought back is not late, however well its trace is remembered: with it, the trace is decided as if for the first time, and
    /// what is open of it goes along. Only what the same retry brings after that leaves in late parts, as with any trace that is too large.
    pub fn add(&mut self, event: Event, receipt: Receipt, at_ms: u64, decided: &mut Vec<Decided>) {
        let Event { trace, span, retry } = event;
        let slot = self.slot_of(&trace).unwrap_or_else(|| self.begin_trace(trace, retry, at_ms));
        let Some(open) = self.open.get_mut(slot) else { return };
        if retry.is_some() {
            open.part = open.part.min(self.remembered.next(open.id_hash, retry).part);
            open.retry = retry;
        }
        let (bytes, spans) = (open.bytes(), open.spans().len());
        open.add(span, receipt, at_ms);
        self.open_bytes = (self.open_bytes + open.bytes()).saturating_sub(bytes);
        self.open_spans += open.spans().len() - spans;
        if open.spans().len() >= self.rules.max_spans {
            return self.decide(slot, Decision::MaxSpans, at_ms, decided);
        }
        if open.bytes() >= self.rules.max_bytes {
            return self.decide(slot, Decision::MaxBytes, at_ms, decided);
        }
        // The earliest that it can be due. What holds it back longer is looked at when that time has come.
        let earliest_ms = at_ms.saturating_add(self.rules.quiet_ms.min(self.rules.timeout_ms));
        self.schedule.at_latest(slot, &mut open.scheduled_ms, earliest_ms.min(open.first_ms.saturating_add(self.rules.max_age_ms)));
        while self.open_bytes > self.rules.max_open_bytes && self.decide_nearest(decided) {}
    }

    /// Moves stream time on: every entry from before `watermark_ms` has been added. Traces that fell due before it are appended to
    /// `decided`, in the order in which they fell due. Time that goes back is ignored.
    pub fn advance(&mut self, watermark_ms: u64, decided: &mut Vec<Decided>) {
        self.watermark_ms = self.watermark_ms.max(watermark_ms);
        while let Some((due_ms, slot)) = self.schedule.pop_before(self.watermark_ms) {
            let Some(open) = self.open.get_mut(slot).filter(|open| open.scheduled_ms == due_ms) else {
                continue;
            };
            let (really_due_ms, decision) = open.due(&self.rules);
            if really_due_ms < self.watermark_ms {
                self.decide(slot, decision, really_due_ms, decided);
            } else {
                open.scheduled_ms = u64::MAX;
                self.schedule.at_latest(slot, &mut open.scheduled_ms, really_due_ms);
            }
        }
        self.remembered.expire(self.watermark_ms);
    }

    /// Whether there is an open trace with this id.
    pub fn is_open(&self, id: &TraceId) -> bool {
        self.slot_of(id).is_some()
    }

    /// The open trace with this id, as far as it has come: a copy.
    pub fn open_trace(&self, id: &TraceId) -> Option<Trace> {
        let open = self.open.get(self.slot_of(id)?)?;
        Some(Trace::new(id.clone(), open.part, Decision::Complete, open.spans().to_vec()))
    }

    /// Numbers for status.
    pub fn summary(&mut self) -> Summary {
        let looked_ms = self.oldest.1;
        if self.open.is_empty() || looked_ms == 0 || self.watermark_ms.saturating_sub(looked_ms) >= LOOK_FOR_OLDEST_MS {
            self.oldest = (self.open.iter().map(|(_, open)| open.first_ms).min(), self.watermark_ms);
        }
        let oldest = self.oldest.0;
        Summary {
            active_traces: self.open.len(),
            total_spans: self.open_spans,
            open_bytes: self.open_bytes,
            remembered: self.remembered.len(),
            oldest_age_ms: oldest.map(|first| self.watermark_ms.saturating_sub(first)),
        }
    }

    fn slot_of(&self, id: &TraceId) -> Option<usize> {
        let is_it = |slot: &u32| self.open.get(*slot as usize).is_some_and(|open| open.id == *id);
        self.by_id.find(self.table_hasher.hash_one(id), is_it).map(|slot| *slot as usize)
    }

    fn begin_trace(&mut self, id: TraceId, retry: Option<Retry>, at_ms: u64) -> usize {
        let id_hash = self.hasher.hash(&id);
        let next = self.remembered.next(id_hash, retry);
        let hash = self.table_hasher.hash_one(&id);
        let slot = self.open.insert(OpenTrace::new(id, id_hash, next, at_ms));
        let (open, hasher) = (&self.open, &self.table_hasher);
        // More than four thousand million open traces do not fit into the memory that they may have.
        self.by_id.insert_unique(hash, slot as u32, |slot| open.get(*slot as usize).map_or(0, |open| hasher.hash_one(&open.id)));
        slot
    }

    /// Decides the trace that is nearest to its end; false when there is none.
    fn decide_nearest(&mut self, decided: &mut Vec<Decided>) -> bool {
        while let Some((due_ms, slot)) = self.schedule.pop() {
            if self.open.get(slot).is_some_and(|open| open.scheduled_ms == due_ms) {
                self.decide(slot, Decision::Memory, self.watermark_ms, decided);
                return true;
            }
        }
        false
    }

    /// Decides as of stream time `at_ms`: the time when it fell due, however much later that is noticed.
    fn decide(&mut self, slot: usize, decision: Decision, at_ms: u64, decided: &mut Vec<Decided>) {
        let open = self.open.remove(slot);
        let hash = self.table_hasher.hash_one(&open.id);
        if let Ok(entry) = self.by_id.find_entry(hash, |own| *own as usize == slot) {
            entry.remove();
        }
        self.open_bytes = self.open_bytes.saturating_sub(open.bytes());
        self.open_spans -= open.spans().len();
        let parts = self.remembered.decided(open.id_hash, open.part, open.retry, at_ms);
        decided.push(open.decided(decision, at_ms, parts, self.epoch));
    }
}

#[cfg(test)]
mod tests;
