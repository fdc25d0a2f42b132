//! A Redis that has forgotten something, is full, or was tampered with.

use tokio::sync::mpsc;

use super::*;
use crate::model::Receipts;
use crate::source::redis::{journal, settle};
use crate::source::{Fate, Settlement};

#[tokio::test]
async fn settlements_that_were_confirmed_and_are_gone_are_noticed_whoever_asks_first() {
    let server = Server::start();
    let mut host = Host::on(&server, "a").await;
    let term = host.lead().await;
    let receipts = host.read(10).await;
    for receipt in receipts[..5].chunks(1) {
        host.settle(&term, receipt, &Lines::default()).await;
    }
    assert!(host.keep().await && !host.shared.lease.has_forgotten());
    // As if it had been started again from what it had a moment ago.
    let key = host.shared.keys.leader.clone();
    let rewind = format!("HSET {key} settled 3");
    host.run::<()>(&rewind).await;
    host.settle(&term, &receipts[5..6], &Lines::default()).await;
    assert!(host.shared.lease.has_forgotten(), "noticed by settling: it was the fourth, and should have been the sixth");
    assert!(!host.shared.lease.has_forgotten());
    host.run::<()>(&rewind).await;
    assert!(host.keep().await);
    assert!(host.shared.lease.has_forgotten(), "noticed by keeping the lease");
    host.settle(&term, &receipts[6..7], &Lines::default()).await;
    assert!(!host.shared.lease.has_forgotten());
}

#[tokio::test]
async fn settlements_that_are_gone_are_noticed_before_anything_more_is_settled_on_another_connection() {
    let server = Server::start();
    let mut host = Host::on(&server, "a").await;
    let term = host.lead().await;
    for receipt in host.read(2).await.chunks(1) {
        host.settle(&term, receipt, &Lines::default()).await;
    }
    let key = host.shared.keys.leader.clone();
    host.run::<()>(&format!("HSET {key} settled 1")).await;
    // Nothing can be settled, so nothing is learned from the answer.
    host.run::<()>(&format!("SET {STREAM} no-stream")).await;
    let (sender, settlements) = mpsc::channel(1);
    let receipts = Receipts {
        epoch: term.epoch,
        mark: None,
        list: vec![EntryId { ms: 1, seq: 1 }.receipt()],
    };
    let fate = Fate::Delivered;
    sender.send(Settlement { receipts, fate }).await.unwrap();
    let noticed = async {
        while !host.shared.lease.has_forgotten() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = settle::run(&host.shared, settlements) => panic!("what is to be settled is not given up"),
        noticed = tokio::time::timeout(std::time::Duration::from_secs(20), noticed) => noticed.expect("it is noticed"),
    }
}

#[tokio::test]
async fn a_redis_without_memory_still_lets_us_lead_acknowledge_and_journal() {
    let server = Server::start();
    let (mut a, mut b) = (Host::on(&server, "a").await, Host::on(&server, "b").await);
    let term = a.lead().await;
    let receipts = a.read(3).await;
    a.run::<()>("CONFIG SET maxmemory 1").await;
    assert_eq!(a.settle(&term, &receipts[..2], &lines(&[1], false, 0)).await, Fenced::Done(true));
    a.let_the_lease_end().await;
    assert!(a.keep().await);
    a.let_the_lease_end().await;
    let term = b.lead().await;
    assert_eq!(b.settle(&term, &receipts[2..], &lines(&[2], false, 0)).await, Fenced::Done(true));
    assert_eq!(b.pending().await, 0);
    b.run::<()>("CONFIG SET maxmemory 0").await;
    let recalled = journal::recall(&b.shared, &mut b.connection, 1).await.unwrap();
    assert_eq!(recalled.decided[0].decisions().map(|decision| decision.id_hash).collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test]
async fn what_cannot_be_journalled_is_acknowledged_all_the_same() {
    let server = Server::start();
    let mut host = Host::on(&server, "a").await;
    let term = host.lead().await;
    let receipts = host.read(2).await;
    let key = host.shared.keys.minute(0);
    host.run::<()>(&format!("SADD {key} somebody-elses")).await;
    assert_eq!(host.settle(&term, &receipts, &lines(&[1], false, 0)).await, Fenced::Done(false));
    assert_eq!(host.pending().await, 0);
}

#[tokio::test]
async fn a_leader_whose_keys_were_removed_goes_on() {
    let server = Server::start();
    let (mut a, mut b) = (Host::on(&server, "a").await, Host::on(&server, "b").await);
    let term = a.lead().await;
    let receipts = a.read(4).await;
    let (lease, leader) = (a.shared.keys.lease.clone(), a.shared.keys.leader.clone());
    a.run::<()>(&format!("DEL {leader}")).await;
    assert_eq!(a.settle(&term, &receipts[..1], &Lines::default()).await, Fenced::Done(true), "the lease tells that it is us");
    a.run::<()>(&format!("DEL {lease} {leader}")).await;
    assert_eq!(a.settle(&term, &receipts[1..2], &Lines::default()).await, Fenced::Refused, "nothing tells");
    assert!(a.keep().await);
    assert_eq!(a.settle(&term, &receipts[2..3], &Lines::default()).await, Fenced::Done(true));
    // Somebody else was faster.
    a.run::<()>(&format!("DEL {lease} {leader}")).await;
    b.lead().await;
    assert!(!a.keep().await);
}

#[tokio::test]
async fn a_group_that_was_removed_is_made_again_behind_what_was_settled() {
    let server = Server::start();
    let mut host = Host::on(&server, "a").await;
    let ids: Vec<String> = host.read(3).await.iter().map(ToString::to_string).collect();
    let settled = host.shared.keys.settled.clone();
    host.run::<()>(&format!("SET {settled} {}", ids[1])).await;
    assert_eq!(group::ensure(&host.shared, &mut host.connection).await.unwrap(), None, "it is there");
    host.run::<()>(&format!("XGROUP DESTROY {STREAM} {GROUP}")).await;
    let from = group::ensure(&host.shared, &mut host.connection).await.unwrap();
    assert_eq!(from.map(|id| id.to_string()).as_ref(), Some(&ids[1]));
    // Another stream since: what was noted about the old one says nothing.
    host.run::<()>(&format!("DEL {STREAM}")).await;
    host.run::<()>(&format!("XADD {STREAM} 1-1 key value")).await;
    assert_eq!(group::ensure(&host.shared, &mut host.connection).await.unwrap(), Some(EntryId::default()));
    host.run::<()>(&format!("DEL {STREAM}")).await;
    assert_eq!(group::ensure(&host.shared, &mut host.connection).await.unwrap(), Some(EntryId::default()));
}
