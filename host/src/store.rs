//! Recent decided traces, in memory, for queries.
//!
//! MCP Mesh's documents promise the last 1000 completed traces, the oldest 20 % removed when there are more, and none older than
//! `MCP_MESH_TRACE_RETENTION`. Besides, they hold no more than a number of bytes.
//!
//! Newest first means: most recently *decided* first, whatever the spans' own clocks say. A late part joins its trace and
//! leaves it in its place, so that pages do not shift under a reader.
//!
//! Must never: hold its lock while a trace is compared, united or encoded. Readers get their own handles (`Arc`) and look
//! at the traces afterwards.

mod criteria;
mod passing;
mod search;
mod shelf;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ahash::RandomState;

pub use criteria::Criteria;
use passing::Passing;
pub use search::Search;
use shelf::{Removed, Shelf};

use crate::model::{Outline, Trace, TraceId};

/// What a store may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Traces. One more, and the oldest fifth of them is removed.
    pub max_traces: usize,
    /// How long a trace is kept after it was decided; zero: no end.
    pub retention: Duration,
    /// Bytes. Above it the oldest traces are removed, and no trace may be larger than a quarter of it: one endless trace
    /// shall not cost all others.
    pub max_bytes: u64,
}

impl Default for Limits {
    /// 1000 traces, 24 hours, 256 MiB.
    fn default() -> Self {
        Limits {
            max_traces: 1000,
            retention: Duration::from_secs(24 * 60 * 60),
            max_bytes: 256 * 1024 * 1024,
        }
    }
}

/// What a store holds, and what it has removed since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Traces held.
    pub traces: u64,
    /// Bytes that they hold; producers that traces share are counted with each of them.
    pub bytes: u64,
    /// Traces removed because there were more than [`Limits::max_traces`].
    pub removed_by_count: u64,
    /// Traces removed because they held more than [`Limits::max_bytes`].
    pub removed_by_bytes: u64,
    /// Traces removed because they were older than [`Limits::retention`].
    pub removed_by_age: u64,
    /// Traces and late parts not taken in, because their trace would hold more than a quarter of [`Limits::max_bytes`].
    pub too_large: u64,
}

/// The store. Shared by one writer and any number of readers.
#[derive(Debug)]
pub struct Store {
    limits: Limits,
    /// Held by a writer while it unites parts, so that two writers do not unite with the same older trace. Readers never wait for it.
    writing: Mutex<()>,
    /// A plain mutex: it is held for pushes, pops and `Arc` clones only.
    shelf: Mutex<Shelf>,
    passing: Mutex<Passing>,
    removed: Removed<AtomicU64>,
    too_large: AtomicU64,
}

impl Store {
    /// An empty store.
    pub fn new(limits: Limits) -> Store {
        Store {
            limits,
            writing: Mutex::default(),
            shelf: Mutex::default(),
            passing: Mutex::default(),
            removed: Removed::default(),
            too_large: AtomicU64::new(0),
        }
    }

    /// What it may hold.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Takes in decided traces, oldest decision first. A late part, or a trace that comes again, is united with the one held.
    ///
    /// `now_unix_ms` is the time of the decision; a clock that steps back is taken to stand still.
    pub fn insert(&self, traces: &[Arc<Trace>], now_unix_ms: u64) {
        let _one_writer = lock(&self.writing);
        let united = self.unite(traces);
        let mut gone = Vec::new();
        {
            let mut shelf = lock(&self.shelf);
            for (trace, bytes) in united {
                gone.extend(shelf.put(trace, bytes, now_unix_ms));
            }
            self.removed.add(&shelf.shrink(&self.limits, now_unix_ms, &mut gone));
        }
        // Only now, so that a reader who looks here after the shelf, and then there again, finds it.
        self.withdraw(traces.iter().map(|trace| &trace.id));
        // What was removed is freed here, when nobody waits for the lock.
        drop(gone);
    }

    /// Notes traces that are decided, and about to go through the filters. Each is to be inserted or withdrawn.
    pub fn announce<'a>(&self, traces: impl IntoIterator<Item = &'a Trace>) {
        let mut passing = lock(&self.passing);
        traces.into_iter().for_each(|trace| passing.add(trace));
    }

    /// Forgets traces that were announced: they have been dropped.
    pub fn withdraw<'a>(&self, ids: impl IntoIterator<Item = &'a TraceId>) {
        let mut passing = lock(&self.passing);
        ids.into_iter().for_each(|id| passing.remove(id));
    }

    /// What may be told of the trace with this id while it is on its way through the filters.
    pub fn outline(&self, id: &TraceId) -> Option<Outline> {
        lock(&self.passing).get(id).cloned()
    }

    /// Removes what is older than the retention by now. Readers call it first, so that a quiet mesh does not show old traces.
    pub fn prune(&self, now_unix_ms: u64) {
        let mut gone = Vec::new();
        self.removed.add(&lock(&self.shelf).shrink(&self.limits, now_unix_ms, &mut gone));
    }

    /// The trace with this id.
    pub fn get(&self, id: &TraceId) -> Option<Arc<Trace>> {
        lock(&self.shelf).get(id).cloned()
    }

    /// The trace with this id, and when it was decided: milliseconds since 1970.
    pub fn get_decided(&self, id: &TraceId) -> Option<(Arc<Trace>, u64)> {
        lock(&self.shelf).get_decided(id).map(|(trace, decided_ms)| (trace.clone(), decided_ms))
    }

    /// Up to `limit` traces, newest first, after skipping `offset`; and how many there are.
    pub fn list(&self, limit: usize, offset: usize) -> (Vec<Arc<Trace>>, usize) {
        let shelf = lock(&self.shelf);
        (shelf.page(limit, offset).cloned().collect(), shelf.len())
    }

    /// Up to so many traces that stand before a place, newest first, with their places.
    fn before(&self, place: u64, traces: usize) -> Vec<(u64, Arc<Trace>)> {
        let shelf = lock(&self.shelf);
        shelf.newest_before(place).take(traces).map(|(place, trace)| (place, trace.clone())).collect()
    }

    /// What it holds and has removed.
    pub fn counts(&self) -> Counts {
        let (traces, bytes) = {
            let shelf = lock(&self.shelf);
            (shelf.len() as u64, shelf.bytes())
        };
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            traces,
            bytes,
            removed_by_count: count(&self.removed.by_count),
            removed_by_bytes: count(&self.removed.by_bytes),
            removed_by_age: count(&self.removed.by_age),
            too_large: count(&self.too_large),
        }
    }

    /// Each id once, united with what is held, with its bytes; without what is too large. Only under `writing`.
    fn unite(&self, traces: &[Arc<Trace>]) -> Vec<(Arc<Trace>, u64)> {
        let held: Vec<Option<Arc<Trace>>> = {
            let shelf = lock(&self.shelf);
            traces.iter().map(|trace| shelf.get(&trace.id).cloned()).collect()
        };
        let mut united: Vec<(Arc<Trace>, u64)> = Vec::with_capacity(traces.len());
        let mut places: HashMap<&TraceId, usize, RandomState> = HashMap::default();
        for (trace, held) in traces.iter().zip(held) {
            let place = places.get(&trace.id).copied();
            let older = place.map(|place| united[place].0.clone()).or(held);
            let whole = older.map_or_else(|| trace.clone(), |older| Arc::new(older.united(trace)));
            let bytes = shelf::bytes_of(&whole);
            if bytes > self.limits.max_bytes / 4 {
                self.too_large.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            match place {
                Some(place) => united[place] = (whole, bytes),
                None => {
                    places.insert(&trace.id, united.len());
                    united.push((whole, bytes));
                }
            }
        }
        united
    }
}

/// A thread that panicked with the lock has left whole values behind: nothing in between can be seen from outside.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
