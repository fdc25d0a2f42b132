//! What is written down of decisions, and how it is found again.

use std::sync::atomic::Ordering;

use super::*;
use crate::model::Receipts;
use crate::source::redis::{dead, journal};
use crate::source::{Fate, PastDecision, Settlement};

const MINUTE_MS: u64 = 60_000;

#[tokio::test]
async fn entries_are_acknowledged_and_decisions_journalled_in_one_step_however_many() {
    let server = Server::start();
    let mut host = Host::on(&server, "a").await;
    let term = host.lead().await;
    let receipts = host.read(10_001).await;
    let mut written = lines(&[1, 2], false, 5 * MINUTE_MS);
    written.add(
        Mark {
            id_hash: 3,
            parts: 9,
            at_ms: 6 * MINUTE_MS,
        },
        true,
        0,
    );
    assert_eq!(host.settle(&term, &receipts[1..], &written).await, Fenced::Done(true));
    assert_eq!(host.pending().await, 1);
    let found = journal::recall(&host.shared, &mut host.connection, 4).await.unwrap();
    assert_eq!(found.epoch, 4);
    let told = |own: PastDecision| format!("{}: {} parts, dropped {}", own.id_hash, own.parts, own.dropped);
    let minutes = found.decided.iter().map(|minute| (minute.at_ms / MINUTE_MS, minute.decisions().map(told).collect::<Vec<_>>()));
    let [first, second] = ["1: 1 parts, dropped false", "2: 1 parts, dropped false"].map(str::to_owned);
    let third = "3: 9 parts, dropped true".to_owned();
    assert_eq!(minutes.collect::<Vec<_>>(), [(6, vec![first, second]), (7, vec![third])], "each with the end of its minute");
    let key = host.shared.keys.minute(5);
    let lasts_ms: u64 = host.run(&format!("PTTL {key}")).await;
    assert!(lasts_ms > 600_000, "{lasts_ms}");
}

#[tokio::test]
async fn the_newest_decisions_are_recalled_as_many_as_may_be_and_the_oldest_come_first() {
    let server = Server::start();
    let mut host = Host::on(&server, "a").await;
    let term = host.lead().await;
    for minute in 0..5 {
        let ids: Vec<u64> = (0..4).map(|number| 10 * minute + number).collect();
        host.settle(&term, &[], &lines(&ids, false, minute * MINUTE_MS)).await;
    }
    let found = journal::recall(&host.shared, &mut host.connection, 1).await.unwrap();
    let ids: Vec<u64> = found.decided.iter().flat_map(|minute| minute.decisions().map(|decision| decision.id_hash)).collect();
    assert_eq!(ids, [22, 23, 30, 31, 32, 33, 40, 41, 42, 43]);
}

#[tokio::test]
async fn all_hosts_hash_ids_by_the_same_key_and_nobody_else_knows_it() {
    let server = Server::start();
    let (mut a, mut b) = (Host::on(&server, "a").await, Host::on(&server, "b").await);
    let key = |host: &mut Host| {
        let (shared, mut connection) = (Arc::clone(&host.shared), host.connection.clone());
        async move { journal::recall(&shared, &mut connection, 1).await.unwrap().id_key.unwrap() }
    };
    let made = key(&mut a).await;
    assert_eq!(key(&mut b).await, made);
    a.run::<()>("FLUSHALL").await;
    assert_ne!(key(&mut a).await, made);
    let name = a.shared.keys.id_key.clone();
    a.run::<()>(&format!("SET {name} short")).await;
    let mended = key(&mut a).await;
    assert_eq!(key(&mut b).await, mended);
}

#[tokio::test]
async fn what_is_journalled_after_all_keys_were_removed_can_be_read_by_those_who_lead_later() {
    let server = Server::start();
    let (mut a, mut b) = (Host::on(&server, "a").await, Host::on(&server, "b").await);
    let term = a.lead().await;
    let key = journal::recall(&a.shared, &mut a.connection, term.epoch).await.unwrap().id_key;
    for (number, removing) in (0u64..).zip(["FLUSHALL", "DEL KEY", "SET KEY another's", "FLUSHALL"]) {
        let name = a.shared.keys.id_key.clone();
        a.run::<()>(&removing.replace("KEY", &name)).await;
        assert!(a.keep().await);
        let receipts = a.read(1).await;
        if number < 3 {
            assert_eq!(a.settle(&term, &receipts, &lines(&[number], false, 0)).await, Fenced::Done(true));
        } else {
            let mark = Some(Mark { id_hash: number, parts: 1, at_ms: 0 });
            let fate = Fate::Dead {
                stage: "decode",
                plugin: None,
                reason: "no".into(),
                trace: None,
            };
            let receipts = Receipts { epoch: term.epoch, mark, list: receipts };
            let buried = dead::bury(&a.shared, &mut a.connection, &term, &mut Settlement { receipts, fate }.into()).await;
            assert_eq!(buried.unwrap(), Fenced::Done(()));
        }
        let found = journal::recall(&b.shared, &mut b.connection, 1).await.unwrap();
        let last = found.decided.iter().flat_map(|minute| minute.decisions()).last();
        assert_eq!((found.id_key, last.map(|decision| decision.id_hash)), (key, Some(number)), "{removing}");
    }
}

#[tokio::test]
async fn a_minute_with_more_decisions_than_may_be_remembered_empties_no_journal() {
    let server = Server::start();
    let mut host = Host::on(&server, "a").await;
    let term = host.lead().await;
    let busy: Vec<u64> = (0..25).collect();
    host.settle(&term, &[], &lines(&[99], false, 100 * MINUTE_MS)).await;
    host.settle(&term, &[], &lines(&busy, false, 101 * MINUTE_MS)).await;
    for later in [None, Some(102)] {
        if let Some(minute) = later {
            host.settle(&term, &[], &lines(&[30], false, minute * MINUTE_MS)).await;
        }
        journal::look_after(&host.shared, &mut host.connection).await.unwrap();
        let found = journal::recall(&host.shared, &mut host.connection, 1).await.unwrap();
        let ids: Vec<u64> = found.decided.iter().flat_map(|minute| minute.decisions().map(|decision| decision.id_hash)).collect();
        let all: Vec<u64> = busy.iter().copied().chain(later.map(|_| 30)).collect();
        assert_eq!(ids, all[all.len() - 10..], "the ten newest");
    }
}

#[tokio::test]
async fn minutes_that_are_over_or_too_many_are_removed_and_the_others_kept_from_ending() {
    let server = Server::start();
    let mut host = Host::on(&server, "a").await;
    let term = host.lead().await;
    for minute in [99, 100, 101, 102, 103] {
        host.settle(&term, &[], &lines(&[1, 2, 3, 4], false, minute * MINUTE_MS)).await;
    }
    let kept = host.shared.keys.minute(103);
    host.run::<()>(&format!("PEXPIRE {kept} 1000")).await;
    let bytes = journal::look_after(&host.shared, &mut host.connection).await.unwrap();
    assert_eq!(bytes, 108, "there may be ten decisions, and minutes behind those that have them are gone");
    let lasts_ms: u64 = host.run(&format!("PTTL {kept}")).await;
    assert!(lasts_ms > 600_000, "{lasts_ms}");
    // The clock of Redis was set two hours ahead: no time has passed for that.
    host.shared.read_ms.store(104 * MINUTE_MS, Ordering::Relaxed);
    host.shared.ahead_ms.store(-120 * MINUTE_MS as i64, Ordering::Relaxed);
    assert_eq!(journal::look_after(&host.shared, &mut host.connection).await.unwrap(), 108);
    host.shared.ahead_ms.store(0, Ordering::Relaxed);
    // Kept for ten minutes of stream time behind the end of minute 102.
    host.shared.read_ms.store(113 * MINUTE_MS + 1, Ordering::Relaxed);
    assert_eq!(journal::look_after(&host.shared, &mut host.connection).await.unwrap(), 36);
    host.shared.read_ms.store(1_000 * MINUTE_MS, Ordering::Relaxed);
    assert_eq!(journal::look_after(&host.shared, &mut host.connection).await.unwrap(), 0);
    let left: Vec<String> = host.run(&format!("KEYS {}*", host.shared.keys.minutes.replace(['{', '}'], "?"))).await;
    assert!(left.is_empty(), "{left:?}");
}
