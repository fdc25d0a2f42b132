//! Bytes of requests that have come.

use std::sync::Arc;

use super::bounds;
use super::shared::Allowance;

/// A connection's input: [`bounds::INPUT_BYTES`] of its own, more out of the common allowance while a long request comes.
#[derive(Debug)]
pub struct Input {
    bytes: Vec<u8>,
    start: usize,
    /// Taken out of the allowance.
    extra: usize,
    allowance: Arc<Allowance>,
}

/// The allowance is used up, or the request is longer than any may be.
#[derive(Debug, PartialEq, Eq)]
pub struct NoRoom;

impl Input {
    /// Empty.
    pub fn new(allowance: Arc<Allowance>) -> Input {
        Input {
            bytes: Vec::with_capacity(bounds::INPUT_BYTES),
            start: 0,
            extra: 0,
            allowance,
        }
    }

    /// What has come and was not used.
    pub fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// Passes over the first `count` bytes.
    pub fn used(&mut self, count: usize) {
        self.start = (self.start + count).min(self.bytes.len());
    }

    /// Where to read into: there is room for a byte at least, and reading stops before memory would have to grow.
    pub fn room(&mut self) -> Result<(&mut Vec<u8>, usize), NoRoom> {
        self.bytes.drain(..self.start);
        self.start = 0;
        if self.bytes.len() < bounds::INPUT_BYTES && self.extra > 0 {
            self.shrink();
        }
        if self.bytes.len() >= bounds::INPUT_BYTES + self.extra {
            self.grow()?;
        }
        let left = bounds::INPUT_BYTES + self.extra - self.bytes.len();
        Ok((&mut self.bytes, left))
    }

    fn grow(&mut self) -> Result<(), NoRoom> {
        let more = bounds::INPUT_BYTES + self.extra;
        // The last doubling passes the longest request; nothing grows after it.
        if more > bounds::REQUEST_BYTES || !self.allowance.take(more) {
            return Err(NoRoom);
        }
        self.extra += more;
        self.bytes.reserve_exact(more);
        Ok(())
    }

    fn shrink(&mut self) {
        self.bytes.shrink_to(bounds::INPUT_BYTES);
        self.allowance.give_back(std::mem::take(&mut self.extra));
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        self.allowance.give_back(self.extra);
    }
}
