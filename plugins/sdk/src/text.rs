//! Text for people: durations as Go writes them, and foreign text made safe for a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

/// A duration as Go's `Duration.String` writes it: `285ms`, `1.5s`, `1m2s`, `0s`.
#[must_use]
pub fn go_duration(ns: u64) -> String {
    if ns == 0 {
        return "0s".to_owned();
    }
    if ns < 1_000_000_000 {
        let (unit, digits) = match ns {
            ..1_000 => ("ns", 0),
            1_000..1_000_000 => ("µs", 3),
            _ => ("ms", 6),
        };
        return decimal(ns, digits) + unit;
    }
    let (minutes, rest) = (ns / 60_000_000_000, ns % 60_000_000_000);
    let seconds = decimal(rest, 9);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// `n / 10^digits` without trailing zeros.
fn decimal(n: u64, digits: usize) -> String {
    let unit = 10_u64.pow(digits as u32);
    let mut text = (n / unit).to_string();
    if !n.is_multiple_of(unit) {
        let _ = write!(text, ".{:0digits$}", n % unit);
        text.truncate(text.trim_end_matches('0').len());
    }
    text
}

/// Whether a character could move the cursor, reorder or hide text on a terminal, or break a line.
#[must_use]
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// Foreign text for a terminal or a log line: control characters, line separators and bidirectional overrides are shown as
/// escapes (`\n`, `\x1b`, `\u{202e}`), and text of more than `max_bytes` is cut, saying how much is missing.
#[must_use]
pub fn sanitize(text: &str, max_bytes: usize) -> Cow<'_, str> {
    let kept = &text[..text.floor_char_boundary(max_bytes)];
    let missing = text.len() - kept.len();
    if missing == 0 && !kept.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(kept.len() + 32);
    for c in kept.chars() {
        match c {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            c if !is_unsafe(c) => safe.push(c),
            c if (c as u32) < 0x100 => {
                let _ = write!(safe, "\\x{:02x}", c as u32);
            }
            c => {
                let _ = write!(safe, "\\u{{{:x}}}", c as u32);
            }
        }
    }
    if missing > 0 {
        let _ = write!(safe, "…(+{missing} bytes)");
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_in_go() {
        let ms = 1_000_000;
        let cases = [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1µs"),
            (2_500_000, "2.5ms"),
            (285 * ms, "285ms"),
            (999_999_999, "999.999999ms"),
            (1_500 * ms, "1.5s"),
            (60_000 * ms, "1m0s"),
            (62_000 * ms, "1m2s"),
            (3_600_000 * ms + 1, "1h0m0.000000001s"),
            (u64::MAX, "5124095h34m33.709551615s"),
        ];
        for (ns, text) in cases {
            assert_eq!(go_duration(ns), text);
        }
    }

    #[test]
    fn nothing_unsafe_survives() {
        let hostile: String = (0..0x3000).filter_map(char::from_u32).collect();
        let safe = sanitize(&hostile, usize::MAX);
        assert!(!safe.contains(is_unsafe));
        assert_eq!(sanitize("a\nb\x1b[31m\u{9b}\u{202e}\x7f\0", 99), "a\\nb\\x1b[31m\\x9b\\u{202e}\\x7f\\x00");
        assert!(matches!(sanitize("日本 🔗 ok", 99), Cow::Borrowed(_)));
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(sanitize("ééé", 3), "é…(+4 bytes)");
        assert_eq!(sanitize("abc", 3), "abc");
        assert_eq!(sanitize("", 0), "");
    }
}
