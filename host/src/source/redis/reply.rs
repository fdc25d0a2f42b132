//! What Redis answers, taken apart. Anything unexpected is skipped, never a panic.

use redis::Value;

use crate::model::Receipt;
use crate::source::Batch;

/// The id of a stream entry, `<ms>-<seq>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub(super) struct EntryId {
    pub ms: u64,
    pub seq: u64,
}

impl std::fmt::Display for EntryId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

impl EntryId {
    pub fn parse(text: &[u8]) -> Option<EntryId> {
        let (ms, seq) = std::str::from_utf8(text).ok()?.split_once('-')?;
        Some(EntryId {
            ms: ms.parse().ok()?,
            seq: seq.parse().ok()?,
        })
    }

    pub fn of(value: &Value) -> Option<EntryId> {
        EntryId::parse(bytes(value)?)
    }

    /// The greatest id that is less.
    pub fn before(self) -> EntryId {
        match self {
            EntryId { ms: 0, seq: 0 } => self,
            EntryId { ms, seq: 0 } => EntryId { ms: ms - 1, seq: u64::MAX },
            EntryId { ms, seq } => EntryId { ms, seq: seq - 1 },
        }
    }

    /// The other way round from [`EntryId::receipt`].
    pub fn of_receipt(receipt: &Receipt) -> EntryId {
        EntryId { ms: receipt.ms, seq: receipt.seq }
    }

    pub fn receipt(self) -> Receipt {
        Receipt { stream: 0, ms: self.ms, seq: self.seq }
    }
}

/// A string's bytes.
pub(super) fn bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.as_bytes()),
        Value::VerbatimString { text, .. } => Some(text.as_bytes()),
        _ => None,
    }
}

/// An array's items; empty for anything else.
pub(super) fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        _ => &[],
    }
}

/// A whole number that is not negative.
pub(super) fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        other => std::str::from_utf8(bytes(other)?).ok()?.parse().ok(),
    }
}

/// The value of `key` in a flat list of keys and values (or a RESP3 map).
pub(super) fn field<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    if let Value::Map(pairs) = value {
        return pairs.iter().find(|(own, _)| bytes(own) == Some(key.as_bytes())).map(|(_, value)| value);
    }
    items(value).chunks_exact(2).find(|pair| bytes(&pair[0]) == Some(key.as_bytes())).map(|pair| &pair[1])
}

/// The server's time of a `TIME` reply, in Unix milliseconds.
pub(super) fn time_ms(value: &Value) -> Option<u64> {
    let parts = items(value);
    let (seconds, micros) = (number(parts.first()?)?, number(parts.get(1)?)?);
    Some(seconds.checked_mul(1_000)? + micros / 1_000)
}

/// The entries of the one stream in an `XREADGROUP` reply.
#[cfg(any(test, feature = "fuzz"))]
pub(super) fn stream_entries(value: &Value) -> &[Value] {
    match value {
        Value::Map(pairs) => pairs.first().map_or(&[], |(_, entries)| items(entries)),
        other => items(other).first().map_or(&[], |stream| items(stream).get(1).map_or(&[], items)),
    }
}

/// The id and the fields of an entry; no fields when Redis no longer has the entry.
pub(super) fn entry(value: &Value) -> Option<(EntryId, Option<&[Value]>)> {
    let parts = items(value);
    let id = EntryId::of(parts.first()?)?;
    match parts.get(1) {
        Some(fields @ Value::Array(_)) => Some((id, Some(items(fields)))),
        _ => Some((id, None)),
    }
}

/// Appends an entry to a batch.
pub(super) fn push(batch: &mut Batch, id: EntryId, at_ms: u64, fields: &[Value]) {
    batch.push_entry(id.receipt(), at_ms);
    for pair in fields.chunks_exact(2) {
        if let (Some(key), Some(value)) = (bytes(&pair[0]), bytes(&pair[1])) {
            batch.push_field(key, value);
        }
    }
}
