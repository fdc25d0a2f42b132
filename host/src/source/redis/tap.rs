//! Entries on their way past the client library.
//!
//! The library makes a tree of values of every reply, a piece of memory for each field of each entry, which costs several times what everything else
//! that is done about an entry does. So the reader's connection has a tap below the library: it finds where replies end, and of those that the reader
//! says hold entries the library gets to see that they came, and the reader gets the bytes. Everything else goes through unchanged.

use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// Bytes that are asked for at once.
const READ_BYTES: usize = 256 * 1024;
/// What the library gets in the place of entries: no entries.
const INSTEAD: &[u8] = b"*-1\r\n";

/// The reader's end of it.
#[derive(Debug, Default)]
pub(super) struct Tap(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// After so many replies one is diverted.
    after: Option<usize>,
    diverted: Option<Bytes>,
}

impl Tap {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of the replies to what is sent from now on, diverts one, after so many others. Before it is sent, and when nothing else is to come.
    pub fn divert(&self, after: usize) {
        *self.lock() = State { after: Some(after), diverted: None };
    }

    /// The reply that was diverted. None when it was an error, which the library has.
    pub fn take(&self) -> Option<Bytes> {
        let mut state = self.lock();
        state.after = None;
        state.diverted.take()
    }

    /// Whether the reply that begins now, by this byte, is to be diverted.
    fn wants(&self, kind: u8) -> bool {
        // Pushed by the server whenever it likes: no reply.
        if kind == b'>' {
            return false;
        }
        let mut state = self.lock();
        match state.after {
            None => false,
            Some(0) => {
                state.after = None;
                kind != b'-'
            }
            Some(after) => {
                state.after = Some(after - 1);
                false
            }
        }
    }

    fn put(&self, reply: Bytes) {
        self.lock().diverted = Some(reply);
    }
}

/// A connection with a tap.
#[derive(Debug)]
pub(super) struct Tapped<S> {
    stream: S,
    tap: Arc<Tap>,
    came: BytesMut,
    /// So many bytes of `came` may go on to the library.
    free: usize,
    /// What goes on before them.
    instead: &'static [u8],
    frames: Frames,
    diverting: bool,
}

impl<S> Tapped<S> {
    pub fn new(stream: S, tap: Arc<Tap>) -> Tapped<S> {
        Tapped {
            stream,
            tap,
            came: BytesMut::new(),
            free: 0,
            instead: &[],
            frames: Frames::default(),
            diverting: false,
        }
    }

    /// Looks through what has come, as far as something may go on.
    fn look(&mut self) {
        while self.free == 0 && self.instead.is_empty() && self.frames.at < self.came.len() {
            if self.frames.is_at_begin() {
                self.diverting = self.tap.wants(self.came[self.frames.at]);
            }
            let whole = self.frames.advance(&self.came);
            if !self.diverting {
                self.free = self.frames.at;
            } else if whole {
                self.tap.put(self.came.split_to(self.frames.at).freeze());
                self.frames.at = 0;
                self.instead = INSTEAD;
            }
            if !whole {
                return;
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tapped<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let own = &mut *self;
        loop {
            own.look();
            if !own.instead.is_empty() {
                let count = own.instead.len().min(buf.remaining());
                buf.put_slice(&own.instead[..count]);
                own.instead = &own.instead[count..];
                return Poll::Ready(Ok(()));
            }
            if own.free > 0 {
                let count = own.free.min(buf.remaining());
                buf.put_slice(&own.came[..count]);
                own.came.advance(count);
                own.free -= count;
                own.frames.at -= count;
                return Poll::Ready(Ok(()));
            }
            own.came.reserve(READ_BYTES);
            // Nothing is lost when this is dropped before it is done.
            let count = ready!(pin!(own.stream.read_buf(&mut own.came)).poll(cx))?;
            if count == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tapped<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Finds where replies end, in however many pieces they come.
#[derive(Debug, Default)]
struct Frames {
    /// How far has been looked.
    at: usize,
    /// Bytes from there on that are somebody's text, and values that are still to come.
    skip: usize,
    missing: usize,
    /// What came is no reply: nobody can tell where the next one begins, and the library says what is wrong.
    broken: bool,
}

impl Frames {
    /// Whether a reply begins where has been looked to.
    fn is_at_begin(&self) -> bool {
        self.missing == 0 && self.skip == 0 && !self.broken
    }

    /// Goes on to the end of the reply; false when it has not come yet.
    fn advance(&mut self, bytes: &[u8]) -> bool {
        if self.broken {
            self.at = bytes.len();
            return false;
        }
        if self.is_at_begin() {
            self.missing = 1;
        }
        loop {
            let step = self.skip.min(bytes.len() - self.at);
            self.at += step;
            self.skip -= step;
            if self.skip > 0 {
                return false;
            }
            if self.missing == 0 {
                return true;
            }
            match header(bytes, self.at) {
                Ok(Some(header)) => {
                    self.at = header.end;
                    self.skip = header.text;
                    self.missing = (self.missing - 1).saturating_add(header.values);
                }
                Ok(None) => return false,
                Err(NoReply) => {
                    self.broken = true;
                    self.at = bytes.len();
                    return false;
                }
            }
        }
    }
}

/// What came is nothing that Redis says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoReply;

/// The line that a value begins with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
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

/// The header at `at`; `None` when it has not come as a whole.
pub(super) fn header(bytes: &[u8], at: usize) -> Result<Option<Header>, NoReply> {
    match text(bytes, at) {
        Some((begin, length)) => Ok(Some(Header {
            kind: b'$',
            end: begin,
            text: length + 2,
            values: 0,
            absent: false,
        })),
        None => any_header(bytes, at),
    }
}

/// Where the text at `at` begins, and its length, if one of less than a GB begins there: of what comes, nearly everything is that.
pub(super) fn text(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let line = bytes.get(at..)?.strip_prefix(b"$")?;
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

fn any_header(bytes: &[u8], at: usize) -> Result<Option<Header>, NoReply> {
    let Some((&kind, rest)) = bytes.get(at..).and_then(<[u8]>::split_first) else { return Ok(None) };
    let counts = matches!(kind, b'$' | b'*' | b'%' | b'~' | b'>' | b'|' | b'=' | b'!');
    if !counts {
        if !matches!(kind, b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(') {
            return Err(NoReply);
        }
        let header = |length: usize| Header {
            kind,
            end: at + length + 2,
            text: 0,
            values: 0,
            absent: kind == b'_',
        };
        return Ok(memchr::memchr(b'\n', rest).map(header));
    }
    let (mut count, mut absent) = (0usize, false);
    for (length, byte) in rest.iter().enumerate() {
        match byte {
            b'0'..=b'9' => count = count.checked_mul(10).and_then(|count| count.checked_add(usize::from(byte - b'0'))).ok_or(NoReply)?,
            b'-' if length == 0 => absent = true,
            b'\r' if length > 0 => {}
            b'\n' if length > 1 => {
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
                    end: at + length + 2,
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

#[cfg(test)]
mod tests;
