//! File names from trace ids, which hold whatever a caller sent.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// Longest encoded id in a file name; 255 is what file systems allow, and suffixes come on top.
const MAX_BYTES: usize = 200;
/// How much of a longer one is kept for people to recognise.
const HEAD_BYTES: usize = 100;

/// `trace-{id}.json`, for any id at all, and never the same for two ids.
///
/// Everything but letters, digits, `_` and `-` is percent-encoded. A longer name is its first 100 bytes, `~` (which no short
/// name has) and the SHA-256 of the id.
#[must_use]
pub fn file_name(id: &str) -> String {
    let mut name = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' {
            name.push(char::from(byte));
        } else {
            let _ = write!(name, "%{byte:02X}");
        }
    }
    if name.len() > MAX_BYTES {
        name.truncate(HEAD_BYTES);
        let _ = write!(name, "~{:x}", Sha256::digest(id));
    }
    format!("trace-{name}.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_ids_stay_as_they_are() {
        assert_eq!(file_name("a1B2_c3-d4"), "trace-a1B2_c3-d4.json");
        assert_eq!(file_name(""), "trace-.json");
    }

    #[test]
    fn hostile_ids_stay_inside_the_directory() {
        assert_eq!(file_name("../../etc/passwd"), "trace-%2E%2E%2F%2E%2E%2Fetc%2Fpasswd.json");
        assert_eq!(file_name("a\0b\nc%~ü"), "trace-a%00b%0Ac%25%7E%C3%BC.json");
    }

    #[test]
    fn long_ids_stay_short_and_apart() {
        let (one, two) = (file_name(&"ü".repeat(5000)), file_name(&("ü".repeat(5000) + "x")));
        assert_ne!(one, two);
        assert_eq!(one.len(), "trace-".len() + 100 + 1 + 64 + ".json".len());
        assert_eq!(file_name(&"x".repeat(200)).len(), 200 + "trace-.json".len());
        assert!(file_name(&"x".repeat(201)).contains('~'));
    }
}
