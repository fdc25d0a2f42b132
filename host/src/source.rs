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
mod texts;

pub use batch::{Batch, Beginning, Entry};
pub use recalled::{DECISION_BYTES, PastDecision, Recalled};
pub use settlement::{Fate, Settlement};
pub use status::{GivenUp, RestartSafety, Role, SourceState, SourceStatus, StatusSnapshot};

/// How far stream time has come is told this often, also while nothing comes. What is told may be as old as that: a look at Redis begins by asking for the
/// time, and then waits for entries. So what is due is decided two of these later at most.
pub(crate) const TICK: Duration = Duration::from_millis(40);
/// Traces come out on time: within 100 ms, of which some are left for the work.
const _: () = assert!(2 * TICK.as_millis() < 100);
