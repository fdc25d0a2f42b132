//! Where replies begin and end, by the lines that their values begin with.

use crate::source::texts::Place;

/// Finds where replies end, in however many pieces they come.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// How far has been looked.
    pub(super) at: usize,
    /// Bytes from there on that are somebody's text, and values that are still to come.
    skip: usize,
    missing: usize,
    /// What came is no reply: nobody can tell where the next one begins, and the library says what is wrong.
    broken: bool,
}

impl Frames {
    /// Whether a reply begins where has been looked to.
    pub(super) fn is_at_begin(&self) -> bool {
        self.missing == 0 && self.skip == 0 && !self.broken
    }

    /// Whether what came is no reply, nor will anything be that follows.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Goes on to the end of the reply; false when it has not come yet. `note` is told where each value is.
    pub(super) fn advance(&mut self, bytes: &[u8], mut note: impl FnMut(Place)) -> bool {
        let whole = !self.broken
            && self.try_advance(bytes, &mut note).unwrap_or_else(|NoReply| {
                self.broken = true;
                false
            });
        if self.broken {
            self.at = bytes.len();
        }
        whole
    }

    fn try_advance(&mut self, bytes: &[u8], note: &mut impl FnMut(Place)) -> Result<bool, NoReply> {
        if self.is_at_begin() {
            self.missing = 1;
        }
        loop {
            let step = self.skip.min(bytes.len() - self.at);
            self.at += step;
            self.skip -= step;
            if self.skip == 0 {
                self.pass_texts(bytes, note)?;
            }
            if self.skip > 0 {
                return Ok(false);
            }
            if self.missing == 0 {
                return Ok(true);
            }
            let Some(header) = any_header(bytes, self.at)? else { return Ok(false) };
            note(Place::of_no_text(self.at).ok_or(NoReply)?);
            self.at = header.end;
            self.skip = header.text;
            self.missing = (self.missing - 1).saturating_add(header.values);
        }
    }

    /// Goes on behind the texts that come next: of what Redis says, nearly everything is that.
    fn pass_texts(&mut self, bytes: &[u8], note: &mut impl FnMut(Place)) -> Result<(), NoReply> {
        let (mut at, mut missing) = (self.at, self.missing);
        while missing > 0
            && let Some((begin, length)) = text(bytes, at)
        {
            note(Place::new(begin, length).ok_or(NoReply)?);
            missing -= 1;
            at = begin + length + 2;
            if at > bytes.len() {
                self.skip = at - bytes.len();
                at = bytes.len();
                break;
            }
        }
        (self.at, self.missing) = (at, missing);
        Ok(())
    }
}

/// What came is nothing that Redis says.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct NoReply;

/// The line that a value begins with.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct Header {
    pub kind: u8,
    /// Where the line ends.
    pub end: usize,
    /// Bytes of text that follow, with their line end.
    pub text: usize,
    /// Values that follow.
    pub values: usize,
    /// Whether there is no value at all.
    pub absent: bool,
}

/// Where the text at `at` begins, and its length, if one of less than a GB begins there.
pub(super) fn text(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let line = bytes.get(at..)?;
    if let Some(&[b'$', first, second, third, fourth]) = line.first_chunk() {
        // Nearly always one digit or two, which cannot be foretold: so no step is taken for one of them only.
        let (tens, ones) = (first.wrapping_sub(b'0'), second.wrapping_sub(b'0'));
        let one_digit = second == b'\r';
        let (end, length, header) = if one_digit {
            ([second, third], usize::from(tens), 4)
        } else {
            ([third, fourth], 10 * usize::from(tens) + usize::from(ones), 5)
        };
        if (tens < 10) & (one_digit | (ones < 10)) & (end == *b"\r\n") {
            return Some((at + header, length));
        }
    }
    let line = line.strip_prefix(b"$")?;
    let mut length = 0;
    for (digits, byte) in line.iter().take(10).enumerate() {
        match byte.wrapping_sub(b'0') {
            digit @ 0..=9 => length = length * 10 + usize::from(digit),
            _ if digits == 0 || digits > 9 || line.get(digits..digits + 2) != Some(b"\r\n") => return None,
            _ => return Some((at + digits + 3, length)),
        }
    }
    None
}

/// The header at `at`, of whatever kind; `None` when it has not come as a whole.
pub(in super::super) fn any_header(bytes: &[u8], at: usize) -> Result<Option<Header>, NoReply> {
    let Some((&kind, rest)) = bytes.get(at..).and_then(<[u8]>::split_first) else { return Ok(None) };
    let counts = matches!(kind, b'$' | b'*' | b'%' | b'~' | b'>' | b'|' | b'=' | b'!');
    if !counts {
        if !matches!(kind, b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(') {
            return Err(NoReply);
        }
        let header = |length: usize| Header {
            kind,
            end: at + length + 3,
            text: 0,
            values: 0,
            absent: kind == b'_',
        };
        return Ok(memchr::memmem::find(rest, b"\r\n").map(header));
    }
    let (mut count, mut absent) = (0usize, false);
    for (length, byte) in rest.iter().enumerate() {
        match byte {
            b'0'..=b'9' => count = count.checked_mul(10).and_then(|count| count.checked_add(usize::from(byte - b'0'))).ok_or(NoReply)?,
            b'-' if length == 0 => absent = true,
            b'\r' if length > usize::from(absent) => {
                match rest.get(length + 1) {
                    Some(b'\n') => {}
                    Some(_) => return Err(NoReply),
                    None => return Ok(None),
                }
                let count = if absent { 0 } else { count };
                let (text, values) = match kind {
                    _ if absent => (0, 0),
                    b'$' | b'=' | b'!' => (count.saturating_add(2), 0),
                    b'%' => (0, count.saturating_mul(2)),
                    // What is said about a reply, before it.
                    b'|' => (0, count.saturating_mul(2).saturating_add(1)),
                    _ => (0, count),
                };
                return Ok(Some(Header {
                    kind,
                    end: at + length + 3,
                    text,
                    values,
                    absent,
                }));
            }
            _ => return Err(NoReply),
        }
    }
    Ok(None)
}
