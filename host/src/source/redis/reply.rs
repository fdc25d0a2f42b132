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
        let dash = text.iter().rposition(|byte| *byte == b'-')?;
        Some(EntryId {
            ms: decimal(&text[..dash])?,
            seq: decimal(&text[dash + 1..])?,
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

fn decimal(digits: &[u8]) -> Option<u64> {
    let more = |number: u64, byte: &u8| match byte.wrapping_sub(b'0') {
        digit @ 0..=9 => number.checked_mul(10)?.checked_add(u64::from(digit)),
        _ => None,
    };
    digits.iter().try_fold(0, more).filter(|_| !digits.is_empty())
}

/// Room for the text of an id: of thousands of ids that are sent, none asks for memory.
#[derive(Default)]
pub(super) struct IdText {
    text: String,
    digits: itoa::Buffer,
}

impl IdText {
    /// The text of the id of these two parts, until the next one is asked for.
    pub fn of(&mut self, ms: u64, seq: u64) -> &str {
        self.text.clear();
        self.text.push_str(self.digits.format(ms));
        self.text.push('-');
        self.text.push_str(self.digits.format(seq));
        &self.text
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written_and_nothing_else_is_an_id() {
        let mut text = IdText::default();
        for (ms, seq) in [(0, 0), (1_795_221_703_000, 17), (u64::MAX, u64::MAX)] {
            let id = EntryId { ms, seq };
            assert_eq!(text.of(ms, seq), id.to_string());
            assert_eq!(EntryId::parse(id.to_string().as_bytes()), Some(id));
        }
        for other in ["", "-", "1", "1-", "-1", "1-1-1", "1--1", "+1-1", "1-1 ", "18446744073709551616-0", "1-x", "\u{e9}-1"] {
            assert_eq!(EntryId::parse(other.as_bytes()), None, "{other:?}");
        }
    }
}
