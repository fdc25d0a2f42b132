//! Decisions in nine bytes each, as a journal keeps them for those who lead later.

/// Bytes of a decision.
pub const DECISION_BYTES: usize = 9;
/// This bit of the last byte says that the trace was dropped; the others count its parts, up to the highest number that they can.
const DROPPED: u8 = 0x80;

/// What is known of one decided trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastDecision {
    /// Hash of the trace's id, see [`Mark`](crate::model::Mark).
    pub id_hash: u64,
    /// Parts that there have been of it. In its bytes, 127 stands for all that are more.
    pub parts: u32,
    /// Whether it was dropped by a filter.
    pub dropped: bool,
}

impl PastDecision {
    /// As it is journalled.
    pub fn to_bytes(self) -> [u8; DECISION_BYTES] {
        let mut bytes = [0; DECISION_BYTES];
        bytes[..8].copy_from_slice(&self.id_hash.to_le_bytes());
        let parts = u8::try_from(self.parts).unwrap_or(u8::MAX).min(!DROPPED);
        bytes[8] = if self.dropped { parts | DROPPED } else { parts };
        bytes
    }

    fn of(bytes: &[u8]) -> Option<PastDecision> {
        let (hash, [rest]) = bytes.split_at_checked(8)? else { return None };
        Some(PastDecision {
            id_hash: u64::from_le_bytes(hash.try_into().ok()?),
            parts: u32::from(rest & !DROPPED),
            dropped: rest & DROPPED != 0,
        })
    }
}

/// What was decided within a while.
#[derive(Debug, Default)]
pub struct Recalled {
    /// When that while ended, milliseconds of stream time.
    pub at_ms: u64,
    /// [`DECISION_BYTES`] for each decision, in the order in which they were journalled: of two about one trace the later one counts.
    pub bytes: Vec<u8>,
}

impl Recalled {
    /// The decisions, in order.
    pub fn decisions(&self) -> impl Iterator<Item = PastDecision> {
        self.bytes.chunks_exact(DECISION_BYTES).filter_map(PastDecision::of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_read_back_as_they_were_written() {
        let decisions = [(0, 1, false), (u64::MAX, 127, true), (0x0123_4567_89ab_cdef, 2, true)]
            .map(|(id_hash, parts, dropped)| PastDecision { id_hash, parts, dropped });
        let mut bytes: Vec<u8> = decisions.iter().flat_map(|decision| decision.to_bytes()).collect();
        // Somebody else has written there, too.
        bytes.push(1);
        assert_eq!(Recalled { at_ms: 0, bytes }.decisions().collect::<Vec<_>>(), decisions);
    }

    #[test]
    fn more_parts_than_can_be_counted_are_the_most_that_can() {
        let many = PastDecision { id_hash: 1, parts: 1_000, dropped: false };
        assert_eq!(PastDecision::of(&many.to_bytes()), Some(PastDecision { parts: 127, ..many }));
    }
}
