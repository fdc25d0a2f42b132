//! A search, which can be left off and gone on with: nobody knows beforehand how many traces have to be looked at.

use std::sync::Arc;

use super::{Criteria, Store};
use crate::model::Trace;

/// Traces that are taken from the store with one look at its lock.
const AT_ONCE: usize = 256;

/// How far a search has come.
#[derive(Debug)]
pub struct Search {
    criteria: Criteria,
    limit: usize,
    found: Vec<Arc<Trace>>,
    /// The place of the last one that was looked at.
    before: u64,
}

impl Search {
    /// For up to `limit` traces that match, newest first.
    pub fn new(criteria: Criteria, limit: usize) -> Search {
        Search {
            criteria,
            limit,
            found: Vec::new(),
            before: u64::MAX,
        }
    }

    /// Looks at up to `traces` more; true when there is nothing left to look for.
    pub fn go_on(&mut self, store: &Store, traces: usize) -> bool {
        let mut left = traces;
        while self.found.len() < self.limit {
            if left == 0 {
                return false;
            }
            let chunk = store.before(self.before, left.min(AT_ONCE));
            let Some((last, _)) = chunk.last() else { break };
            self.before = *last;
            left -= chunk.len();
            let matching = chunk.into_iter().map(|(_, trace)| trace).filter(|trace| self.criteria.matches(trace));
            self.found.extend(matching.take(self.limit - self.found.len()));
        }
        true
    }

    /// Looks at all that there are.
    pub fn finish(&mut self, store: &Store) {
        while !self.go_on(store, usize::MAX) {}
    }

    /// What was found by now.
    pub fn found(&self) -> &[Arc<Trace>] {
        &self.found
    }
}
