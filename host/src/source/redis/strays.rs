//! What a former leader is given. Reading cannot be fenced: whoever was paused between making sure that it leads and reading is given entries all the same, when it goes on.
//!
//! It finds out with its next request, but it may be long until then, and the rest of those traces comes to us. So each time that we read, it is asked in the same
//! breath for whom something is pending.

use redis::Value;

use super::reply::{bytes, items};
use super::{CONSUMER_PREFIX, Shared};

/// Whether something is pending for a former leader, by a reply to `XPENDING`.
pub(super) fn are_pending(shared: &Shared, pending: &Value) -> bool {
    let rows = items(pending).get(3).map_or(&[][..], items);
    let mut names = rows.iter().filter_map(|row| bytes(items(row).first()?));
    names.any(|name| name.starts_with(CONSUMER_PREFIX.as_bytes()) && name != shared.consumer.as_bytes())
}
