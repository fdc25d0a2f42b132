//! Times and durations, eight bytes each, absence included.

use std::num::NonZeroU64;

/// Nanoseconds since 1970, within 1970–2262. Outside of that a time counts as unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixNanos(NonZeroU64);

impl UnixNanos {
    /// `None` for 0 (nobody's span began with the epoch: it is how an unset time looks) and for what an `i64` cannot hold.
    pub fn new(nanos: i128) -> Option<UnixNanos> {
        let nanos = i64::try_from(nanos).ok()?;
        NonZeroU64::new(u64::try_from(nanos).ok()?).map(UnixNanos)
    }

    /// Nanoseconds since 1970.
    pub fn get(self) -> u64 {
        self.0.get()
    }

    /// Later by `duration`; stays within range.
    pub fn plus(self, duration: SpanDuration) -> UnixNanos {
        UnixNanos::new(i128::from(self.get()) + i128::from(duration.nanos())).unwrap_or(self)
    }

    /// Nanoseconds from `earlier` to `self`, 0 if it is not earlier.
    pub fn since(self, earlier: UnixNanos) -> u64 {
        self.get().saturating_sub(earlier.get())
    }
}

/// A span's duration in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanDuration(NonZeroU64);

impl SpanDuration {
    /// The longest duration: as long as the range of times.
    pub const MAX_NANOS: u64 = i64::MAX as u64;

    /// Capped at [`Self::MAX_NANOS`].
    pub fn from_nanos(nanos: u64) -> SpanDuration {
        SpanDuration(NonZeroU64::MIN.saturating_add(nanos.min(Self::MAX_NANOS)))
    }

    /// Nanoseconds.
    pub fn nanos(self) -> u64 {
        self.0.get() - 1
    }
}
