//! Dead letters as text. What comes from agents may be any bytes: nothing of it reaches a terminal unescaped.

use std::fmt::Write;

use crate::source::redis::dead::Letter;

/// `bytes` on one line: control characters, what a terminal may act on and what is no UTF-8 are escaped, and backslashes doubled, so that
/// different bytes stay different texts.
pub(super) fn readable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\'' => text.push(c),
                c => text.extend(c.escape_debug()),
            }
        }
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// `1 entry`, `2 entries`.
pub(super) fn count(number: usize, one: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}

/// RFC 3339, UTC.
pub(super) fn time(unix_ms: u64) -> String {
    let time = i64::try_from(unix_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.map_or_else(|| format!("{unix_ms} ms"), |time| format!("{time:.3}"))
}

/// All that is known of a dead letter.
pub(super) fn letter(letter: &Letter) -> String {
    let mut text = format!("dead letter {}, buried {}\n", letter.id(), time(letter.buried_ms()));
    let mut line = |key: &str, value: &str| {
        text.push_str(format!("  {key:<7} {value}").trim_end());
        text.push('\n');
    };
    for (key, value) in letter.about() {
        line(&readable(key.as_bytes()), &readable(value.as_bytes()));
    }
    if letter.fields().next().is_none() {
        line(
            "fields",
            "none: the entry had left the log before it was buried, or was too large to be read; it cannot be retried, only dropped",
        );
        return text;
    }
    line("fields", "");
    for (key, value) in letter.fields() {
        line("", &format!("  {} = {}", readable(key), readable(value)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_acts_on_is_printed() {
        for (bytes, text) in [
            (&b"plain text, \"quoted\" 'so'"[..], "plain text, \"quoted\" 'so'"),
            (b"line1\nline2\r\t\0", r"line1\nline2\r\t\0"),
            (b"\x1b[31mred\x07", r"\u{1b}[31mred\u{7}"),
            ("caf\u{e9} \u{202e}\u{2028}\u{9b}".as_bytes(), "caf\u{e9} \\u{202e}\\u{2028}\\u{9b}"),
            (b"a\xff\\xff", r"a\xff\\xff"),
        ] {
            assert_eq!(readable(bytes), text);
        }
    }
}
