//! Entries that nobody will ever take: the last ones, for people to look at.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::bounds;
use super::entry_id::EntryId;
use super::payload::Payload;
use super::seldom::Seldom;

/// One entry that was given up.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Its id, `<ms>-<seq>`.
    pub id: String,
    /// The stage that gave up.
    pub stage: &'static str,
    /// The plugin that refused it, if one did.
    pub plugin: Option<String>,
    /// Why, for people; may quote what a publisher sent.
    pub reason: Arc<str>,
    fields: Arc<Payload>,
}

impl DeadLetter {
    /// Keys and values in the order they came.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.fields()
    }

    fn bytes(&self) -> usize {
        let plugin = self.plugin.as_ref().map_or(0, String::len);
        self.fields.held_bytes() + self.reason.len() + plugin + size_of::<DeadLetter>()
    }
}

/// The last dead letters, at most 1,000 of them and 8 MiB; in memory only, as everything here.
#[derive(Debug, Clone, Default)]
pub struct DeadLetters(Arc<Kept>);

#[derive(Debug, Default)]
struct Kept {
    letters: Mutex<Letters>,
    warning: Seldom,
}

#[derive(Debug, Default)]
struct Letters {
    bytes: usize,
    letters: VecDeque<DeadLetter>,
}

impl DeadLetters {
    /// The last ones, oldest first.
    pub fn list(&self) -> Vec<DeadLetter> {
        self.0.letters.lock().unwrap_or_else(PoisonError::into_inner).letters.iter().cloned().collect()
    }

    pub(super) fn push(&self, id: EntryId, stage: &'static str, plugin: Option<String>, reason: Arc<str>, fields: Payload) {
        if let Some(withheld) = self.0.warning.now() {
            // Debug form: a reason may quote control characters.
            tracing::warn!(entry = %id, stage, ?plugin, ?reason, withheld, "an entry was given up, and put to the dead letters");
        }
        let id = id.to_string();
        let letter = DeadLetter {
            id,
            stage,
            plugin,
            reason,
            fields: Arc::new(fields),
        };
        let mut kept = self.0.letters.lock().unwrap_or_else(PoisonError::into_inner);
        kept.bytes += letter.bytes();
        kept.letters.push_back(letter);
        while kept.bytes > bounds::DEAD_LETTER_BYTES || kept.letters.len() > bounds::DEAD_LETTERS {
            let Some(oldest) = kept.letters.pop_front() else { break };
            kept.bytes -= oldest.bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(dead: &DeadLetters, seq: u64, value: &[u8]) {
        let fields = Payload::pack([&b"key"[..], value].into_iter());
        dead.push(EntryId { ms: 1, seq }, "decode", None, "no trace id".into(), fields);
    }

    #[test]
    fn the_last_ones_are_kept_with_all_their_fields() {
        let dead = DeadLetters::default();
        for seq in 0..bounds::DEAD_LETTERS as u64 + 5 {
            push(&dead, seq, b"value");
        }
        let letters = dead.list();
        assert_eq!(letters.len(), bounds::DEAD_LETTERS);
        assert_eq!((letters[0].id.as_str(), letters[0].stage, &*letters[0].reason), ("1-5", "decode", "no trace id"));
        assert_eq!(letters[0].fields().collect::<Vec<_>>(), [(&b"key"[..], &b"value"[..])]);
    }

    #[test]
    fn large_ones_make_room_by_their_bytes() {
        let dead = DeadLetters::default();
        let large = vec![b'x'; bounds::DEAD_LETTER_BYTES / 3];
        for seq in 0..4 {
            push(&dead, seq, &large);
        }
        let ids: Vec<String> = dead.list().into_iter().map(|letter| letter.id).collect();
        assert_eq!(ids, ["1-2", "1-3"]);
        let reason = "x".repeat(bounds::DEAD_LETTER_BYTES);
        dead.push(EntryId { ms: 1, seq: 4 }, "export", Some("json".into()), reason.into(), Payload::pack(std::iter::empty()));
        assert!(dead.list().is_empty());
        assert_eq!(dead.0.letters.lock().unwrap().bytes, 0);
    }
}
