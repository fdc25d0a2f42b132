//! Traces that are decided and on their way through the filters: what may be told of them, so that none is unknown between being open and being stored.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use ahash::RandomState;

use crate::model::{Outline, Trace, TraceId};

/// As many as there are traces on their way, each with the number of its parts that are.
#[derive(Debug, Default)]
pub(super) struct Passing(HashMap<TraceId, (Outline, usize), RandomState>);

impl Passing {
    pub(super) fn add(&mut self, trace: &Trace) {
        self.0.entry(trace.id.clone()).or_insert_with(|| (Outline::of(trace), 0)).1 += 1;
    }

    pub(super) fn remove(&mut self, id: &TraceId) {
        if let Entry::Occupied(mut passing) = self.0.entry(id.clone()) {
            let parts = &mut passing.get_mut().1;
            *parts -= 1;
            if *parts == 0 {
                passing.remove();
            }
        }
    }

    pub(super) fn get(&self, id: &TraceId) -> Option<&Outline> {
        self.0.get(id).map(|(outline, _)| outline)
    }
}
