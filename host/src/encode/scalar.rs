//! Times, durations and ids as JSON shows them.

use std::fmt;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::model::{Status, UnixNanos};

/// Anything that can be shown, as a JSON string, without a `String` in between.
pub(super) struct Shown<T>(pub T);

impl<T: fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A time as RFC 3339 in UTC, with 0, 3, 6 or 9 decimals: as few as it needs.
pub(super) struct Rfc3339(pub UnixNanos);

/// A time as RFC 3339 in UTC, always with nine decimals, so that the order of texts is the order of times.
pub(super) struct NineDecimals(pub UnixNanos);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.get();
        let decimals = [(1_000_000_000, 0), (1_000_000, 3), (1_000, 6)];
        let decimals = decimals.iter().find(|(unit, _)| nanos.is_multiple_of(*unit)).map_or(9, |(_, decimals)| *decimals);
        write!(f, "{:.*}", decimals, timestamp(self.0))
    }
}

impl fmt::Display for NineDecimals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.9}", timestamp(self.0))
    }
}

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for NineDecimals {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn timestamp(at: UnixNanos) -> Timestamp {
    // Our times end in 2262, jiff's in 9999.
    Timestamp::from_nanosecond(i128::from(at.get())).unwrap_or(Timestamp::MAX)
}

/// Nanoseconds as a JSON number of milliseconds: a whole number, or exactly as many decimals as it needs.
pub(super) struct Millis(pub u64);

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (whole, fraction) = (self.0 / 1_000_000, self.0 % 1_000_000);
        if fraction == 0 {
            return serializer.serialize_u64(whole);
        }
        // Not through a float, which rounds from 104 days on and writes 1 ns as 1e-6.
        let text = format!("{whole}.{fraction:06}");
        let text = text.trim_end_matches('0');
        match serde_json::from_str::<&RawValue>(text) {
            Ok(number) => number.serialize(serializer),
            Err(_) => serializer.serialize_u64(whole),
        }
    }
}

/// How a span ended, as the documents' `success`: `None` when the agent did not say.
pub(super) fn success(status: Status) -> Option<bool> {
    match status {
        Status::Unset => None,
        Status::Ok => Some(true),
        Status::Error => Some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_as_few_groups_of_decimals_as_they_need() {
        const TEN: i128 = 1_704_103_200_000_000_000;
        for (nanos, short, long) in [
            (TEN, "2024-01-01T10:00:00Z", "2024-01-01T10:00:00.000000000Z"),
            (TEN + 150_000_000, "2024-01-01T10:00:00.150Z", "2024-01-01T10:00:00.150000000Z"),
            (TEN + 150_001_000, "2024-01-01T10:00:00.150001Z", "2024-01-01T10:00:00.150001000Z"),
            (TEN + 1, "2024-01-01T10:00:00.000000001Z", "2024-01-01T10:00:00.000000001Z"),
            (1, "1970-01-01T00:00:00.000000001Z", "1970-01-01T00:00:00.000000001Z"),
            (i128::from(i64::MAX), "2262-04-11T23:47:16.854775807Z", "2262-04-11T23:47:16.854775807Z"),
        ] {
            let at = UnixNanos::new(nanos).unwrap();
            assert_eq!(Rfc3339(at).to_string(), short);
            assert_eq!(NineDecimals(at).to_string(), long);
        }
    }

    #[test]
    fn milliseconds_are_exact() {
        for (nanos, text) in [
            (0, "0"),
            (150_000_000, "150"),
            (12_270_000, "12.27"),
            (1, "0.000001"),
            (500_000, "0.5"),
            (i64::MAX as u64, "9223372036854.775807"),
        ] {
            assert_eq!(serde_json::to_string(&Millis(nanos)).unwrap(), text);
        }
    }
}
