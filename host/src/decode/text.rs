//! Bytes as text, and texts that mean "nothing".

use std::borrow::Cow;
use std::fmt::Write;

/// `bytes` as text. What is not UTF-8 is escaped as `\xNN`, so that different bytes stay different texts.
pub(super) fn readable(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    Cow::Owned(text)
}

/// Whether a runtime wrote "nothing": `null`, Python's `None` (in any case), empty or blank.
pub(super) fn is_none(text: &str) -> bool {
    // Most texts say something, and their first letter shows it.
    if text.as_bytes().first().is_some_and(|byte| byte.is_ascii_graphic() && !matches!(byte, b'n' | b'N')) {
        return false;
    }
    text.eq_ignore_ascii_case("null") || text.eq_ignore_ascii_case("none") || text.trim().is_empty()
}
