//! Traces that become dead letters in portions, and what cuts them off in between.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use super::*;
use crate::decode::{self, Decoder, Fields};
use crate::encode::sample;
use crate::model::{Receipts, Span, TraceId};
use crate::source::redis::dead::{self, GivenUp};
use crate::source::redis::journal;
use crate::source::{Batch, Fate, Settlement};

/// More than one portion of large entries.
const LARGE: usize = 30;
const LARGE_BYTES: usize = 900 * 1024;
/// More than two portions of small ones.
const SMALL: usize = 2_500;

/// An entry of the trace `t` with this span, as an agent would publish it.
fn fields(span: usize, more_bytes: usize) -> Fields {
    let mut fields = decode::accounts(&TraceId::parse("t"), &sample::span(&format!("s{span}"))).remove(0);
    fields.push(("filler".to_owned(), "x".repeat(more_bytes)));
    fields
}

/// The span that these fields are an account of.
fn span_of(fields: &Fields) -> Span {
    let mut batch = Batch::default();
    batch.push_entry(Receipt { stream: 0, ms: 1, seq: 1 }, 1);
    fields.iter().for_each(|(key, value)| batch.push_field(key.as_bytes(), value.as_bytes()));
    let entry = batch.drain().next().unwrap();
    Decoder::default().decode(&entry).expect("an event").span
}

/// Publishes and reads entries of these fields.
async fn read_all(host: &mut Host, entries: &[Fields]) -> Vec<EntryId> {
    group::ensure(&host.shared, &mut host.connection).await.unwrap();
    let mut ids = Vec::new();
    for entry in entries {
        let mut adding = redis::cmd("XADD");
        adding.arg(STREAM).arg("*");
        for (key, value) in entry {
            adding.arg(key).arg(value);
        }
        let id: String = adding.query_async(&mut host.connection).await.unwrap();
        let consumer = host.shared.consumer.clone();
        host.run::<redis::Value>(&format!("XREADGROUP GROUP {GROUP} {consumer} COUNT 1 STREAMS {STREAM} >")).await;
        ids.push(EntryId::parse(id.as_bytes()).unwrap());
    }
    ids
}

/// The trace of these entries, given up under this leadership.
fn given_up(entries: &[Fields], ids: &[EntryId], epoch: u32) -> GivenUp {
    let fate = Fate::Dead {
        stage: "export",
        plugin: Some("mine".into()),
        reason: "no".into(),
        trace: Some(Arc::new(sample::trace("t", entries.iter().map(span_of).collect()))),
    };
    let receipts = Receipts {
        epoch,
        mark: Some(Mark { id_hash: 7, parts: 1, at_ms: 0 }),
        list: ids.iter().map(|id| id.receipt()).collect(),
    };
    Settlement { receipts, fate }.into()
}

/// What stands in the dead letters under this key, in their order.
async fn told(host: &mut Host, key: &str) -> Vec<String> {
    let dead_stream = host.shared.dead_stream.clone();
    let letters: Vec<(String, Vec<String>)> = host.run(&format!("XRANGE {dead_stream} - +")).await;
    let value = |fields: &Vec<String>| fields.chunks(2).find(|pair| pair[0] == key).map(|pair| pair[1].clone());
    letters.iter().filter_map(|(_, fields)| value(fields)).collect()
}

/// How many entries are dead letters, and how many decisions of the trace are journalled.
async fn so_far(host: &mut Host) -> (u64, u64) {
    let (dead_stream, minute) = (host.shared.dead_stream.clone(), host.shared.keys.minute(0));
    (host.run(&format!("XLEN {dead_stream}")).await, host.run::<u64>(&format!("STRLEN {minute}")).await / 9)
}

#[tokio::test]
async fn a_trace_of_any_weight_is_buried_in_portions_that_have_an_end() {
    let server = Server::start();
    let mut host = Host::on(&server, "a").await;
    let term = host.lead().await;
    let entries: Vec<Fields> = (0..LARGE).map(|number| fields(number, LARGE_BYTES)).collect();
    let ids = read_all(&mut host, &entries).await;
    let mut dead = given_up(&entries, &ids, term.epoch);
    let (mut steps, mut before) = (0, 0);
    while dead.left() > 0 {
        assert_eq!(dead::bury_some(&host.shared, &mut host.connection, &term, &mut dead).await.unwrap(), Fenced::Done(()));
        let (letters, decisions) = so_far(&mut host).await;
        let bytes = (letters - before) as usize * LARGE_BYTES;
        assert!((1..=8 * 1024 * 1024).contains(&bytes), "{bytes} at once");
        assert_eq!((letters + host.pending().await, decisions), (LARGE as u64, 1), "what is no dead letter is pending; decided is decided");
        assert_eq!(host.shared.status.entries_dead.load(Ordering::Relaxed), letters);
        (steps, before) = (steps + 1, letters);
    }
    assert_eq!(host.shared.lease.settled_so_far(), steps);
    assert_eq!(told(&mut host, "dead:entry").await, ids.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(told(&mut host, "filler").await.iter().map(String::len).collect::<BTreeSet<_>>(), BTreeSet::from([LARGE_BYTES]));
}

#[tokio::test]
async fn what_a_leader_has_not_buried_when_it_loses_the_lead_is_there_for_the_next_one_and_nothing_twice() {
    let server = Server::start();
    let (mut a, mut b) = (Host::on(&server, "a").await, Host::on(&server, "b").await);
    let old = a.lead().await;
    let entries: Vec<Fields> = (0..SMALL).map(|number| fields(number, 1)).collect();
    let ids = read_all(&mut a, &entries).await;
    let mut dead = given_up(&entries, &ids, old.epoch);
    assert_eq!(dead::bury_some(&a.shared, &mut a.connection, &old, &mut dead).await.unwrap(), Fenced::Done(()));
    a.let_the_lease_end().await;
    let new = b.lead().await;
    assert_eq!(dead::bury(&a.shared, &mut a.connection, &old, &mut dead).await.unwrap(), Fenced::Refused);
    let (letters, decisions) = so_far(&mut b).await;
    assert_eq!((letters, decisions, b.pending().await), (1_000, 1, SMALL as u64 - 1_000));
    let recalled = journal::recall(&b.shared, &mut b.connection, 1).await.unwrap();
    let decided: Vec<_> = recalled.decided[0].decisions().map(|decision| (decision.id_hash, decision.parts)).collect();
    assert_eq!(decided, [(7, 1)], "so what is left is a late part");
    let mut rest = given_up(&entries[1_000..], &ids[1_000..], new.epoch);
    assert_eq!(dead::bury(&b.shared, &mut b.connection, &new, &mut rest).await.unwrap(), Fenced::Done(()));
    assert_eq!(told(&mut b, "dead:entry").await, ids.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(b.pending().await, 0);
}

#[tokio::test]
async fn spans_whose_entries_left_the_log_stand_behind_all_portions() {
    let server = Server::start();
    let mut host = Host::on(&server, "a").await;
    let term = host.lead().await;
    let entries: Vec<Fields> = (0..SMALL).map(|number| fields(number, 1)).collect();
    let ids = read_all(&mut host, &entries).await;
    let mut dead = given_up(&entries, &ids, term.epoch);
    // One of each portion; the second one while the first portion is being buried.
    host.run::<()>(&format!("XDEL {STREAM} {} {}", ids[5], ids[SMALL - 1])).await;
    dead::bury_some(&host.shared, &mut host.connection, &term, &mut dead).await.unwrap();
    host.run::<()>(&format!("XDEL {STREAM} {}", ids[1_005])).await;
    assert_eq!(dead::bury(&host.shared, &mut host.connection, &term, &mut dead).await.unwrap(), Fenced::Done(()));
    assert_eq!((so_far(&mut host).await, host.pending().await), ((SMALL as u64, 1), 0));
    let spans = told(&mut host, "span_id").await;
    assert_eq!(spans.iter().collect::<BTreeSet<_>>().len(), SMALL, "each once");
    let last: BTreeSet<&str> = spans[SMALL - 3..].iter().map(String::as_str).collect();
    assert_eq!(last, BTreeSet::from(["s5", "s1005", "s2499"]));
    assert_eq!(told(&mut host, "dead:rebuilt").await, vec![format!("3 of {SMALL} entries had left the log"); 3]);
}

#[tokio::test]
async fn of_a_trace_that_left_the_log_whole_all_is_written_before_anything_is_acknowledged() {
    let server = Server::start();
    let mut host = Host::on(&server, "a").await;
    let term = host.lead().await;
    let entries: Vec<Fields> = (0..LARGE).map(|number| fields(number, LARGE_BYTES)).collect();
    let ids = read_all(&mut host, &entries).await;
    let mut dead = given_up(&entries, &ids, term.epoch);
    host.run::<()>(&format!("XTRIM {STREAM} MAXLEN 0")).await;
    let mut steps = 0;
    while dead.left() > 0 {
        assert_eq!(host.pending().await, LARGE as u64);
        assert_eq!(dead::bury_some(&host.shared, &mut host.connection, &term, &mut dead).await.unwrap(), Fenced::Done(()));
        steps += 1;
    }
    assert!(steps > 2, "{steps}");
    assert_eq!((so_far(&mut host).await, host.pending().await), ((LARGE as u64, 1), 0));
    assert_eq!(told(&mut host, "span_id").await.iter().collect::<BTreeSet<_>>().len(), LARGE);
}
