//! Replies of Redis: where each ends, and the ids of the entries in it. Nothing else is made of them.

use std::ops::Range;

use anyhow::{Result, bail};

/// Bytes that came, and the replies in them.
#[derive(Debug, Default)]
pub struct Replies {
    bytes: Vec<u8>,
    /// Where the next reply begins.
    begin: usize,
    /// How far that one has been looked through, and how many values of it are still to come.
    at: usize,
    missing: usize,
}

impl Replies {
    /// Appends what came.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.begin == self.bytes.len() {
            self.bytes.clear();
            (self.begin, self.at) = (0, 0);
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole reply; `None` until more has come.
    ///
    /// # Errors
    /// What came is no reply.
    pub fn next(&mut self) -> Result<Option<&[u8]>> {
        if self.missing == 0 {
            self.missing = 1;
        }
        while self.missing > 0 {
            let Some((kind, count, mut end)) = header(&self.bytes, self.at)? else { return Ok(None) };
            match (kind, usize::try_from(count)) {
                (b'$', Ok(length)) => end += length + 2,
                (b'*', Ok(count)) => self.missing += count,
                _ => {}
            }
            if end > self.bytes.len() {
                return Ok(None);
            }
            self.at = end;
            self.missing -= 1;
        }
        let reply = self.begin..self.at;
        self.begin = self.at;
        Ok(Some(&self.bytes[reply]))
    }
}

/// Kind, number and end of the header line at `at`; `None` when it is not whole.
fn header(bytes: &[u8], at: usize) -> Result<Option<(u8, i64, usize)>> {
    let Some(length) = bytes[at..].iter().position(|byte| *byte == b'\n') else { return Ok(None) };
    let line = &bytes[at..at + length];
    let [kind, digits @ .., b'\r'] = line else { bail!("Redis sent what is no reply") };
    let number = match kind {
        b'$' | b'*' | b':' => whole(digits),
        b'+' | b'-' => Some(-1),
        _ => None,
    };
    match number {
        Some(number) => Ok(Some((*kind, number, at + length + 1))),
        None => bail!("Redis sent what is no reply: {}", String::from_utf8_lossy(line)),
    }
}

fn whole(digits: &[u8]) -> Option<i64> {
    let (negative, digits) = digits.strip_prefix(b"-").map_or((false, digits), |rest| (true, rest));
    let number = digits.iter().try_fold(0i64, |sum, byte| byte.is_ascii_digit().then(|| sum.wrapping_mul(10) + i64::from(byte - b'0')))?;
    Some(if negative { -number } else { number })
}

/// Where the ids of the entries are in an `XREADGROUP` reply about one stream.
///
/// # Errors
/// It is none.
pub fn entry_ids(reply: &[u8]) -> Result<Vec<Range<usize>>> {
    let mut walk = Walk { reply, at: 0 };
    // Of one stream: its name, and its entries. Nothing at all, when there are no entries.
    let streams = walk.array()?;
    if streams < 1 {
        return Ok(Vec::new());
    }
    walk.array()?;
    walk.string()?;
    let mut ids = Vec::new();
    for _ in 0..walk.array()? {
        walk.array()?;
        ids.push(walk.string()?);
        for _ in 0..walk.array()? {
            walk.string()?;
        }
    }
    Ok(ids)
}

struct Walk<'a> {
    reply: &'a [u8],
    at: usize,
}

impl Walk<'_> {
    fn header(&mut self, wanted: u8) -> Result<i64> {
        match header(self.reply, self.at)? {
            Some((kind, number, end)) if kind == wanted => {
                self.at = end;
                Ok(number)
            }
            _ => {
                let shown = &self.reply[self.at..self.reply.len().min(self.at + 100)];
                bail!("Redis sent no entries: {}", String::from_utf8_lossy(shown))
            }
        }
    }

    fn array(&mut self) -> Result<i64> {
        self.header(b'*')
    }

    fn string(&mut self) -> Result<Range<usize>> {
        let length = usize::try_from(self.header(b'$')?)?;
        let begin = self.at;
        self.at = begin + length + 2;
        Ok(begin..begin + length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: &[u8] = b"*1\r\n*2\r\n$1\r\ns\r\n*2\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nk\r\n$2\r\n\r\n\r\n*2\r\n$3\r\n1-1\r\n*0\r\n";

    #[test]
    fn replies_end_where_they_end_however_they_come() {
        let all = [b":5\r\n", READ, b"-no\r\n", b"*-1\r\n"].concat();
        for size in 1..all.len() {
            let (mut replies, mut found) = (Replies::default(), Vec::new());
            for piece in all.chunks(size) {
                replies.push(piece);
                while let Some(reply) = replies.next().expect("replies") {
                    found.push(reply.to_vec());
                }
            }
            assert_eq!(found, [b":5\r\n", READ, b"-no\r\n", b"*-1\r\n"], "{size}");
        }
        let mut replies = Replies::default();
        replies.push(b"HTTP/1.1\r\n");
        assert!(replies.next().is_err());
    }

    #[test]
    fn the_ids_of_entries_are_found() {
        let ids: Vec<&[u8]> = entry_ids(READ).expect("entries").into_iter().map(|at| &READ[at]).collect();
        assert_eq!(ids, [b"1-0", b"1-1"]);
        assert!(entry_ids(b"*-1\r\n").expect("nothing").is_empty());
        assert!(entry_ids(b"-NOGROUP\r\n").is_err());
    }
}
