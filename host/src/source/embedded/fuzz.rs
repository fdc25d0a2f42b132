//! Any bytes as what a client of the listener sends.

use std::sync::Arc;

use super::conversation::Conversation;
use super::log::Log;
use super::request::RequestReader;
use super::shared::Shared;
use super::{EmbeddedConfig, bounds};

/// Bytes of entries that a conversation may leave in the log: few, so that it is full now and then.
const HELD_BYTES: usize = 4_096;

/// What a reader has made of its bytes: each request's arguments, and why it stopped, if it did.
type Read = (Vec<Vec<Vec<u8>>>, Option<String>);

/// Requests are the same whether their bytes come at once or one by one, and within their bounds.
pub fn requests(data: &[u8]) {
    for trusted in [false, true] {
        let (at_once, one_by_one) = (read(data, trusted, data.len()), read(data, trusted, 1));
        assert_eq!(at_once, one_by_one);
    }
}

fn read(data: &[u8], trusted: bool, step: usize) -> Read {
    let (mut reader, mut requests) = (RequestReader::default(), Vec::new());
    let (mut start, mut come) = (0, step.min(data.len()));
    loop {
        let bytes = data.get(start..come).unwrap_or_default();
        match reader.read(bytes, trusted) {
            Ok(Some(length)) => {
                let arguments: Vec<Vec<u8>> = reader.arguments(bytes).from(0).map(<[u8]>::to_vec).collect();
                assert!((1..=bytes.len()).contains(&length) && length <= bounds::REQUEST_BYTES + 2);
                assert!(arguments.len() <= bounds::ARGUMENTS && arguments.iter().map(Vec::len).sum::<usize>() <= length);
                requests.push(arguments);
                start += length;
            }
            Ok(None) if come == data.len() => return (requests, None),
            Ok(None) => come = (come + step).min(data.len()),
            Err(error) => return (requests, Some(error.into_owned())),
        }
    }
}

/// Whatever a client sends, it gets replies that can be read, no more is held than may be, and what it took is given back. The first byte says
/// whether there is a password.
pub fn conversation(data: &[u8]) {
    let Some((first, data)) = data.split_first() else { return };
    let (shared, mut conversation) = start(|config| {
        config.password = (first % 2 == 1).then(|| "secret".into());
        config.bounds.held_bytes = HELD_BYTES;
    });
    let replies = feed(&mut conversation, data);
    assert!(are_replies(&replies), "{}", replies.escape_ascii());
    drop(conversation);
    assert_eq!(shared.allowance.left(), shared.config.bounds.buffer_bytes);
    let holding = shared.log.holding();
    assert!(holding.bytes <= HELD_BYTES);
    let mut batch = shared.log.take();
    assert!(batch.len() <= holding.entries);
    let ids: Vec<(u64, u64)> = batch.drain().map(|entry| (entry.receipt.ms, entry.receipt.seq)).collect();
    assert!(ids.is_sorted(), "{ids:?}");
}

/// A conversation without a socket.
pub fn start(change: impl FnOnce(&mut EmbeddedConfig)) -> (Arc<Shared>, Conversation) {
    let mut config = EmbeddedConfig::new("nowhere");
    change(&mut config);
    let log = Log::new(config.bounds.held_bytes);
    let shared = Arc::new(Shared::new(config, log, Arc::default()));
    let conversation = Conversation::new(Arc::clone(&shared), 1);
    (shared, conversation)
}

/// Feeds bytes as a socket would; takes what is replied.
pub fn feed(conversation: &mut Conversation, mut bytes: &[u8]) -> Vec<u8> {
    let mut replies = Vec::new();
    loop {
        conversation.go_on();
        let count = conversation.replies.bytes().len();
        replies.extend_from_slice(conversation.replies.bytes());
        conversation.replies.sent(count);
        if conversation.is_over() || bytes.is_empty() {
            if count == 0 {
                return replies;
            }
            continue;
        }
        let Some((into, room)) = conversation.room() else { continue };
        let (now, later) = bytes.split_at(room.min(bytes.len()));
        into.extend_from_slice(now);
        bytes = later;
    }
}

/// Whether bytes are whole replies, as a client library reads them.
pub fn are_replies(mut bytes: &[u8]) -> bool {
    let mut parser = redis::Parser::new();
    while !bytes.is_empty() {
        if let Err(error) = parser.parse_value(&mut bytes)
            && error.kind() == redis::ErrorKind::Parse
        {
            return false;
        }
    }
    true
}
