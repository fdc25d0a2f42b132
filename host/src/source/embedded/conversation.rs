//! Requests in, replies out: a connection without its socket.

use std::sync::Arc;

use super::bounds;
use super::command::{Call, execute};
use super::input::{Input, NoRoom};
use super::reply::Replies;
use super::request::RequestReader;
use super::session::Session;
use super::shared::Shared;

/// One connection's state.
#[derive(Debug)]
pub struct Conversation {
    shared: Arc<Shared>,
    session: Session,
    reader: RequestReader,
    input: Input,
    /// What is to be sent.
    pub replies: Replies,
    why: Option<String>,
}

impl Conversation {
    /// A new one, numbered `id`.
    pub fn new(shared: Arc<Shared>, id: u64) -> Conversation {
        let input = Input::new(Arc::clone(&shared.allowance));
        let session = Session::new(id, shared.config.password.is_none());
        Conversation {
            shared,
            session,
            reader: RequestReader::default(),
            input,
            replies: Replies::default(),
            why: None,
        }
    }

    /// Executes what has come completely, until replies pile up. Tells whether that was anything.
    pub fn go_on(&mut self) -> bool {
        let mut any = false;
        while !self.session.closing && self.wants_input() {
            let unread = self.input.unread();
            match self.reader.read(unread, self.session.trusted) {
                Ok(None) => break,
                Ok(Some(length)) => {
                    let mut call = Call {
                        session: &mut self.session,
                        shared: &self.shared,
                        arguments: self.reader.arguments(unread),
                        replies: &mut self.replies,
                    };
                    if is_http(&call) {
                        self.end("it speaks HTTP".into());
                        break;
                    }
                    if call.arguments.len() > 0 {
                        execute(&mut call);
                    }
                    self.input.used(length);
                    any = true;
                }
                Err(error) => {
                    self.replies.error(&format!("ERR {error}"));
                    self.end(error.into());
                }
            }
        }
        any
    }

    /// Where to read into, and how many bytes; `None` when there is no room for what has begun: then it is over.
    pub fn room(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        if let Err(NoRoom) = self.input.room() {
            self.replies.error("OOM requests of all clients together are too long");
            self.end("there was no room for its request".into());
            return None;
        }
        self.input.room().ok()
    }

    /// Whether requests would be executed: there are not too many replies that nobody has read.
    pub fn wants_input(&self) -> bool {
        self.replies.bytes().len() < bounds::REPLY_BYTES
    }

    /// Whether a request has begun and not come completely. After [`Self::go_on`].
    pub fn is_waiting_for_rest(&self) -> bool {
        !self.input.unread().is_empty() && self.wants_input()
    }

    /// Whether every command may be called.
    pub fn is_trusted(&self) -> bool {
        self.session.trusted
    }

    /// Whether to close when the replies are sent.
    pub fn is_over(&self) -> bool {
        self.session.closing
    }

    /// What it was closed for, if not because its client wanted that.
    pub fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }

    /// Closes it when the replies are sent.
    pub fn end(&mut self, why: String) {
        self.session.closing = true;
        self.why = Some(why);
    }
}

/// A web page can make a browser send a request here, with commands in its body; like Redis, stop at what every such request has.
fn is_http(call: &Call) -> bool {
    call.arguments.is(0, "POST") || call.arguments.is(0, "Host:")
}
