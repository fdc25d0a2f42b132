//! Trace and span ids: opaque text, packed when they look as agents make them.

use std::fmt;
use std::hash::{Hash, Hasher};

use sha2::{Digest, Sha256};

/// The longest id that is kept as it came, in bytes. A longer one becomes `sha256:<64 hex digits>`.
pub const MAX_ID_BYTES: usize = 256;

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            /// Came as lower-case hex digits of just this many bytes.
            Packed([u8; $bytes]),
            /// Came as any other text.
            Text(Box<str>),
        }

        impl $name {
            /// The id for `text`, which may be anything but empty.
            pub fn parse(text: &str) -> $name {
                if let Some(bytes) = packed::<$bytes>(text.as_bytes()) {
                    $name::Packed(bytes)
                } else if text.len() > MAX_ID_BYTES {
                    $name::Text(format!("sha256:{}", hex(&Sha256::digest(text), &mut [0; 64])).into())
                } else {
                    $name::Text(text.into())
                }
            }

            /// The bytes that OpenTelemetry wants: the digits' own when there are just enough of them (dashes and case aside), else the
            /// beginning of the text's SHA-256. Never all zero.
            pub fn to_bytes(&self) -> [u8; $bytes] {
                let bytes = match self {
                    $name::Packed(bytes) => *bytes,
                    $name::Text(text) => {
                        let plain = text.replace('-', "").to_ascii_lowercase();
                        packed(plain.as_bytes()).unwrap_or_else(|| digest(text))
                    }
                };
                if bytes == [0; $bytes] { digest(&self.to_string()) } else { bytes }
            }

            /// The text as it came, written into `room` if it is not held.
            pub fn text<'a>(&'a self, room: &'a mut [u8; 2 * $bytes]) -> &'a str {
                match self {
                    $name::Packed(bytes) => hex(bytes, room),
                    $name::Text(text) => text,
                }
            }

            /// Heap bytes that this id holds.
            pub fn heap_bytes(&self) -> usize {
                match self {
                    $name::Packed(_) => 0,
                    $name::Text(text) => text.len(),
                }
            }
        }

        impl Hash for $name {
            /// Of most ids, nothing but their bytes: tables are asked for every span, and Eq tells what hashes alike.
            fn hash<H: Hasher>(&self, state: &mut H) {
                match self {
                    $name::Packed(bytes) => state.write(bytes),
                    $name::Text(text) => text.hash(state),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.text(&mut [0; 2 * $bytes]))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.to_string(), f)
            }
        }
    };
}

id_type!(
    /// The id that all spans of a trace share.
    TraceId, 16
);
id_type!(
    /// The id of a span within its trace.
    SpanId, 8
);

/// The bytes of `text` when it is exactly their lower-case hex form.
fn packed<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    // What is no digit shows in the end: most ids are well-formed, and looking at each digit's fate costs more than reading it.
    let (mut bytes, mut wrong) = ([0; N], 0);
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let (high, low) = (DIGIT_OF[usize::from(pair[0])], DIGIT_OF[usize::from(pair[1])]);
        wrong |= high | low;
        *byte = high << 4 | low & 15;
    }
    (wrong & NO_DIGIT == 0).then_some(bytes)
}

/// Marks in [`DIGIT_OF`] what is no lower-case hex digit.
const NO_DIGIT: u8 = 1 << 7;

/// The value of each lower-case hex digit.
const DIGIT_OF: [u8; 256] = {
    let (mut values, mut value) = ([NO_DIGIT; 256], 0);
    while value < 16 {
        values[DIGITS[value as usize] as usize] = value;
        value += 1;
    }
    values
};

const DIGITS: &[u8; 16] = b"0123456789abcdef";

fn digest<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&Sha256::digest(text)[..N]);
    bytes
}

/// `bytes` as lower-case hex digits, written into `room`, which is twice as long.
fn hex<'a>(bytes: &[u8], room: &'a mut [u8]) -> &'a str {
    for (byte, pair) in bytes.iter().zip(room.chunks_exact_mut(2)) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    std::str::from_utf8(room).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_as_they_came() {
        for text in ["0af7651916cd43dd8448eb211c80319c", "0AF7651916CD43DD8448EB211C80319C", "abc123", "line1\nline2", "\0", "é"] {
            assert_eq!(TraceId::parse(text).to_string(), text);
        }
        assert!(matches!(TraceId::parse("0af7651916cd43dd8448eb211c80319c"), TraceId::Packed(_)));
        assert!(matches!(SpanId::parse("00f067aa0ba902b7"), SpanId::Packed(_)));
    }

    #[test]
    fn dashes_and_case_do_not_change_the_bytes() {
        let packed = TraceId::parse("a1b2c3d4e5f67890abcdef1234567890").to_bytes();
        assert_eq!(TraceId::parse("a1b2c3d4-e5f6-7890-abcd-ef1234567890").to_bytes(), packed);
        assert_eq!(TraceId::parse("A1B2C3D4E5F67890ABCDEF1234567890").to_bytes(), packed);
    }

    #[test]
    fn no_id_has_zero_bytes_and_long_ids_are_hashed() {
        assert_ne!(SpanId::parse("0000000000000000").to_bytes(), [0; 8]);
        let long = TraceId::parse(&"x".repeat(1_000_000));
        assert_eq!(long.to_string().len(), "sha256:".len() + 64);
    }
}
