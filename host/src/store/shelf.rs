//! The traces in the order of their decision, and where each id stands.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ahash::RandomState;

use super::Limits;
use crate::model::{Resource, Trace, TraceId};

/// What a trace costs beyond its own bytes: its place in the queue and in the map of ids.
const PLACE_BYTES: u64 = (size_of::<Held>() + 2 * size_of::<(TraceId, u64)>()) as u64;

/// Traces in order of decision. Each has a number, its place, that never changes: `first` at the front, counting up.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    first: u64,
    held: VecDeque<Held>,
    places: HashMap<TraceId, u64, RandomState>,
    bytes: u64,
}

#[derive(Debug)]
struct Held {
    trace: Arc<Trace>,
    bytes: u64,
    decided_ms: u64,
}

/// How many traces were removed, and why.
#[derive(Debug, Default)]
pub(super) struct Removed<N> {
    pub(super) by_count: N,
    pub(super) by_bytes: N,
    pub(super) by_age: N,
}

impl Removed<AtomicU64> {
    pub(super) fn add(&self, more: &Removed<u64>) {
        self.by_count.fetch_add(more.by_count, Ordering::Relaxed);
        self.by_bytes.fetch_add(more.by_bytes, Ordering::Relaxed);
        self.by_age.fetch_add(more.by_age, Ordering::Relaxed);
    }
}

/// Bytes that a trace holds, its producers among them. They may be shared with other traces and are counted with each:
/// too much rather than too little.
pub(super) fn bytes_of(trace: &Trace) -> u64 {
    let mut seen: HashSet<*const Resource, RandomState> = HashSet::default();
    let fresh = trace.spans.iter().map(|span| &span.resource).filter(|resource| seen.insert(Arc::as_ptr(resource)));
    let producers: usize = fresh.map(|resource| size_of::<Resource>() + resource.heap_bytes()).sum();
    (trace.bytes() + producers + trace.id.heap_bytes()) as u64 + PLACE_BYTES
}

impl Shelf {
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn get(&self, id: &TraceId) -> Option<&Arc<Trace>> {
        self.get_decided(id).map(|(trace, _)| trace)
    }

    pub(super) fn get_decided(&self, id: &TraceId) -> Option<(&Arc<Trace>, u64)> {
        let index = usize::try_from(self.places.get(id)? - self.first).ok()?;
        self.held.get(index).map(|held| (&held.trace, held.decided_ms))
    }

    /// Up to `limit` traces after `offset` of them, newest first.
    pub(super) fn page(&self, limit: usize, offset: usize) -> impl Iterator<Item = &Arc<Trace>> {
        let end = self.held.len().saturating_sub(offset);
        self.held.range(end.saturating_sub(limit)..end).rev().map(|held| &held.trace)
    }

    /// Traces that stand before a place, newest first.
    pub(super) fn newest_before(&self, place: u64) -> impl Iterator<Item = (u64, &Arc<Trace>)> {
        let older = usize::try_from(place.saturating_sub(self.first)).unwrap_or(usize::MAX).min(self.held.len());
        let traces = self.held.range(..older).enumerate().rev();
        traces.map(|(index, held)| (self.first + index as u64, &held.trace))
    }

    /// Puts a trace in the place of the one with its id, which is returned, or behind all others.
    pub(super) fn put(&mut self, trace: Arc<Trace>, bytes: u64, now_ms: u64) -> Option<Arc<Trace>> {
        self.bytes += bytes;
        if let Some(place) = self.places.get(&trace.id) {
            let held = &mut self.held[(place - self.first) as usize];
            self.bytes -= std::mem::replace(&mut held.bytes, bytes);
            return Some(std::mem::replace(&mut held.trace, trace));
        }
        let decided_ms = self.held.back().map_or(now_ms, |last| last.decided_ms.max(now_ms));
        self.places.insert(trace.id.clone(), self.first + self.held.len() as u64);
        self.held.push_back(Held { trace, bytes, decided_ms });
        None
    }

    /// Removes what is too old or too much; the traces go to `gone`, for the caller to free outside of the lock.
    pub(super) fn shrink(&mut self, limits: &Limits, now_ms: u64, gone: &mut Vec<Arc<Trace>>) -> Removed<u64> {
        let mut removed = Removed::default();
        let age_ms = |held: &Held| now_ms.saturating_sub(held.decided_ms);
        while limits.retention > Duration::ZERO
            && self.held.front().is_some_and(|held| u128::from(age_ms(held)) > limits.retention.as_millis())
        {
            removed.by_age += self.remove_oldest(gone);
        }
        while self.held.len() > limits.max_traces {
            for _ in 0..(limits.max_traces / 5).max(1) {
                removed.by_count += self.remove_oldest(gone);
            }
        }
        while self.bytes > limits.max_bytes {
            removed.by_bytes += self.remove_oldest(gone);
        }
        removed
    }

    fn remove_oldest(&mut self, gone: &mut Vec<Arc<Trace>>) -> u64 {
        let Some(held) = self.held.pop_front() else {
            self.bytes = 0;
            return 0;
        };
        self.first += 1;
        self.bytes -= held.bytes;
        self.places.remove(&held.trace.id);
        gone.push(held.trace);
        1
    }
}
