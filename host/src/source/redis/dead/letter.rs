//! One dead letter, taken apart.

use redis::Value;

use super::super::reply::{EntryId, bytes, entry};
use crate::decode::RETRY_FIELD;

/// How the names of our own fields begin.
pub(super) const OWN: &str = "dead:";
/// Ends our own fields where the entry's first one looks like one of them.
pub(super) const END: &str = "dead:end";

/// An entry that was given up, and what is known of it.
#[derive(Debug)]
pub struct Letter {
    id: EntryId,
    about: Vec<(String, String)>,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Letter {
    /// Reads an entry of the stream of dead letters.
    pub(super) fn read(value: &Value) -> Option<Letter> {
        let (id, Some(fields)) = entry(value)? else { return None };
        let mut pairs = fields.chunks_exact(2).filter_map(|pair| Some((bytes(&pair[0])?, bytes(&pair[1])?))).peekable();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut about = Vec::new();
        while let Some((key, value)) = pairs.next_if(|(key, _)| key.starts_with(OWN.as_bytes())) {
            if key == END.as_bytes() {
                break;
            }
            about.push((text(&key[OWN.len()..]), text(value)));
        }
        let fields = pairs.map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
        Some(Letter { id, about, fields })
    }

    /// Its id in the stream of dead letters.
    pub fn id(&self) -> String {
        self.id.to_string()
    }

    pub(super) fn entry_id(&self) -> EntryId {
        self.id
    }

    /// When it was buried: Unix milliseconds, by the clock of Redis.
    pub fn buried_ms(&self) -> u64 {
        self.id.ms
    }

    /// What the host wrote about it (`stage`, `reason`, …), in order.
    pub fn about(&self) -> impl Iterator<Item = (&str, &str)> {
        self.about.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// What the host wrote under `key`.
    pub fn said(&self, key: &str) -> Option<&str> {
        self.about().find(|(own, _)| *own == key).map(|(_, value)| value)
    }

    /// The entry's own fields, in order.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|(key, value)| (key.as_slice(), value.as_slice()))
    }

    /// Number of the entry's own fields, not counting what an earlier retry has added.
    pub fn field_count(&self) -> usize {
        self.fields().filter(|(key, _)| *key != RETRY_FIELD.as_bytes()).count()
    }
}
