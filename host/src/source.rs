//! Where span events come from, and where receipts go back to.
//!
//! A source hands on batches of entries in the order of its log, each with a watermark, and takes receipts back when
//! the entries' traces have been disposed of. It is the only stage that knows what the log is: nothing after it says Redis.

use std::time::Duration;

mod batch;
pub mod embedded;
mod recalled;
pub mod redis;
mod settlement;
mod status;

pub use batch::{Batch, Beginning, Entry};
pub use recalled::{DECISION_BYTES, PastDecision, Recalled};
pub use settlement::{Fate, Settlement};
/// How far stream time has come is told this often, also while nothing comes: by so much, and a look at the log, is a trace decided later than it is due.
pub(crate) const TICK: Duration = Duration::from_millis(50);
/// What that may come to.
const _: () = assert!(TICK.as_millis() <= 100);

pub use status::{RestartSafety, Role, SourceState, SourceStatus, StatusSnapshot};
