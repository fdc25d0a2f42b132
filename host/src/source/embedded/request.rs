//! Requests out of bytes, as they come: an array of bulk strings, or a line typed by hand.
//!
//! Not with a general RESP decoder: those answer arrays within arrays by recursion (400 kB of `*1\r\n` end the process) and begin a
//! request anew whenever more of it has come. Requests are flat, so this one reads each byte once and nests nothing.

use std::borrow::Cow;

use super::bounds;
use super::entry_id::integer;

/// Bytes of `*<count>` or `$<length>`, within which the end of the line must come.
const HEADER_BYTES: usize = 32;

/// Reads one request after the other; keeps its place in one that has not come completely.
#[derive(Debug, Default)]
pub struct RequestReader {
    form: Form,
    /// Bytes of the request that need not be looked at again.
    cursor: usize,
    /// Length of the argument at the cursor, when its header has been read.
    length: Option<usize>,
    arguments: Vec<(u32, u32)>,
}

#[derive(Debug, Default, Clone, Copy)]
enum Form {
    #[default]
    Unknown,
    Line,
    Array(usize),
}

/// Why a connection cannot be understood any further; the text says it as Redis does, without `ERR`.
pub type ProtocolError = Cow<'static, str>;

/// A request's name and arguments.
#[derive(Debug, Clone, Copy)]
pub struct Arguments<'a> {
    bytes: &'a [u8],
    at: &'a [(u32, u32)],
}

impl<'a> Arguments<'a> {
    /// Number of arguments, the command's name among them.
    pub fn len(&self) -> usize {
        self.at.len()
    }

    /// The argument at `index`, empty where there is none. 0 is the command's name.
    pub fn get(&self, index: usize) -> &'a [u8] {
        let (start, end) = self.at.get(index).copied().unwrap_or_default();
        self.bytes.get(start as usize..end as usize).unwrap_or_default()
    }

    /// Whether the argument at `index` is `word`, in any case.
    pub fn is(&self, index: usize, word: &str) -> bool {
        self.get(index).eq_ignore_ascii_case(word.as_bytes())
    }

    /// The arguments from `index` on.
    pub fn from(self, index: usize) -> impl Iterator<Item = &'a [u8]> + Clone {
        (index..self.len()).map(move |index| self.get(index))
    }
}

impl RequestReader {
    /// Reads on in `bytes`, which begin where the request begins and hold what was there the last time. `Some` is the request's
    /// length in bytes: then [`Self::arguments`] has it, and the next call begins the next one. `trusted`: not before `AUTH`.
    pub fn read(&mut self, bytes: &[u8], trusted: bool) -> Result<Option<usize>, ProtocolError> {
        if matches!(self.form, Form::Unknown) {
            self.arguments.clear();
            self.form = match bytes.first() {
                None => return Ok(None),
                Some(b'*') => match self.header(bytes, b'*', "too big mbulk count string")? {
                    None => return Ok(None),
                    Some(count) => Form::Array(array_length(count, trusted)?),
                },
                Some(_) => Form::Line,
            };
        }
        let length = match self.form {
            Form::Array(count) => self.array(bytes, count, trusted)?,
            Form::Line | Form::Unknown => self.line(bytes)?,
        };
        if length.is_some() {
            (self.form, self.cursor, self.length) = (Form::Unknown, 0, None);
        }
        Ok(length)
    }

    /// The request that was read last, out of the same `bytes`; empty if it was an empty line or array.
    pub fn arguments<'a>(&'a self, bytes: &'a [u8]) -> Arguments<'a> {
        Arguments { bytes, at: &self.arguments }
    }

    fn array(&mut self, bytes: &[u8], count: usize, trusted: bool) -> Result<Option<usize>, ProtocolError> {
        while self.arguments.len() < count {
            let length = match self.length {
                Some(length) => length,
                None => match self.header(bytes, b'$', "too big bulk count string")? {
                    None => return Ok(None),
                    Some(length) => *self.length.insert(self.bulk_length(length, trusted)?),
                },
            };
            let end = self.cursor + length;
            match bytes.get(end..end + 2) {
                None => return Ok(None),
                Some(b"\r\n") => self.arguments.push((self.cursor as u32, end as u32)),
                Some(_) => return Err("Protocol error: expected an end of line after a bulk string".into()),
            }
            self.cursor = end + 2;
            self.length = None;
        }
        Ok(Some(self.cursor))
    }

    /// The number behind `mark` at the cursor; `None` if it has not come completely. A number that is none is `i64::MIN`.
    fn header(&mut self, bytes: &[u8], mark: u8, too_long: &str) -> Result<Option<i64>, ProtocolError> {
        let rest = bytes.get(self.cursor..).unwrap_or_default();
        let Some(first) = rest.first() else { return Ok(None) };
        if *first != mark {
            let (mark, first) = (mark as char, first.escape_ascii());
            return Err(format!("Protocol error: expected '{mark}', got '{first}'").into());
        }
        match rest.iter().take(HEADER_BYTES).position(|byte| *byte == b'\n') {
            Some(end) => {
                self.cursor += end + 1;
                let text = rest[1..end].strip_suffix(b"\r").unwrap_or_default();
                Ok(Some(integer(text).unwrap_or(i64::MIN)))
            }
            None if rest.len() < HEADER_BYTES => Ok(None),
            None => Err(format!("Protocol error: {too_long}").into()),
        }
    }

    fn bulk_length(&self, length: i64, trusted: bool) -> Result<usize, ProtocolError> {
        let length = usize::try_from(length).map_err(|_| "Protocol error: invalid bulk length")?;
        if !trusted && length > bounds::STRANGER_ARGUMENT_BYTES {
            return Err("Protocol error: unauthenticated bulk length".into());
        }
        if self.cursor.saturating_add(length) > bounds::REQUEST_BYTES {
            return Err(format!("Protocol error: a request of more than {} bytes", bounds::REQUEST_BYTES).into());
        }
        Ok(length)
    }

    fn line(&mut self, bytes: &[u8]) -> Result<Option<usize>, ProtocolError> {
        let rest = bytes.get(self.cursor..).unwrap_or_default();
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            self.cursor = bytes.len();
            let whole = self.cursor < bounds::INLINE_BYTES;
            return if whole { Ok(None) } else { Err("Protocol error: too big inline request".into()) };
        };
        let end = self.cursor + end;
        if end > bounds::INLINE_BYTES {
            return Err("Protocol error: too big inline request".into());
        }
        let line = bytes.get(..end).unwrap_or_default();
        if line.iter().any(|byte| matches!(byte, b'"' | b'\'')) {
            return Err("Protocol error: inline commands are taken without quotes here".into());
        }
        let mut start = 0;
        for word in line.split(u8::is_ascii_whitespace) {
            if self.arguments.len() >= bounds::ARGUMENTS {
                return Err("Protocol error: invalid multibulk length".into());
            }
            if !word.is_empty() {
                self.arguments.push((start as u32, (start + word.len()) as u32));
            }
            start += word.len() + 1;
        }
        Ok(Some(end + 1))
    }
}

fn array_length(count: i64, trusted: bool) -> Result<usize, ProtocolError> {
    // As in Redis, an array of no length is passed over.
    let count = if count == i64::MIN { usize::MAX } else { usize::try_from(count).unwrap_or(0) };
    if count > bounds::ARGUMENTS {
        return Err("Protocol error: invalid multibulk length".into());
    }
    if !trusted && count > bounds::STRANGER_ARGUMENTS {
        return Err("Protocol error: unauthenticated multibulk length".into());
    }
    Ok(count)
}
