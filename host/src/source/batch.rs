//! Entries as they were read: one buffer per batch, no string of their own for each field.

use std::fmt;
use std::ops::Range;

use super::Recalled;
use super::texts::{Place, Texts};
use crate::model::Receipt;

/// Entries in the order of the log, and how far the log has been read.
#[derive(Default)]
pub struct Batch {
    /// Keys and values in turns.
    texts: Texts,
    entries: Vec<EntryAt>,
    /// Stream time in milliseconds: every entry from before it has been handed on, with this batch or an earlier one. Quiet
    /// periods are judged by it, so what has not been read yet has not been missed.
    pub watermark_ms: u64,
    /// A leadership begins with this batch, or has ended.
    pub beginning: Option<Box<Beginning>>,
}

/// Reading begins anew, from what is not settled: whatever was made of entries that were read before comes again.
#[derive(Debug, Default)]
pub struct Beginning {
    /// Goes with the receipts of all entries from now on. No number comes twice.
    pub epoch: u32,
    /// What ids are hashed by from now on; `None`: as before.
    pub id_key: Option<[u8; 16]>,
    /// What had been decided before, as far as late spans may still come; the oldest first.
    pub decided: Vec<Recalled>,
}

#[derive(Debug)]
struct EntryAt {
    receipt: Option<Receipt>,
    at_ms: u64,
    /// Which of all texts are its keys and values.
    texts: Range<usize>,
    /// Bytes that it has more than, if it was not read for having them.
    unread: Option<u64>,
}

/// One entry of a batch.
#[derive(Debug)]
pub struct Entry<'a> {
    /// To be handed in when the entry has been disposed of.
    pub receipt: Receipt,
    /// Stream time in milliseconds.
    pub at_ms: u64,
    /// The entry was too large to be read, so that its fields are not here: it has more than so many bytes.
    pub unread: Option<u64>,
    bytes: &'a [u8],
    texts: &'a [Place],
}

impl Batch {
    /// Without entries.
    pub fn beginning(beginning: Beginning) -> Batch {
        Batch {
            beginning: Some(Box::new(beginning)),
            ..Batch::default()
        }
    }

    /// Without entries, for so many whose keys and values are in `texts`.
    pub(super) fn of(texts: Texts, entries: usize) -> Batch {
        Batch {
            texts,
            entries: Vec::with_capacity(entries),
            ..Batch::default()
        }
    }

    /// Appends an entry whose keys and values are these texts, in turns.
    pub(super) fn push_found(&mut self, receipt: Receipt, at_ms: u64, texts: Range<usize>) {
        self.entries.push(EntryAt {
            receipt: Some(receipt),
            at_ms,
            texts,
            unread: None,
        });
    }

    /// Appends an entry, whose fields follow through [`Batch::push_field`].
    pub fn push_entry(&mut self, receipt: Receipt, at_ms: u64) {
        let end = self.texts.places.len();
        self.push_found(receipt, at_ms, end..end);
    }

    /// Appends an entry that was not read, because it has more than so many bytes.
    pub fn push_unread(&mut self, receipt: Receipt, at_ms: u64, more_than_bytes: u64) {
        self.push_entry(receipt, at_ms);
        if let Some(entry) = self.entries.last_mut() {
            entry.unread = Some(more_than_bytes);
        }
    }

    /// Appends a field to the last entry.
    pub fn push_field(&mut self, key: &[u8], value: &[u8]) {
        self.texts.push(key);
        self.texts.push(value);
        if let Some(entry) = self.entries.last_mut() {
            entry.texts.end = self.texts.places.len();
        }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries: the batch only tells how far the log has been read.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries; each receipt is handed out once.
    pub fn drain(&mut self) -> impl Iterator<Item = Entry<'_>> {
        let Texts { bytes, places, .. } = &self.texts;
        self.entries.iter_mut().filter_map(move |entry| {
            Some(Entry {
                receipt: entry.receipt.take()?,
                at_ms: entry.at_ms,
                unread: entry.unread,
                bytes,
                texts: &places[entry.texts.clone()],
            })
        })
    }
}

impl<'a> Entry<'a> {
    /// Keys and values in the order they came.
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let bytes = self.bytes;
        self.texts.chunks_exact(2).map(move |pair| (pair[0].of(bytes), pair[1].of(bytes)))
    }

    /// As [`Entry::fields`], each value as text, too, where that is known: looking at all bytes of an entry once costs less than at each value by itself.
    /// A value that comes without may be text all the same.
    pub fn texts(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8], Option<&'a str>)> + use<'a> {
        let (first, last) = (self.texts.first(), self.texts.last());
        let (begin, end) = (first.map_or(0, |text| text.begin()), last.map_or(0, |text| text.begin() + text.length()));
        // What stands between the texts is ASCII.
        let all = self.bytes.get(begin..end).and_then(|all| std::str::from_utf8(all).ok()).unwrap_or_default();
        let bytes = self.bytes;
        self.texts.chunks_exact(2).map(move |pair| {
            let at = pair[1].begin() - begin;
            (pair[0].of(bytes), pair[1].of(bytes), all.get(at..at + pair[1].length()))
        })
    }

    /// Number of fields.
    pub fn count(&self) -> usize {
        self.texts.len() / 2
    }

    /// Bytes of all keys and values.
    pub fn size(&self) -> usize {
        self.texts.iter().map(|text| text.length()).sum()
    }
}

/// What it says, wherever that is.
impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = |entry: &EntryAt| {
            let texts = self.texts.places[entry.texts.clone()].iter().map(|text| text.of(&self.texts.bytes).escape_ascii().to_string());
            (entry.receipt.as_ref().map(Receipt::to_string), entry.at_ms, entry.unread, texts.collect::<Vec<_>>())
        };
        let entries: Vec<_> = self.entries.iter().map(told).collect();
        f.debug_struct("Batch")
            .field("watermark_ms", &self.watermark_ms)
            .field("beginning", &self.beginning)
            .field("entries", &entries)
            .finish()
    }
}
