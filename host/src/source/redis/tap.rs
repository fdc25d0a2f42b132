//! Entries on their way past the client library.
//!
//! The library makes a tree of values of every reply, a piece of memory for each field of each entry, which costs several times what everything else
//! that is done about an entry does. So the reader's connection has a tap below the library: it finds where replies end, and of those that the reader
//! says hold entries the library gets to see that they came, and the reader gets the bytes. Everything else goes through unchanged.

mod frames;
#[cfg(any(test, feature = "fuzz"))]
pub(super) mod fuzz;

use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use frames::Frames;
pub(super) use frames::{Header, NoReply, header, text};

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
            if self.frames.is_broken() {
                // The reader would wait for its end.
                self.diverting = false;
                self.free = self.frames.at;
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

#[cfg(test)]
mod tests;
