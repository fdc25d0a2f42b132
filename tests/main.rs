//! Whole-host tests: the real binary, a real redis-server, real files. Each test starts its own servers on free ports and leaves nothing behind.
//!
//! Test names are claims. Nothing sleeps where a condition can be waited for.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

/// The captured events, from XADD to files and answers.
mod captured;
/// Kills, and what is found after them.
mod kills;
