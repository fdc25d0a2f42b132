//! What the source wants back when an entry's trace has been disposed of.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Names one entry of one of the source's streams. Opaque to every stage but the source; not `Clone`-happy on purpose:
/// a receipt is handed in once.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Receipt {
    /// Which of the source's streams, from 0.
    pub stream: u8,
    /// The entry's time, milliseconds since 1970 by the log's clock.
    pub ms: u64,
    /// Tells entries of one millisecond apart.
    pub seq: u64,
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// All receipts of one trace part (or the one of an entry that could not be decoded): they go back together, and are settled in one step.
#[derive(Debug, Default)]
pub struct Receipts {
    /// Under which leadership the entries were read. What was read under one that has ended is not settled: whoever leads now reads it again.
    pub epoch: u32,
    /// What is to be remembered of the decision, if one was made.
    pub mark: Option<Mark>,
    /// One for each entry.
    pub list: Vec<Receipt>,
}

/// Which leadership lasts, for those who hold what was read under an earlier one. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Leadership(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    epoch: AtomicU32,
    thrown_away: AtomicU64,
}

impl Leadership {
    /// From now on it is this one; numbers only grow.
    pub fn begin(&self, epoch: u32) {
        self.0.epoch.fetch_max(epoch, Ordering::Relaxed);
    }

    /// Whether what was read under this one is another host's by now: whatever becomes of it here is in vain.
    pub fn is_over(&self, epoch: u32) -> bool {
        epoch < self.0.epoch.load(Ordering::Relaxed)
    }

    /// Notes that so many trace parts were thrown away for that.
    pub fn threw_away(&self, parts: usize) {
        self.0.thrown_away.fetch_add(parts as u64, Ordering::Relaxed);
    }

    /// How many have been, since the start.
    pub fn thrown_away(&self) -> u64 {
        self.0.thrown_away.load(Ordering::Relaxed)
    }
}

/// That a trace has been decided, as it is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Hash of the trace's id, by the [`IdHasher`](super::IdHasher) of whoever decided.
    pub id_hash: u64,
    /// Parts that there have been of it, with this one; the number of the next.
    pub parts: u32,
    /// When it was decided, milliseconds of stream time.
    pub at_ms: u64,
}
