//! Numbers that prove themselves: card numbers by Luhn's sum, IBANs by their remainder.

use std::ops::Range;

/// Digits that a card number may have.
const CARD_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;
/// Groups that a card number is written in at most: 4 4 4 4 3.
const CARD_GROUPS: usize = 5;
/// Letters and digits that an IBAN may have.
const IBAN_CHARACTERS: std::ops::RangeInclusive<usize> = 15..=34;

/// Card numbers, in one piece or in the groups that they are printed in, with blanks or hyphens between them.
#[must_use]
pub fn cards(text: &str) -> Vec<Range<usize>> {
    let groups = digit_groups(text.as_bytes());
    let mut found = Vec::new();
    let mut first = 0;
    while first < groups.len() {
        match card_at(text.as_bytes(), &groups[first..]) {
            Some(taken) => {
                found.push(groups[first].start..groups[first + taken - 1].end);
                first += taken;
            }
            None => first += 1,
        }
    }
    found
}

/// Runs of digits.
fn digit_groups(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    for (at, byte) in bytes.iter().enumerate() {
        match groups.last_mut() {
            _ if !byte.is_ascii_digit() => {}
            Some(group) if group.end == at => group.end = at + 1,
            _ => groups.push(at..at + 1),
        }
    }
    groups
}

/// How many of these groups, from the first on, are a card number: the most that are one.
fn card_at(bytes: &[u8], groups: &[Range<usize>]) -> Option<usize> {
    if !begins_a_number(bytes, groups[0].start) {
        return None;
    }
    let (mut digits, mut longest) = (Vec::new(), None);
    for (at, group) in groups.iter().enumerate().take(CARD_GROUPS) {
        let joined = at == 0 || (group.start == groups[at - 1].end + 1 && matches!(bytes[group.start - 1], b' ' | b'-'));
        // Cards are printed in groups of 4, or of 4 or 6 and then more; only the last may be short.
        let printed = at == 0 || (matches!(groups[0].len(), 4 | 6) && groups[at - 1].len() >= 3);
        if !joined || !printed || digits.len() + group.len() > *CARD_DIGITS.end() {
            break;
        }
        digits.extend_from_slice(&bytes[group.clone()]);
        let ended = bytes.get(group.end).is_none_or(|next| !next.is_ascii_alphabetic());
        if ended && digits.len() >= *CARD_DIGITS.start() && is_issued(&digits) && luhn(&digits) {
            longest = Some(at + 1);
        }
    }
    longest
}

/// Whether digits that begin here are no part of a word or of a fraction.
fn begins_a_number(bytes: &[u8], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).map(|at| bytes[at]);
    let fraction = before(1) == Some(b'.') && before(2).is_some_and(|byte| byte.is_ascii_digit());
    !fraction && !before(1).is_some_and(|byte| byte.is_ascii_alphabetic())
}

/// Whether some network issues numbers that begin so and are as long. Times and counters begin otherwise.
fn is_issued(digits: &[u8]) -> bool {
    let prefix = |count: usize| digits[..count].iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
    let length = digits.len();
    match prefix(4) {
        // Visa.
        4000..=4999 => matches!(length, 13 | 16 | 19),
        // Mastercard; Troy.
        2221..=2720 | 5100..=5599 | 9792 => length == 16,
        // American Express.
        3400..=3499 | 3700..=3799 => length == 15,
        // Diners Club.
        3000..=3059 | 3090..=3099 | 3600..=3699 | 3800..=3999 => length >= 14,
        // JCB; Mir; Discover, UnionPay, RuPay, Maestro.
        3528..=3589 | 2200..=2204 | 6000..=6999 | 8100..=8299 => length >= 16,
        // Maestro.
        5000..=5099 | 5600..=5899 => true,
        _ => false,
    }
}

/// Whether the digits' check digit fits.
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .zip([false, true].into_iter().cycle())
        .map(|(digit, doubled)| {
            let value = u32::from(digit - b'0') << u32::from(doubled);
            value / 10 + value % 10
        })
        .sum();
    sum.is_multiple_of(10)
}

/// IBANs, in one piece or in groups of four with blanks between them.
#[must_use]
pub fn ibans(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let begins = at == 0 || !bytes[at - 1].is_ascii_alphanumeric();
        match if begins { iban_at(&bytes[at..]) } else { None } {
            Some(length) => {
                found.push(at..at + length);
                at += length;
            }
            None => at += 1,
        }
    }
    found
}

/// Length in bytes of the longest IBAN that begins here.
fn iban_at(bytes: &[u8]) -> Option<usize> {
    let is_head =
        matches!(bytes, [a, b, c, d, ..] if a.is_ascii_uppercase() && b.is_ascii_uppercase() && c.is_ascii_digit() && d.is_ascii_digit());
    if !is_head {
        return None;
    }
    let (mut characters, mut longest) = (Vec::new(), None);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' if characters.len() < *IBAN_CHARACTERS.end() => characters.push(*byte),
            b' ' if characters.len().is_multiple_of(4) && bytes[at - 1] != b' ' => continue,
            _ => break,
        }
        let ended = bytes.get(at + 1).is_none_or(|next| !next.is_ascii_alphanumeric());
        if ended && IBAN_CHARACTERS.contains(&characters.len()) && remainder_97(&characters) == 1 {
            longest = Some(at + 1);
        }
    }
    longest
}

/// ISO 7064: the first four characters go to the end, letters count from 10.
fn remainder_97(characters: &[u8]) -> u32 {
    let (head, rest) = characters.split_at(4);
    rest.iter().chain(head).fold(0, |remainder, byte| match byte {
        b'0'..=b'9' => (remainder * 10 + u32::from(byte - b'0')) % 97,
        _ => (remainder * 100 + u32::from(byte - b'A') + 10) % 97,
    })
}
