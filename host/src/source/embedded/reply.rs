//! Replies, as RESP2 or RESP3 have them.

use std::fmt::Display;
use std::io::Write as _;

/// What a connection speaks; `HELLO` changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// What a connection begins with.
    #[default]
    Resp2,
    /// After `HELLO 3`.
    Resp3,
}

/// Replies that have not been sent. Requests are executed only below [`super::bounds::REPLY_BYTES`] of them.
#[derive(Debug, Default)]
pub struct Replies {
    /// What the connection speaks.
    pub protocol: Protocol,
    bytes: Vec<u8>,
}

impl Replies {
    /// What is to be sent.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets the first `count` bytes: they were sent.
    pub fn sent(&mut self, count: usize) {
        self.bytes.drain(..count.min(self.bytes.len()));
    }

    /// `+text`, without line ends.
    pub fn simple(&mut self, text: &str) {
        self.line('+', text);
    }

    /// `-text`, beginning with a code such as `ERR`; what would end the line early becomes a space.
    pub fn error(&mut self, text: &str) {
        self.line('-', text.replace(['\r', '\n'], " "));
    }

    /// `:number`.
    pub fn integer(&mut self, number: i64) {
        self.line(':', number);
    }

    /// A bulk string.
    pub fn bulk(&mut self, text: &[u8]) {
        self.line('$', text.len());
        self.bytes.extend_from_slice(text);
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// A text for people: verbatim where there is such a thing.
    pub fn text(&mut self, text: &str) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(text.as_bytes()),
            Protocol::Resp3 => {
                self.line('=', text.len() + 4);
                self.bytes.extend_from_slice(b"txt:");
                self.bytes.extend_from_slice(text.as_bytes());
                self.bytes.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Nothing.
    pub fn null(&mut self) {
        match self.protocol {
            Protocol::Resp2 => self.line('$', -1),
            Protocol::Resp3 => self.line('_', ""),
        }
    }

    /// An array, whose `count` elements follow.
    pub fn array(&mut self, count: usize) {
        self.line('*', count);
    }

    /// A map, whose `pairs` keys and values follow by turns; RESP2 has them as an array.
    pub fn map(&mut self, pairs: usize) {
        match self.protocol {
            Protocol::Resp2 => self.array(pairs * 2),
            Protocol::Resp3 => self.line('%', pairs),
        }
    }

    fn line(&mut self, mark: char, rest: impl Display) {
        // Writing to memory does not fail.
        let _ = write!(self.bytes, "{mark}{rest}\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(protocol: Protocol) -> String {
        let mut replies = Replies { protocol, ..Replies::default() };
        replies.simple("OK");
        replies.error("ERR a\r\nb");
        replies.integer(-7);
        replies.bulk(b"a\r\nb");
        replies.text("abc");
        replies.null();
        replies.map(1);
        replies.bulk(b"");
        replies.array(0);
        String::from_utf8(replies.bytes).unwrap()
    }

    #[test]
    fn each_protocol_has_its_own_forms() {
        let common = "+OK\r\n-ERR a  b\r\n:-7\r\n$4\r\na\r\nb\r\n";
        assert_eq!(all(Protocol::Resp2), format!("{common}$3\r\nabc\r\n$-1\r\n*2\r\n$0\r\n\r\n*0\r\n"));
        assert_eq!(all(Protocol::Resp3), format!("{common}=7\r\ntxt:abc\r\n_\r\n%1\r\n$0\r\n\r\n*0\r\n"));
    }

    #[test]
    fn what_was_sent_is_forgotten() {
        let mut replies = Replies::default();
        replies.simple("OK");
        replies.sent(2);
        assert_eq!(replies.bytes(), b"K\r\n");
        replies.sent(100);
        assert!(replies.bytes().is_empty());
    }
}
