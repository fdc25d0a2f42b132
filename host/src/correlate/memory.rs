//! Ids of decided traces, so that late spans join their trace instead of making a second one.

use crate::decode::Retry;
use crate::model::IdMemory;
use crate::source::Recalled;

#[derive(Debug)]
pub(super) struct Remembered(IdMemory<Memory>);

#[derive(Debug, Clone, Copy)]
struct Memory {
    /// Parts that there have been: the number of the next.
    parts: u32,
    /// The retry by which the trace was decided anew, if it was. It is not journalled: what a retry brings after a restart counts as another one's.
    retry: Option<Retry>,
    /// Whether the journal says that the trace was dropped. What filters have dropped since then they remember themselves.
    dropped: bool,
}

/// What spans that come now are of their trace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Next {
    /// 0 when the trace has not been decided, as far as is remembered, or is to be decided anew; else the number of the late part.
    pub part: u32,
    /// Whether the trace was dropped before the journal was read.
    pub dropped: bool,
}

impl Remembered {
    pub fn new(keep_ms: u64, max: usize) -> Remembered {
        Remembered(IdMemory::new(keep_ms, max))
    }

    /// What spans are that come now: of a first part also when they come by another retry than the one by which their trace was decided.
    pub fn next(&self, id_hash: u64, retry: Option<Retry>) -> Next {
        let memory = self.0.get(id_hash).filter(|memory| retry.is_none() || memory.retry == retry);
        memory.map_or(Next::default(), |memory| Next {
            part: memory.parts,
            dropped: memory.dropped,
        })
    }

    /// Notes that a part was decided at `now_ms`, and by which retry, if by one. Part numbers go on from the highest: a trace that was decided
    /// anew may have had late parts before. Returns how many parts there have been.
    pub fn decided(&mut self, id_hash: u64, part: u32, retry: Option<Retry>, now_ms: u64) -> u32 {
        let before = self.0.get(id_hash);
        let memory = Memory {
            parts: part.saturating_add(1).max(before.map_or(0, |before| before.parts)),
            retry: retry.or(before.and_then(|before| before.retry)),
            dropped: part > 0 && before.is_some_and(|before| before.dropped),
        };
        self.0.remember(id_hash, now_ms, memory);
        memory.parts
    }

    /// Takes in what was journalled in a minute, and then what was in the next.
    pub fn recall(&mut self, recalled: &Recalled) {
        for decision in recalled.decisions() {
            let parts = decision.parts.max(self.0.get(decision.id_hash).map_or(0, |before| before.parts));
            let memory = Memory {
                parts,
                retry: None,
                dropped: decision.dropped,
            };
            self.0.remember(decision.id_hash, recalled.at_ms, memory);
        }
    }

    /// Forgets what has been kept long enough.
    pub fn expire(&mut self, now_ms: u64) {
        self.0.expire(now_ms);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}
