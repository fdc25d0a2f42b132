//! A password or token that others have to know.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// A secret of ours, kept as its digest: whatever prints, logs or dumps one shows nothing that would open anything.
#[derive(Clone)]
pub struct Secret([u8; 32]);

impl Secret {
    /// Whether `given` is the secret, in a time that tells neither where they differ nor how long ours is.
    pub fn is(&self, given: &[u8]) -> bool {
        Sha256::digest(given).as_slice().ct_eq(&self.0).into()
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Secret(Sha256::digest(text.as_bytes()).into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_text_is_the_secret_and_nothing_shows_it() {
        let secret = Secret::from("open sesame");
        assert!(secret.is(b"open sesame"));
        for other in ["", "open", "open sesam", "open sesame ", "Open sesame", "open sesamf"] {
            assert!(!secret.is(other.as_bytes()), "{other:?}");
        }
        assert_eq!(format!("{secret:?}"), "***");
    }
}
