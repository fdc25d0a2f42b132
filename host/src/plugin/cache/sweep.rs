//! What is removed: what nobody uses, and the longest unused when room is needed.

use std::time::{Duration, SystemTime};

use super::entry::{self, Digest, SUFFIX};
use super::place::{Listed, Place, UNFINISHED};

/// Entries of other engines and formats stay for so long after their last use: while a version is rolled out, two use one directory.
const FOREIGN_KEPT: Duration = Duration::from_secs(24 * 3600);

/// Removes entries of other engines that are not used any more, files that were never finished, and the longest unused of all entries until
/// those that stay have at most `room` bytes. Files with names that we do not give are left alone, and do not count.
pub(super) fn sweep(place: &Place, engine: &Digest, room: u64) {
    let own = entry::prefix(engine);
    let now = SystemTime::now();
    // A time in the future is that of a clock since set back: as if just used.
    let unused = |file: &Listed| now.duration_since(file.used).unwrap_or_default();
    let is_ours = |file: &Listed| is_entry(&file.name) || file.name.starts_with(UNFINISHED);
    let (mut kept, gone): (Vec<Listed>, Vec<Listed>) =
        place.files().into_iter().filter(is_ours).partition(|file| file.name.starts_with(&own) || unused(file) < FOREIGN_KEPT);
    kept.sort_by_key(|file| std::cmp::Reverse(file.used));
    let mut total = 0;
    let crowded_out = kept.into_iter().skip_while(|file| {
        total += file.bytes;
        total <= room
    });
    for file in gone.into_iter().chain(crowded_out) {
        tracing::debug!(file = file.name, bytes = file.bytes, "a compiled plugin that is not used any more is removed");
        place.remove(&file.name);
    }
}

/// Whether `name` is one that an entry of any engine could have: two hexadecimal numbers.
fn is_entry(name: &str) -> bool {
    let is_hex = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let parts = name.strip_suffix(SUFFIX).and_then(|stem| stem.split_once('-'));
    parts.is_some_and(|(engine, wasm)| is_hex(engine) && is_hex(wasm))
}
