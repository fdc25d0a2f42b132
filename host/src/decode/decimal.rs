//! Decimal text to whole numbers, exactly: an `f64` of Unix seconds is 0.24 µs off.

/// Longer texts are not numbers that anybody measured.
const MAX_LENGTH: usize = 64;

/// The number that `text` writes (`12.27`, `-3`, `1.795221945673E9`), times ten to the power of `scale`, cut off towards zero.
/// `None` for anything else, `NaN` and infinities among it, and for what does not fit.
pub(super) fn parse_scaled(text: &str, scale: i32) -> Option<i128> {
    if text.len() > MAX_LENGTH {
        return None;
    }
    plain(text.as_bytes(), scale).map(i128::from).or_else(|| general(text, scale))
}

fn general(text: &str, scale: i32) -> Option<i128> {
    let text = text.trim();
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], exponent(&text[at + 1..])?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        value = value.checked_mul(10)?.checked_add(i128::from(digit))?;
    }
    let shift = exponent.checked_add(scale)?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let value = shifted(value, shift)?;
    Some(if negative { -value } else { value })
}

/// What [`general`] gives, for digits with a point among them at most, as long as nothing has to be cut off and 64 bits will do: what agents write.
fn plain(text: &[u8], scale: i32) -> Option<u64> {
    let (mut value, mut left, mut point) = (0u64, u32::try_from(scale).ok()?, false);
    for byte in text {
        match byte {
            b'0'..=b'9' => {
                value = value.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
                if point {
                    left = left.checked_sub(1)?;
                }
            }
            b'.' if !point => point = true,
            _ => return None,
        }
    }
    // Neither nothing nor a point alone is a number.
    if text.len() <= usize::from(point) { None } else { value.checked_mul(10u64.checked_pow(left)?) }
}

fn exponent(text: &str) -> Option<i32> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

fn shifted(value: i128, shift: i32) -> Option<i128> {
    let power = 10i128.checked_pow(shift.unsigned_abs());
    match power {
        Some(power) if shift >= 0 => value.checked_mul(power),
        Some(power) => Some(value / power),
        None if shift < 0 || value == 0 => Some(0),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{general, parse_scaled, plain};

    #[test]
    fn decimal_text_is_read_to_the_nanosecond() {
        for (text, nanos) in [
            ("1795221702.9446528", 1_795_221_702_944_652_800),
            ("1.795221945673E9", 1_795_221_945_673_000_000),
            ("1.79522194568E9", 1_795_221_945_680_000_000),
            ("1795221901", 1_795_221_901_000_000_000),
            ("1e-9", 1),
            ("-0.5", -500_000_000),
            (".5", 500_000_000),
            ("0", 0),
        ] {
            assert_eq!(parse_scaled(text, 9), Some(nanos), "{text}");
        }
        assert_eq!(parse_scaled("12.27", 6), Some(12_270_000));
    }

    #[test]
    fn the_short_way_says_what_the_long_one_does() {
        for text in [
            "0",
            "1.",
            ".5",
            ".",
            "",
            "00.10",
            "1..2",
            "1.2.3",
            "12.27",
            "1795221702.9446528",
            "1795221702.123456789",
            "1.1234567890",
            "18446744073709551616",
        ] {
            for scale in [0, 6, 9] {
                if let Some(value) = plain(text.as_bytes(), scale) {
                    assert_eq!(Some(i128::from(value)), general(text, scale), "{text} {scale}");
                }
            }
        }
        assert_eq!((plain(b"1795221702.9446528", 9), plain(b"12.27", 6)), (Some(1_795_221_702_944_652_800), Some(12_270_000)));
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in
            ["", ".", "NaN", "inf", "-", "1e", "1e+", "0x10", "1_000", "1 2", "12a", "1e999999999999", "9e40", "--1", &"1".repeat(65)]
        {
            assert_eq!(parse_scaled(text, 9), None, "{text}");
        }
        assert_eq!(parse_scaled("1e-400", 9), Some(0));
    }
}
