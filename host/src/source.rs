//! Where span events come from, and where receipts go back to.
//!
//! A source hands on batches of entries in the order of its log, each with a watermark, and takes receipts back when
//! the entries' traces have been disposed of. It is the only stage that knows what the log is: nothing after it says Redis.

mod batch;
pub mod embedded;
mod recalled;
pub mod redis;
mod settlement;
mod status;
mod texts;

pub use batch::{Batch, Beginning, Entry};
pub use recalled::{DECISION_BYTES, PastDecision, Recalled};
pub use settlement::{Fate, Settlement};
pub use status::{RestartSafety, Role, SourceState, SourceStatus, StatusSnapshot};
