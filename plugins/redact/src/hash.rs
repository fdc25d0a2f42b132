//! Hashes that stand for what was there: equal texts have equal hashes, so that what belongs together can still be found.

use std::fmt::Write as _;

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

/// Bytes of the hash that are shown: enough that no two texts share one, short enough to read.
const SHOWN_BYTES: usize = 16;

/// Makes hashes, keyed or not.
///
/// Without a key, whoever has the hash can try e-mail addresses or card numbers until one fits. With one, they need the key.
pub struct Hasher(Option<Hmac<Sha256>>);

impl Hasher {
    /// With this key; `None`: without one.
    ///
    /// # Errors
    /// When the key cannot be used.
    pub fn new(key: Option<&[u8]>) -> Result<Self, String> {
        let keyed = key.map(Hmac::new_from_slice).transpose();
        Ok(Hasher(keyed.map_err(|error| format!("redact: the hash key cannot be used: {error}"))?))
    }

    /// `hmac:` or `sha256:`, and the first 16 bytes of HMAC-SHA-256 or SHA-256 in hex.
    #[must_use]
    pub fn hash(&self, text: &str) -> String {
        let (mut shown, digest) = match &self.0 {
            Some(keyed) => ("hmac:".to_owned(), keyed.clone().chain_update(text).finalize().into_bytes()),
            None => ("sha256:".to_owned(), Sha256::digest(text)),
        };
        for byte in &digest[..SHOWN_BYTES] {
            let _ = write!(shown, "{byte:02x}");
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_standards() {
        // FIPS 180-2, "abc"; RFC 4231, test case 2.
        assert_eq!(Hasher::new(None).unwrap().hash("abc"), "sha256:ba7816bf8f01cfea414140de5dae2223");
        let keyed = Hasher::new(Some(b"Jefe")).unwrap();
        assert_eq!(keyed.hash("what do ya want for nothing?"), "hmac:5bdcc146bf60754e6a042426089575c7");
        assert_eq!(keyed.hash("x"), keyed.hash("x"));
        assert_ne!(keyed.hash("x"), Hasher::new(Some(b"Jeff")).unwrap().hash("x"));
    }
}
