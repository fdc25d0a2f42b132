//! Ids of decided traces, so that late spans join their trace instead of making a second one.

use std::collections::{HashMap, VecDeque};

use ahash::RandomState;

use crate::decode::Retry;
use crate::model::TraceId;

#[derive(Debug)]
pub(super) struct Remembered {
    /// By hash of the id: 64 keyed bits, so that 5 million ids collide with a chance of one in a million, and not at anybody's will.
    by_hash: HashMap<u64, Memory, RandomState>,
    /// `(forget at, hash)` in order of time.
    order: VecDeque<(u64, u64)>,
    hasher: RandomState,
    keep_ms: u64,
    max: usize,
}

#[derive(Debug)]
struct Memory {
    /// Parts that there have been: the number of the next.
    parts: u32,
    /// The retry by which the trace was decided anew, if it was.
    retry: Option<Retry>,
    until_ms: u64,
}

impl Remembered {
    pub fn new(keep_ms: u64, max: usize) -> Remembered {
        Remembered {
            by_hash: HashMap::default(),
            order: VecDeque::new(),
            hasher: RandomState::new(),
            keep_ms,
            max,
        }
    }

    /// The part number for spans of `id` that come now: 0 when it has not been decided, as far as is remembered, or when they come by another retry than
    /// the one by which it was.
    pub fn next_part(&self, id: &TraceId, retry: Option<Retry>) -> u32 {
        let memory = self.by_hash.get(&self.hasher.hash_one(id));
        memory.filter(|memory| retry.is_none() || memory.retry == retry).map_or(0, |memory| memory.parts)
    }

    /// Notes that a part of `id` was decided at `now_ms`, and by which retry, if by one. Part numbers go on from the highest: a trace that was decided
    /// anew may have had late parts before.
    pub fn decided(&mut self, id: &TraceId, part: u32, retry: Option<Retry>, now_ms: u64) {
        let (hash, until_ms) = (self.hasher.hash_one(id), now_ms.saturating_add(self.keep_ms));
        let before = self.by_hash.get(&hash);
        let memory = Memory {
            parts: part.saturating_add(1).max(before.map_or(0, |before| before.parts)),
            retry: retry.or(before.and_then(|before| before.retry)),
            until_ms,
        };
        self.by_hash.insert(hash, memory);
        self.order.push_back((until_ms, hash));
        while self.order.len() > self.max {
            self.forget_first();
        }
    }

    /// Forgets what has been kept long enough.
    pub fn expire(&mut self, now_ms: u64) {
        while self.order.front().is_some_and(|(until_ms, _)| *until_ms < now_ms) {
            self.forget_first();
        }
    }

    pub fn len(&self) -> usize {
        self.by_hash.len()
    }

    fn forget_first(&mut self) {
        let Some((until_ms, hash)) = self.order.pop_front() else { return };
        // A later part of the same trace has a later item of its own.
        if self.by_hash.get(&hash).is_some_and(|memory| memory.until_ms == until_ms) {
            self.by_hash.remove(&hash);
        }
    }
}
