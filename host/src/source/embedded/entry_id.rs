//! Entry ids, `<ms>-<seq>`, and the numbers in commands.

use std::fmt;

/// Where an entry stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct EntryId {
    /// Milliseconds since 1970.
    pub ms: u64,
    /// Tells entries of one millisecond apart.
    pub seq: u64,
}

/// The id that an `XADD` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskedId {
    /// `*`: the clock's.
    Next,
    /// `<ms>-*`: the next one within that millisecond.
    NextIn(u64),
    /// `<ms>-<seq>`, or `<ms>` alone for `<ms>-0`.
    Exactly(EntryId),
}

impl EntryId {
    /// The last id there is.
    pub const MAX: EntryId = EntryId { ms: u64::MAX, seq: u64::MAX };

    /// The id after this one; `None` after the last.
    pub fn next(self) -> Option<EntryId> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(EntryId { ms: self.ms, seq }),
            None => Some(EntryId { ms: self.ms.checked_add(1)?, seq: 0 }),
        }
    }
}

impl AskedId {
    /// `None` for anything that is no id.
    pub fn parse(text: &[u8]) -> Option<AskedId> {
        if text == b"*" {
            return Some(AskedId::Next);
        }
        let Some(dash) = text.iter().position(|byte| *byte == b'-') else {
            return Some(AskedId::Exactly(EntryId { ms: unsigned(text)?, seq: 0 }));
        };
        let (ms, seq) = (unsigned(&text[..dash])?, &text[dash + 1..]);
        match seq {
            b"*" => Some(AskedId::NextIn(ms)),
            seq => Some(AskedId::Exactly(EntryId { ms, seq: unsigned(seq)? })),
        }
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// A whole number as Redis reads it: no sign but a minus, no leading zero, nothing around it.
pub fn integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if !digits.first()?.is_ascii_digit() || (digits[0] == b'0' && text.len() > 1) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn unsigned(text: &[u8]) -> Option<u64> {
    if !text.first()?.is_ascii_digit() {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_in_all_their_forms() {
        assert_eq!(AskedId::parse(b"*"), Some(AskedId::Next));
        assert_eq!(AskedId::parse(b"7-*"), Some(AskedId::NextIn(7)));
        assert_eq!(AskedId::parse(b"7"), Some(AskedId::Exactly(EntryId { ms: 7, seq: 0 })));
        assert_eq!(AskedId::parse(b"7-12"), Some(AskedId::Exactly(EntryId { ms: 7, seq: 12 })));
        assert_eq!(AskedId::parse(b"18446744073709551615-18446744073709551615"), Some(AskedId::Exactly(EntryId::MAX)));
        for wrong in [&b""[..], b"-", b"+", b"-1", b"1-", b"1-+2", b"*-1", b"1-1-1", b"x", b" 1", b"18446744073709551616", b"\xff"] {
            assert_eq!(AskedId::parse(wrong), None, "{}", wrong.escape_ascii());
        }
    }

    #[test]
    fn numbers_are_read_as_strictly_as_redis_does() {
        assert_eq!(integer(b"0"), Some(0));
        assert_eq!(integer(b"-1"), Some(-1));
        assert_eq!(integer(b"9223372036854775807"), Some(i64::MAX));
        for wrong in [&b""[..], b"-", b"+1", b"007", b"-0", b"1 ", b"1.0", b"9223372036854775808", b"\xff"] {
            assert_eq!(integer(wrong), None, "{}", wrong.escape_ascii());
        }
    }

    #[test]
    fn ids_run_over_into_the_next_millisecond_and_end() {
        let last = EntryId { ms: 1, seq: u64::MAX };
        assert_eq!(last.next(), Some(EntryId { ms: 2, seq: 0 }));
        assert_eq!(EntryId::MAX.next(), None);
    }
}
