//! Dead letters that Redis does not take, and those behind them.

use std::sync::atomic::Ordering;

use tokio::sync::mpsc;

use super::super::{dead, reader, settle};
use super::*;
use crate::model::Receipts;
use crate::source::{Batch, Fate, Settlement};

/// Entries that were given up, under this leadership.
fn given_up(list: Vec<Receipt>, epoch: u32, mark: Option<Mark>) -> Settlement {
    let fate = Fate::Dead {
        stage: "decode",
        plugin: None,
        reason: "no".into(),
        trace: None,
    };
    Settlement {
        receipts: Receipts { epoch, mark, list },
        fate,
    }
}

#[tokio::test]
async fn a_dead_letter_that_cannot_be_written_holds_up_none_behind_it() {
    let server = Server::start();
    let mut host = Host::on(&server, "a").await;
    let term = host.lead().await;
    let receipts = host.read(3).await;
    let minute = host.shared.keys.minute(7);
    host.run::<()>(&format!("SADD {minute} somebody-elses")).await;
    let mark = Mark { id_hash: 1, parts: 1, at_ms: 7 * 60_000 };
    let (out, settlements) = mpsc::channel(3);
    for (receipt, mark) in receipts.into_iter().zip([Some(mark), None, None]) {
        out.send(given_up(vec![receipt], term.epoch, mark)).await.unwrap();
    }
    let shared = Arc::clone(&host.shared);
    let watching = async {
        eventually("those behind it are written", async || host.run::<u64>("XLEN {mesh:trace}:dead").await == 2).await;
        assert_eq!(host.pending().await, 1);
        host.run::<()>(&format!("DEL {minute}")).await;
        eventually("and it, when it can be", async || host.pending().await == 0).await;
        drop(out);
    };
    tokio::join!(settle::run(&shared, settlements), watching);
    assert_eq!(host.run::<u64>("XLEN {mesh:trace}:dead").await, 3);
}

#[tokio::test]
async fn dead_letters_that_there_is_no_room_for_are_read_again_when_the_others_are_written() {
    const COUNT: usize = 10_007;
    let server = Server::start();
    let (mut former, mut host) = (Host::on(&server, "former").await, Host::on(&server, "a").await);
    former.read(COUNT).await;
    let (out, mut batches) = mpsc::channel::<Batch>(1);
    let (giving_up, settlements) = mpsc::channel(1_000);
    let (stop, stopping) = watch::channel(false);
    let shared = Arc::clone(&host.shared);
    let deciding = async {
        while let Some(mut batch) = batches.recv().await {
            let epoch = shared.lease.epoch();
            if !batch.is_empty() && shared.status.entries_read.load(Ordering::Relaxed) < COUNT as u64 {
                former.run::<()>("CONFIG SET maxmemory 1").await;
            }
            for entry in batch.drain() {
                giving_up.send(given_up(vec![entry.receipt], epoch, None)).await.unwrap();
            }
        }
        drop(giving_up);
    };
    let watching = async {
        let left = || shared.status.dead_letters_left.load(Ordering::Relaxed);
        eventually("there is no room for seven", async || left() == 7).await;
        assert_eq!(host.pending().await, COUNT as u64);
        host.run::<()>("CONFIG SET maxmemory 0").await;
        eventually("all are written", async || host.pending().await == 0).await;
        stop.send(true).unwrap();
    };
    tokio::join!(reader::run(&shared, out, stopping), settle::run(&shared, settlements), deciding, watching);
    assert_eq!(host.run::<usize>("XLEN {mesh:trace}:dead").await, COUNT);
}

#[tokio::test]
async fn a_stream_of_dead_letters_that_has_no_ids_left_takes_none_and_loses_none() {
    let server = Server::start();
    let mut host = Host::on(&server, "a").await;
    let term = host.lead().await;
    let receipts = host.read(2).await;
    let of = |range: std::ops::Range<usize>| {
        let copied = |receipt: &Receipt| EntryId::of_receipt(receipt).receipt();
        given_up(receipts[range].iter().map(copied).collect(), term.epoch, None)
    };
    let last = format!("{}-{}", u64::MAX, u64::MAX - 1);
    host.run::<()>(&format!("XADD {{mesh:trace}}:dead {last} a b")).await;
    // There is one id left, and two are needed.
    let refused = dead::bury(&host.shared, &mut host.connection, &term, &mut of(0..2).into()).await;
    let error = refused.expect_err("there is no id for both").to_string();
    assert!(error.contains("{mesh:trace}:dead has no ids left"), "{error}");
    assert_eq!(host.pending().await, 2);
    assert_eq!(dead::bury(&host.shared, &mut host.connection, &term, &mut of(0..1).into()).await.unwrap(), Fenced::Done(()));
    assert!(dead::bury(&host.shared, &mut host.connection, &term, &mut of(1..2).into()).await.is_err());
    assert_eq!((host.pending().await, host.run::<u64>("XLEN {mesh:trace}:dead").await), (1, 2));
}
