//! Durations as Go writes and reads them: `300ms`, `1m0.5s`, `1h30m`.
//!
//! MCP Mesh's documents promise this text for a trace's `duration`, and take it in `TRACE_TIMEOUT` and
//! `MCP_MESH_TRACE_RETENTION`. The rules are those of Go's `time.Duration.String` and `time.ParseDuration`.

use std::fmt;
use std::time::Duration;

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// What [`parse`] takes, for people.
pub const EXPECTED: &str = "a duration such as \"5m\", \"1h30m\", \"300ms\" or \"0\" (units: ns, us, ms, s, m, h; not negative)";

/// Nanoseconds that are shown as Go shows a `time.Duration`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoDuration(pub u64);

impl From<Duration> for GoDuration {
    fn from(duration: Duration) -> Self {
        GoDuration(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0;
        match nanos {
            0 => return f.write_str("0s"),
            1..MICROSECOND => return write!(f, "{nanos}ns"),
            MICROSECOND..MILLISECOND => return decimal(f, nanos, 3, "µs"),
            MILLISECOND..SECOND => return decimal(f, nanos, 6, "ms"),
            _ => {}
        }
        // From a minute on the smaller units are always written, from an hour on the minutes too: `1h0m0s`.
        if nanos >= HOUR {
            write!(f, "{}h", nanos / HOUR)?;
        }
        if nanos >= MINUTE {
            write!(f, "{}m", nanos % HOUR / MINUTE)?;
        }
        decimal(f, nanos % MINUTE, 9, "s")
    }
}

/// Writes `value` divided by ten to the power of `decimals`, with as few decimals as it needs.
fn decimal(f: &mut fmt::Formatter<'_>, value: u64, decimals: u32, unit: &str) -> fmt::Result {
    let scale = 10_u64.pow(decimals);
    let (mut fraction, mut digits) = (value % scale, decimals as usize);
    write!(f, "{}", value / scale)?;
    if fraction != 0 {
        while fraction.is_multiple_of(10) {
            fraction /= 10;
            digits -= 1;
        }
        write!(f, ".{fraction:0digits$}")?;
    }
    f.write_str(unit)
}

/// Reads what Go's `time.ParseDuration` reads, except that it must not be negative.
///
/// # Errors
/// A message that says what was given and what is allowed; also when it is longer than Go can hold (292 years).
pub fn parse(text: &str) -> Result<Duration, String> {
    nanos(text).map(Duration::from_nanos).ok_or_else(|| format!("{text:?} is not {EXPECTED}"))
}

fn nanos(text: &str) -> Option<u64> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0_u128;
    while !rest.is_empty() {
        let (whole, after) = split_digits(rest);
        let (fraction, after) = after.strip_prefix('.').map_or(("", after), split_digits);
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let name = after.find(|c: char| c == '.' || c.is_ascii_digit()).map_or(after, |end| &after[..end]);
        let unit = u128::from(unit_nanos(name)?);
        total = total.checked_add(number(whole)?.checked_mul(unit)?)?;
        // Digits that are worth less than a nanosecond even of an hour are cut off, as Go does.
        let fraction = &fraction[..fraction.len().min(18)];
        total += number(fraction)? * unit / 10_u128.pow(u32::try_from(fraction.len()).ok()?);
        rest = &after[name.len()..];
    }
    u64::try_from(total).ok().filter(|nanos| i64::try_from(*nanos).is_ok())
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn number(digits: &str) -> Option<u128> {
    if digits.is_empty() { Some(0) } else { digits.parse::<u64>().ok().map(u128::from) }
}

fn unit_nanos(name: &str) -> Option<u64> {
    Some(match name {
        "ns" => 1,
        // The micro sign and the Greek letter look the same.
        "us" | "\u{b5}s" | "\u{3bc}s" => MICROSECOND,
        "ms" => MILLISECOND,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_as_go_shows_it() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (999, "999ns"),
            (1_000, "1µs"),
            (1_100, "1.1µs"),
            (100_000, "100µs"),
            (2_200_000, "2.2ms"),
            (15_270_000, "15.27ms"),
            (300_000_000, "300ms"),
            (299_999_952, "299.999952ms"),
            (SECOND, "1s"),
            (1_500_000_000, "1.5s"),
            (3_300_000_000, "3.3s"),
            (MINUTE, "1m0s"),
            (60_500_000_000, "1m0.5s"),
            (HOUR, "1h0m0s"),
            (2 * HOUR + 3 * MINUTE + 4 * SECOND, "2h3m4s"),
            (5 * HOUR + 4 * MINUTE + 3 * SECOND + 1_000_000, "5h4m3.001s"),
            (i64::MAX as u64, "2562047h47m16.854775807s"),
        ] {
            assert_eq!(GoDuration(nanos).to_string(), text);
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn read_as_go_reads_it() {
        for (text, nanos) in [
            ("0", 0),
            ("+5s", 5 * SECOND),
            ("5m", 5 * MINUTE),
            ("1h30m", 90 * MINUTE),
            ("1.5h", 90 * MINUTE),
            (".5s", 500_000_000),
            ("1.s", SECOND),
            ("12us", 12_000),
            ("12\u{b5}s", 12_000),
            ("12\u{3bc}s", 12_000),
            ("3m1h", HOUR + 3 * MINUTE),
            ("0.3333333333333333333333h", 1_199_999_999_999),
            ("0.1ns", 0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_what_is_allowed() {
        for text in [
            "",
            "+",
            "5",
            "-5m",
            "-0",
            ".",
            ".s",
            "s",
            "5 m",
            "5M",
            "1d",
            "5m ",
            "1.2.3s",
            "300000000000h",
            "99999999999999999999s",
            "é",
            "+-5s",
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains("1h30m") && message.contains("not negative"), "{message}");
            assert!(message.starts_with(&format!("{text:?}")), "{message}");
        }
    }
}
