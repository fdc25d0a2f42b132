//! Any bytes through a tap, in any pieces.

use std::task::Waker;

use super::*;

/// Gives what is left in pieces: the last size again and again.
struct Pieces<'a> {
    bytes: &'a [u8],
    sizes: &'a [usize],
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (size, rest) = self.sizes.split_first().map_or((usize::MAX, self.sizes), |(size, rest)| (*size, rest));
        let (piece, left) = self.bytes.split_at(size.max(1).min(self.bytes.len()).min(buf.remaining()));
        buf.put_slice(piece);
        self.bytes = left;
        if !rest.is_empty() {
            self.sizes = rest;
        }
        Poll::Ready(Ok(()))
    }
}

/// What the library and the reader get of these bytes, when they come in pieces of these sizes, and one reply is diverted after so many.
pub(in super::super) fn through(bytes: &[u8], sizes: &[usize], after: Option<usize>) -> (Vec<u8>, Option<Vec<u8>>) {
    let tap = Arc::new(Tap::default());
    if let Some(after) = after {
        tap.divert(after);
    }
    let mut tapped = Tapped::new(Pieces { bytes, sizes }, Arc::clone(&tap));
    let mut library = Vec::new();
    let mut reading = pin!(tapped.read_to_end(&mut library));
    // Nothing here ever waits.
    let read = reading.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(read, Poll::Ready(Ok(_))), "{read:?}");
    (library, tap.take().map(|reply| reply.bytes[begin(&reply)..].to_vec()))
}

/// Where the reply begins: with its first place, or, if that is a text, with the line before it.
fn begin(reply: &Texts) -> usize {
    let first = reply.places[0];
    let line = |before: &[u8]| before.iter().rposition(|byte| *byte == b'$');
    let header = if first.is_text() { line(&reply.bytes[..first.begin()]) } else { None };
    header.unwrap_or(first.begin())
}

/// However the bytes are cut: what goes through goes through unchanged, up to the last line if that is not whole, and what is diverted is one reply,
/// which is missing in what goes through.
pub(in super::super) fn taps(data: &[u8]) {
    let random: Vec<usize> = data.iter().map(|byte| usize::from(byte % 17)).collect();
    for after in [None, Some(0), Some(1)] {
        let (library, diverted) = through(data, &[data.len()], after);
        for sizes in [&[1][..], &random] {
            assert_eq!(through(data, sizes, after), (library.clone(), diverted.clone()), "{after:?} {sizes:?}");
        }
        let rest = match &diverted {
            None => data.strip_prefix(library.as_slice()),
            Some(reply) => without(data, &library, reply),
        };
        assert!(rest.is_some(), "{after:?}: {diverted:?} is not what is missing in {}", library.escape_ascii());
        let rest = rest.unwrap_or_default();
        assert!(after.is_some() || memchr::memmem::find(rest, b"\r\n").is_none(), "{after:?}: {} was kept back", rest.escape_ascii());
    }
}

/// What of `data` has not gone through, if all else has, but for this reply.
fn without<'a>(data: &'a [u8], library: &[u8], reply: &[u8]) -> Option<&'a [u8]> {
    let before = data.iter().zip(library).take_while(|(came, went)| came == went).count();
    (0..=before).rev().find_map(|at| data.get(at..)?.strip_prefix(reply)?.strip_prefix(library.get(at..)?.strip_prefix(INSTEAD)?))
}
