//! How much of everything an instance may use.

use std::time::Duration;

/// Limits of one instance.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Wall time of one call into the guest.
    pub call_time: Duration,
    /// Bytes of linear memory, all of the instance's memories together.
    pub memory_bytes: usize,
    /// Elements of tables, all of the instance's tables together.
    pub table_elements: usize,
    /// Bytes of one log message; the rest of it is cut off.
    pub log_message_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            call_time: Duration::from_secs(5),
            memory_bytes: 256 * 1024 * 1024,
            table_elements: 100_000,
            log_message_bytes: 16 * 1024,
        }
    }
}
