//! However large the entries are that wait in the log, no more of them is held at once than may be.

use tokio::sync::mpsc;

use super::super::pace::REPLY_BYTES;
use super::super::{dead, reader};
use super::*;
use crate::model::Receipts;
use crate::source::{Batch, Fate, Settlement};

/// An entry as it was handed on: its bytes, or `None` if it was not read.
type Entry = (EntryId, Option<usize>);

const MIB: usize = 1024 * 1024;

/// Small ones until hundreds are asked for at once; then large ones, one that no reply can hold among them; then small ones again.
async fn publish(host: &mut Host) -> Vec<Entry> {
    let sizes = [vec![9; 1_500], vec![MIB; 40], vec![REPLY_BYTES as usize + 1], vec![MIB; 20], vec![9; 50]].concat();
    let mut entries = Vec::new();
    for sizes in sizes.chunks(100) {
        let mut adding = redis::pipe();
        for size in sizes {
            adding.cmd("XADD").arg(STREAM).arg("*").arg("k").arg("v".repeat(size - 1));
        }
        let ids: Vec<String> = adding.query_async(&mut host.connection).await.unwrap();
        let ids = ids.iter().map(|id| EntryId::parse(id.as_bytes()).unwrap());
        entries.extend(ids.zip(sizes).map(|(id, size)| (id, Some(*size).filter(|size| *size < REPLY_BYTES as usize))));
    }
    entries
}

/// What this host hands on until that are as many.
async fn hand_on(host: &Host, count: usize) -> Vec<Entry> {
    let (out, mut batches) = mpsc::channel::<Batch>(1);
    let (stop, stopping) = watch::channel(false);
    let mut entries = Vec::new();
    let collecting = async {
        while entries.len() < count {
            let mut batch = batches.recv().await.expect("it reads until it is told to stop");
            let mut held = 0;
            for entry in batch.drain() {
                let bytes: usize = entry.fields().map(|(key, value)| key.len() + value.len()).sum();
                assert!(entry.unread.is_none_or(|more_than| more_than == REPLY_BYTES && bytes == 0));
                let id = EntryId {
                    ms: entry.receipt.ms,
                    seq: entry.receipt.seq,
                };
                entries.push((id, Some(bytes).filter(|_| entry.unread.is_none())));
                held += bytes;
            }
            assert!(held <= REPLY_BYTES as usize);
        }
        stop.send(true).unwrap();
    };
    let both = async { tokio::join!(reader::run(&host.shared, out, stopping), collecting) };
    tokio::time::timeout(std::time::Duration::from_secs(120), both).await.expect("all of them are handed on");
    entries
}

#[tokio::test]
async fn entries_of_any_size_are_read_in_order_in_replies_that_have_an_end() {
    let server = Server::start();
    let mut first = Host::on(&server, "first").await;
    group::ensure(&first.shared, &mut first.connection).await.unwrap();
    let published = publish(&mut first).await;
    assert!(hand_on(&first, published.len()).await == published, "they are new");
    first.let_the_lease_end().await;
    let second = Host::on(&server, "second").await;
    assert!(hand_on(&second, published.len()).await == published, "they were left pending");
}

#[tokio::test]
async fn of_an_entry_that_cannot_be_read_a_dead_letter_tells_and_does_not_hold_it() {
    let server = Server::start();
    let mut host = Host::on(&server, "only").await;
    group::ensure(&host.shared, &mut host.connection).await.unwrap();
    let mut adding = redis::cmd("XADD");
    adding.arg(STREAM).arg("*").arg("trace_id").arg("x".repeat(REPLY_BYTES as usize));
    let id: String = adding.query_async(&mut host.connection).await.unwrap();
    let entries = hand_on(&host, 1).await;
    assert_eq!(entries, [(EntryId::parse(id.as_bytes()).unwrap(), None)]);
    let term = host.lead().await;
    let settlement = Settlement {
        receipts: Receipts {
            epoch: term.epoch,
            mark: None,
            list: vec![entries[0].0.receipt()],
        },
        fate: Fate::Dead {
            stage: "decode",
            plugin: None,
            reason: "too large".into(),
            trace: None,
        },
    };
    assert_eq!(dead::bury(&host.shared, &mut host.connection, &term, &mut settlement.into()).await.unwrap(), Fenced::Done(()));
    let letters: Vec<(String, Vec<String>)> = host.run(&format!("XRANGE {} - +", host.shared.dead_stream.clone())).await;
    assert_eq!(letters[0].1, ["dead:entry", id.as_str(), "dead:stage", "decode", "dead:reason", "too large"]);
    assert_eq!((letters.len(), host.pending().await, host.shared.is_unread(entries[0].0)), (1, 0, false));
    assert_eq!(host.run::<u64>(&format!("XLEN {STREAM}")).await, 1, "the log holds it until it is trimmed");
}
