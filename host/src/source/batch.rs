//! Entries as they were read: one buffer per batch, no string of their own for each field.

use std::ops::Range;

use super::Recalled;
use crate::model::Receipt;

/// Entries in the order of the log, and how far the log has been read.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    fields: Vec<FieldAt>,
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
struct FieldAt {
    key: usize,
    value: usize,
    end: usize,
}

#[derive(Debug)]
struct EntryAt {
    receipt: Option<Receipt>,
    at_ms: u64,
    fields: Range<usize>,
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
    fields: &'a [FieldAt],
}

impl Batch {
    /// Without entries.
    pub fn beginning(beginning: Beginning) -> Batch {
        Batch {
            beginning: Some(Box::new(beginning)),
            ..Batch::default()
        }
    }

    /// Appends an entry, whose fields follow through [`Batch::push_field`].
    pub fn push_entry(&mut self, receipt: Receipt, at_ms: u64) {
        let end = self.fields.len();
        self.entries.push(EntryAt {
            receipt: Some(receipt),
            at_ms,
            fields: end..end,
            unread: None,
        });
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
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        self.fields.push(FieldAt {
            key: start,
            value: start + key.len(),
            end: self.bytes.len(),
        });
        if let Some(entry) = self.entries.last_mut() {
            entry.fields.end = self.fields.len();
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
        let (bytes, fields) = (&self.bytes, &self.fields);
        self.entries.iter_mut().filter_map(move |entry| {
            Some(Entry {
                receipt: entry.receipt.take()?,
                at_ms: entry.at_ms,
                unread: entry.unread,
                bytes,
                fields: &fields[entry.fields.clone()],
            })
        })
    }
}

impl<'a> Entry<'a> {
    /// Keys and values in the order they came.
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let bytes = self.bytes;
        self.fields.iter().map(move |at| (&bytes[at.key..at.value], &bytes[at.value..at.end]))
    }

    /// As [`Entry::fields`], each value as text, too, where that is known: looking at all bytes of an entry once costs less than at each value by itself.
    /// A value that comes without may be text all the same.
    pub fn texts(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8], Option<&'a str>)> + use<'a> {
        let first = self.fields.first().map_or(0, |at| at.key);
        let all = self.bytes.get(first..first + self.size()).and_then(|all| std::str::from_utf8(all).ok()).unwrap_or_default();
        let texts = self.fields.iter().map(move |at| all.get(at.value - first..at.end - first));
        self.fields().zip(texts).map(|((key, value), text)| (key, value, text))
    }

    /// Bytes of all keys and values.
    pub fn size(&self) -> usize {
        match (self.fields.first(), self.fields.last()) {
            (Some(first), Some(last)) => last.end - first.key,
            _ => 0,
        }
    }
}
