//! Any bytes as Redis' reply to a read.

use redis::Parser;

use super::entries;
use super::reply;
use super::tap::fuzz::{taps, through};
use crate::decode::Decoder;
use crate::source::Batch;

/// Bytes of a reply that are looked at. The client library goes into arrays within arrays by recursion, which is Redis' to abuse: it is trusted.
const MAX_BYTES: usize = 1_024;

/// Whatever a reply is: the tap takes it for the same however it comes, and ends it where the client library does. Its entries go into a batch, one each,
/// with as many fields as it has pairs, and can be offered to the decoder. What is found in the bytes is what the library reads.
pub fn replies(data: &[u8]) {
    taps(data);
    let found = entries::find_in(data);
    let Ok(value) = Parser::new().parse_value(data.get(..MAX_BYTES).unwrap_or(data)) else { return };
    reply::time_ms(&value);
    // What Redis pushes is no reply: the next one is diverted.
    if !data.starts_with(b">")
        && let (_, Some(diverted)) = through(data, &[], Some(0))
    {
        let same = Parser::new().parse_value(&*diverted).ok();
        assert_eq!(format!("{same:?}"), format!("{:?}", Some(&value)), "the tap cuts where the library does");
    }
    let mut batch = Batch::default();
    let mut expected = Vec::new();
    for (id, fields) in reply::stream_entries(&value).iter().filter_map(reply::entry) {
        let Some(fields) = fields else { continue };
        reply::push(&mut batch, id, id.ms, fields);
        expected.push((id.receipt().to_string(), fields.len() / 2));
    }
    assert_eq!(batch.len(), expected.len());
    if let Ok(found) = found {
        let same = found.into_batch(|id| id.ms);
        assert_eq!(format!("{same:?}"), format!("{batch:?}"), "the bytes say the same as the library does");
    }
    let mut decoder = Decoder::default();
    for (entry, (receipt, pairs)) in batch.drain().zip(expected) {
        assert!(entry.receipt.to_string() == receipt && entry.fields().count() <= pairs);
        // Most are refused; none may do harm.
        let _ = decoder.decode(&entry);
    }
}
