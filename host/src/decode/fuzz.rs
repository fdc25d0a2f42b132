//! Any bytes as an entry.

use super::{Decoder, accounts};
use crate::encode;
use crate::model::{Decision, Receipt, Trace};
use crate::source::Batch;

/// Fields are lines of `key=value`. What decodes does so the same way twice, is given back by its accounts, and can be encoded.
pub fn entry(data: &[u8]) {
    let lines = data.split(|byte| *byte == b'\n');
    let fields: Vec<(&[u8], &[u8])> = lines
        .map(|line| {
            let (key, value) = line.split_at(line.iter().position(|byte| *byte == b'=').unwrap_or(line.len()));
            (key, value.get(1..).unwrap_or_default())
        })
        .collect();
    let mut batch = Batch::default();
    for seq in 0..2 {
        push(&mut batch, seq, &fields);
    }
    let mut decoder = Decoder::default();
    let mut events = batch.drain().map(|entry| decoder.decode(&entry));
    let (first, second) = (events.next(), events.next());
    assert_eq!(first.as_ref().map(|event| event.as_ref().ok()), second.as_ref().map(|event| event.as_ref().ok()), "decoded in two ways");
    drop(events);
    let Some(Ok(event)) = first else { return };
    let mut batch = Batch::default();
    for (seq, account) in (0..).zip(accounts(&event.trace, &event.span)) {
        let fields: Vec<_> = account.iter().map(|(key, value)| (key.as_bytes(), value.as_bytes())).collect();
        push(&mut batch, seq, &fields);
    }
    let mut spans = batch.drain().filter_map(|entry| decoder.decode(&entry).ok()).map(|event| event.span);
    let back = spans.next().map(|first| spans.fold(first, |mut whole, span| (whole.settle(span), whole).1));
    assert_eq!(back.as_ref(), Some(&event.span), "its accounts give another span");
    let trace = Trace::new(event.trace, 0, Decision::Complete, vec![event.span]);
    for document in [encode::json(&trace), encode::json_open(&trace), encode::meshctl(&trace)] {
        assert!(serde_json::from_slice::<serde_json::Value>(&document).is_ok(), "{}", document.escape_ascii());
    }
}

fn push(batch: &mut Batch, seq: u64, fields: &[(&[u8], &[u8])]) {
    batch.push_entry(Receipt { stream: 0, ms: 1, seq }, 1);
    fields.iter().for_each(|(key, value)| batch.push_field(key, value));
}
