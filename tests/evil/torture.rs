//! Numbered traces, as the fault harness publishes them: what is to become of one stands in its id. The harness reads this file too.

/// How their ids begin. Two digits for the kind follow, and a number.
pub const PREFIX: &str = "70a70a";
/// Exported by everybody.
pub const PLAIN: &str = "00";
/// Dropped by the filter, whenever it is asked.
pub const DROPPED: &str = "d0";
/// Dropped by the filter or not, another time perhaps otherwise.
pub const WAVERS: &str = "d1";
/// Refused for good by an exporter.
pub const REJECTED: &str = "ee";
/// Nothing that an exporter survives.
pub const BREAKS: &str = "bb";

/// Whether a trace with this id is a numbered one.
#[must_use]
pub fn is_numbered(id: &str) -> bool {
    id.len() == 32 && id.starts_with(PREFIX)
}

/// Whether a trace with this id is a numbered one of that kind.
#[must_use]
pub fn is_of_kind(id: &str, kind: &str) -> bool {
    is_numbered(id) && id[PREFIX.len()..].starts_with(kind)
}
