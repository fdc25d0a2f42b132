//! Ids of dropped traces, so that their late spans are dropped as well.
//!
//! The correlator has a memory of its own, of all decided traces: it says what is late. This one says what late spans follow, and has to last longer,
//! by as long as a late part may take to be gathered.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use ahash::RandomState;

use crate::model::{Sampling, TraceId};

#[derive(Debug)]
pub(super) struct Dropped {
    /// By hash of the id: 64 keyed bits, as in the correlator's memory.
    by_hash: HashMap<u64, Memory, RandomState>,
    /// `(forget at, hash)` in order of time.
    order: VecDeque<(u64, u64)>,
    hasher: RandomState,
    keep_ms: u64,
    max: usize,
}

#[derive(Debug)]
struct Memory {
    until_ms: u64,
    /// By whom, and why. One of the few that a filter's counted reasons share, never a text of its own.
    sampling: Arc<Sampling>,
}

impl Dropped {
    /// Keeps at most `max` ids, each for `keep_ms` of stream time.
    pub fn new(keep_ms: u64, max: usize) -> Dropped {
        Dropped {
            by_hash: HashMap::default(),
            order: VecDeque::new(),
            hasher: RandomState::new(),
            keep_ms,
            max,
        }
    }

    /// Notes that `id`, or a late part of it, was dropped at `at_ms` of stream time.
    pub fn remember(&mut self, id: &TraceId, sampling: Arc<Sampling>, at_ms: u64) {
        while self.order.front().is_some_and(|(until_ms, _)| *until_ms < at_ms) {
            self.forget_first();
        }
        let (hash, until_ms) = (self.hasher.hash_one(id), at_ms.saturating_add(self.keep_ms));
        let before = self.by_hash.insert(hash, Memory { until_ms, sampling });
        if before.is_none_or(|before| before.until_ms != until_ms) {
            self.order.push_back((until_ms, hash));
        }
        while self.order.len() > self.max {
            self.forget_first();
        }
    }

    /// Notes that `id` was kept: it has been decided anew.
    pub fn forget(&mut self, id: &TraceId) {
        if !self.by_hash.is_empty() {
            self.by_hash.remove(&self.hasher.hash_one(id));
        }
    }

    /// Who dropped `id`, and why, as far as is remembered.
    pub fn get(&self, id: &TraceId) -> Option<&Arc<Sampling>> {
        if self.by_hash.is_empty() {
            return None;
        }
        self.by_hash.get(&self.hasher.hash_one(id)).map(|memory| &memory.sampling)
    }

    pub fn len(&self) -> usize {
        self.by_hash.len()
    }

    fn forget_first(&mut self) {
        let Some((until_ms, hash)) = self.order.pop_front() else { return };
        // A later drop of the same trace has a later item of its own.
        if self.by_hash.get(&hash).is_some_and(|memory| memory.until_ms == until_ms) {
            self.by_hash.remove(&hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampling() -> Arc<Sampling> {
        Arc::new(Sampling {
            filter: "f".into(),
            keep: false,
            reason: None,
        })
    }

    fn id(number: usize) -> TraceId {
        TraceId::parse(&number.to_string())
    }

    #[test]
    fn ids_are_forgotten_in_time_and_a_later_drop_counts_anew() {
        let mut dropped = Dropped::new(10, 100);
        dropped.remember(&id(1), sampling(), 0);
        dropped.remember(&id(2), sampling(), 5);
        dropped.remember(&id(1), sampling(), 8);
        dropped.remember(&id(3), sampling(), 16);
        assert!(dropped.get(&id(1)).is_some() && dropped.get(&id(3)).is_some());
        assert_eq!((dropped.get(&id(2)), dropped.len()), (None, 2));
    }

    #[test]
    fn there_are_never_more_than_the_bound_and_the_oldest_go() {
        let mut dropped = Dropped::new(1_000_000, 100);
        for number in 0..10_000 {
            dropped.remember(&id(number), sampling(), 0);
        }
        assert_eq!((dropped.len(), dropped.order.len()), (100, 100));
        assert!(dropped.get(&id(9_899)).is_none() && dropped.get(&id(9_900)).is_some());
        for at_ms in 0..10_000 {
            dropped.remember(&id(1), sampling(), at_ms);
            dropped.remember(&id(1), sampling(), at_ms);
        }
        assert_eq!((dropped.len(), dropped.order.len()), (1, 100), "one that is dropped again and again takes no more either");
    }

    #[test]
    fn what_is_kept_anew_is_forgotten() {
        let mut dropped = Dropped::new(10, 100);
        dropped.forget(&id(1));
        dropped.remember(&id(1), sampling(), 0);
        dropped.forget(&id(1));
        assert_eq!((dropped.get(&id(1)), dropped.len()), (None, 0));
    }
}
