//! What the source wants back when an entry's trace has been disposed of.

use std::fmt;

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
