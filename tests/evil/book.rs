//! What a guest of the fault harness writes down, in the directory that it sees as `/out`.

use std::fs::OpenOptions;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};

/// A file of this instance's own, there from its first line on.
pub struct Book {
    path: String,
}

impl Book {
    /// One whose name begins like this.
    #[must_use]
    pub fn new(name: &str) -> Book {
        let random = RandomState::new().build_hasher().finish();
        Book {
            path: format!("/out/{name}-{random:016x}"),
        }
    }

    /// Adds lines.
    ///
    /// # Errors
    /// What the file says; a part of the lines may be there.
    pub fn append(&self, lines: &[u8]) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        OpenOptions::new().create(true).append(true).open(&self.path)?.write_all(lines)
    }
}
