//! The last decisions, for people who ask about one.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use ahash::RandomState;

use crate::model::{Sampling, TraceId};

/// Decisions that can be asked for, at most.
const DECISIONS: usize = 10_000;

/// What was decided about a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Whether it was kept.
    pub keep: bool,
    /// Which filter decided that, and why; `None` when it was kept because no filter had an opinion.
    pub sampling: Option<Arc<Sampling>>,
    /// When, by the wall clock: milliseconds since 1970.
    pub at_unix_ms: u64,
    /// The latest part that followed it; 0 = there was no late part.
    pub part: u32,
}

/// Decisions in their order. Each has a number, its place: `first` at the front, counting up.
#[derive(Debug, Default)]
pub(super) struct Recent {
    first: u64,
    /// With the leadership under which it was decided.
    decisions: VecDeque<(TraceId, u32, Known)>,
    places: HashMap<TraceId, u64, RandomState>,
}

impl Recent {
    /// Notes a decision under this leadership; an earlier one about the same trace is no longer found.
    pub fn decided(&mut self, id: &TraceId, epoch: u32, known: Known) {
        self.places.insert(id.clone(), self.first + self.decisions.len() as u64);
        self.decisions.push_back((id.clone(), epoch, known));
        if self.decisions.len() > DECISIONS
            && let Some((oldest, ..)) = self.decisions.pop_front()
        {
            if self.places.get(&oldest) == Some(&self.first) {
                self.places.remove(&oldest);
            }
            self.first += 1;
        }
    }

    /// Notes that a late part followed the decision; that is returned, if it is known still.
    pub fn followed(&mut self, id: &TraceId, part: u32) -> Option<&Known> {
        let index = self.index(id)?;
        let (_, _, known) = self.decisions.get_mut(index)?;
        known.part = known.part.max(part);
        Some(known)
    }

    pub fn get(&self, id: &TraceId) -> Option<&Known> {
        self.decisions.get(self.index(id)?).map(|(_, _, known)| known)
    }

    /// Who dropped a trace, and why, if it was dropped under this leadership. What was decided under another one has come to nothing: somebody else may
    /// have decided otherwise, and the journal says what counts.
    pub fn dropped_under(&self, id: &TraceId, epoch: u32) -> Option<Arc<Sampling>> {
        let (_, under, known) = self.decisions.get(self.index(id)?)?;
        known.sampling.clone().filter(|sampling| *under == epoch && !sampling.keep)
    }

    fn index(&self, id: &TraceId) -> Option<usize> {
        usize::try_from(self.places.get(id)? - self.first).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> TraceId {
        TraceId::parse(&number.to_string())
    }

    fn known(at_unix_ms: u64) -> Known {
        Known {
            keep: true,
            sampling: None,
            at_unix_ms,
            part: 0,
        }
    }

    #[test]
    fn the_last_ten_thousand_are_known_and_the_latest_of_one_trace_counts() {
        let mut recent = Recent::default();
        recent.decided(&id(0), 0, known(1));
        for number in 0..DECISIONS {
            recent.decided(&id(number), 0, known(2));
        }
        assert_eq!(recent.get(&id(0)), Some(&known(2)), "the first of the two is gone, the second is not");
        recent.decided(&id(DECISIONS), 0, known(3));
        assert_eq!((recent.get(&id(0)), recent.decisions.len(), recent.places.len()), (None, DECISIONS, DECISIONS));
        assert_eq!(recent.get(&id(DECISIONS)), Some(&known(3)));
    }

    #[test]
    fn late_parts_are_noted_with_the_decision_that_they_follow() {
        let mut recent = Recent::default();
        recent.decided(&id(1), 0, known(1));
        assert_eq!(recent.followed(&id(1), 2).map(|known| known.part), Some(2));
        assert_eq!(recent.followed(&id(1), 1).map(|known| known.part), Some(2), "parts of a repeated trace come again");
        assert_eq!(recent.followed(&id(2), 1), None);
    }
}
