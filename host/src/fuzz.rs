//! What is fuzzed: every decoder of what strangers send.
//!
//! A target takes any bytes, and panics when a promise is broken. `tests/fuzz` hands them what libFuzzer makes up; the tests here hand them what is
//! kept in `tests/fuzz/corpus`, and some thousand mutations of it, on every run. Each target is in the room of what it tests.

#[cfg(test)]
mod tests;

pub use crate::api::fuzz_query as query;
pub use crate::decode::fuzz_entry as entry;
pub use crate::plugin::fuzz_plugin_toml as plugin_toml;
pub use crate::source::embedded::{fuzz_conversation as embedded, fuzz_requests as requests};
pub use crate::source::redis::fuzz_replies as replies;

/// A target.
pub type Target = fn(&[u8]);

/// All targets, by the names that their corpora have.
pub const TARGETS: [(&str, Target); 6] = [
    ("embedded", embedded),
    ("entry", entry),
    ("plugin_toml", plugin_toml),
    ("query", query),
    ("replies", replies),
    ("requests", requests),
];
