//! The mark of an entry that was brought back from the dead letters.

use std::hash::{DefaultHasher, Hasher};
use std::num::NonZeroU32;

use super::fields::Field;

/// The field that a retry adds to an entry. It belongs to no span. Its value is the same for all entries that one retry of a trace brings back, and
/// another for the next retry.
pub const RETRY_FIELD: &str = "meshtrace:retry";

/// Which retry brought an entry back, as far as that can be told apart: a hash of the field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry(NonZeroU32);

impl Retry {
    /// The retry that marks its entries with `value`.
    pub fn of(value: &str) -> Retry {
        let mut hasher = DefaultHasher::new();
        hasher.write(value.as_bytes());
        Retry(NonZeroU32::MIN.saturating_add(hasher.finish() as u32))
    }
}

/// Bytes and number of fields, not counting what a retry has added: it makes no entry too large that was not.
pub(super) fn extent_without_marker<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> (usize, usize) {
    let theirs = fields.filter(|(key, _)| Field::of(key) != Field::Retry);
    theirs.fold((0, 0), |(bytes, count), (key, value)| (bytes + key.len() + value.len(), count + 1))
}
