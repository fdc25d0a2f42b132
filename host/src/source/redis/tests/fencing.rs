//! Who may settle, and who may not.

use std::sync::Arc;

use super::*;
use crate::encode::sample::{span, trace};
use crate::source::redis::dead::{self, GivenUp};
use crate::source::{Fate, Role, Settlement};

#[tokio::test]
async fn a_lease_that_ended_while_nobody_else_led_is_taken_again_by_the_same_token() {
    let server = Server::start();
    let (mut a, mut b) = (Host::on(&server, "a").await, Host::on(&server, "b").await);
    let first = a.lead().await;
    let receipts = a.read(3).await;
    a.let_the_lease_end().await;
    assert_eq!(a.settle(&first, &receipts[..1], &Lines::default()).await, Fenced::Done(true), "nobody has led since");
    assert!(a.keep().await);
    let again = a.lead().await;
    assert_eq!((again.epoch, &again.token), (first.epoch, &first.token));
    assert_eq!(a.run::<String>(&format!("GET {}", a.shared.keys.lease)).await, *first.token);
    assert_eq!(a.shared.status.snapshot().role_changes, 1);
    // It is held again: nobody else gets it.
    let waiting =
        tokio::time::timeout(std::time::Duration::from_millis(300), b.shared.lease.acquire(&b.shared, &mut b.connection, || ())).await;
    assert!(waiting.is_err());
    let status = b.shared.status.snapshot();
    assert_eq!((status.role, status.leader.as_deref()), (Some(Role::Standby), Some("meshtrace-a")));
}

#[tokio::test]
async fn a_lease_lasts_no_longer_than_a_lease_does_whatever_the_clock_was_set_to() {
    let server = Server::start();
    let (mut a, mut b) = (Host::on(&server, "a").await, Host::on(&server, "b").await);
    a.lead().await;
    let lease = a.shared.keys.lease.clone();
    for lasting in ["PEXPIRE LEASE 3600000", "PERSIST LEASE"] {
        a.run::<()>(&lasting.replace("LEASE", &lease)).await;
        let waiting =
            tokio::time::timeout(std::time::Duration::from_millis(300), b.shared.lease.acquire(&b.shared, &mut b.connection, || ())).await;
        assert!(waiting.is_err(), "it is still another one's");
        let left_ms: i64 = a.run(&format!("PTTL {lease}")).await;
        assert!((1..=4_000).contains(&left_ms), "{left_ms}");
    }
}

#[tokio::test]
async fn who_was_paused_while_another_led_settles_nothing_and_claims_nothing() {
    let server = Server::start();
    let (mut a, mut b) = (Host::on(&server, "a").await, Host::on(&server, "b").await);
    let old = a.lead().await;
    let receipts = a.read(3).await;
    a.let_the_lease_end().await;
    let new = b.lead().await;
    for lease_ended in [false, true] {
        if lease_ended {
            b.let_the_lease_end().await;
        }
        assert_eq!(a.settle(&old, &receipts, &lines(&[1], false, 0)).await, Fenced::Refused);
        let ids: Vec<EntryId> = receipts.iter().map(EntryId::of_receipt).collect();
        assert_eq!(fence::claim(&a.shared, &mut a.connection, &old, &ids).await.unwrap(), Fenced::Refused);
        let mut dead = dead_letter(receipts[0].ms, receipts[0].seq);
        assert_eq!(dead::bury(&a.shared, &mut a.connection, &old, &mut dead).await.unwrap(), Fenced::Refused);
    }
    assert_eq!((a.pending().await, a.run::<u64>(&format!("EXISTS {} {}", a.shared.dead_stream, a.shared.keys.minutes)).await), (3, 0));
    assert!(!a.keep().await);
    assert!(a.shared.lease.term().is_none());
    assert_eq!(a.shared.status.snapshot().leader.as_deref(), Some("meshtrace-b"));
    assert_eq!(b.settle(&new, &receipts, &Lines::default()).await, Fenced::Done(true));
    assert_eq!(b.pending().await, 0);
}

#[tokio::test]
async fn every_leadership_has_a_token_and_a_number_of_its_own() {
    let server = Server::start();
    let (mut a, mut b) = (Host::on(&server, "a").await, Host::on(&server, "b").await);
    let mut tokens = Vec::new();
    for _ in 0..2 {
        tokens.push(a.lead().await);
        a.let_the_lease_end().await;
        tokens.push(b.lead().await);
        assert!(!a.keep().await);
        b.let_the_lease_end().await;
        // Also when somebody has thrown away all that Redis knew.
        a.run::<()>("FLUSHALL").await;
    }
    assert_eq!(
        tokens.iter().map(|term| &*term.token).collect::<Vec<_>>(),
        ["1:meshtrace-a", "2:meshtrace-b", "2:meshtrace-a", "3:meshtrace-b"]
    );
    // In between, it had none.
    assert_eq!([tokens[0].epoch, tokens[2].epoch], [1, 3]);
}

#[tokio::test]
async fn a_leader_whose_reply_was_lost_need_not_wait_for_its_own_lease() {
    let server = Server::start();
    let mut host = Host::on(&server, "a").await;
    host.lead().await;
    // The same process, which does not know it.
    Arc::get_mut(&mut host.shared).unwrap().lease = Default::default();
    assert_eq!(&*host.lead().await.token, "2:meshtrace-a");
}

#[tokio::test]
async fn a_clean_end_frees_the_lead_at_once() {
    let server = Server::start();
    let (mut a, mut b) = (Host::on(&server, "a").await, Host::on(&server, "b").await);
    a.lead().await;
    group::leave(&a.shared).await;
    assert_eq!(&*b.lead().await.token, "2:meshtrace-b");
    // Who does not lead has nothing to give back.
    group::leave(&a.shared).await;
    assert!(b.keep().await);
    assert_eq!(b.run::<u64>(&format!("EXISTS {}", b.shared.keys.lease)).await, 1);
}

fn dead_letter(ms: u64, seq: u64) -> GivenUp {
    let fate = Fate::Dead {
        stage: "export",
        plugin: None,
        reason: "no".into(),
        trace: Some(Arc::new(trace("t", vec![span("a")]))),
    };
    let receipts = crate::model::Receipts {
        epoch: 1,
        mark: Some(Mark { id_hash: 7, parts: 1, at_ms: 0 }),
        list: vec![Receipt { stream: 0, ms, seq }],
    };
    Settlement { receipts, fate }.into()
}

#[tokio::test]
async fn a_dead_letter_is_written_acknowledged_and_journalled_in_one_step() {
    let server = Server::start();
    let mut host = Host::on(&server, "a").await;
    let term = host.lead().await;
    let receipts = host.read(2).await;
    // More fields than a script could hand on.
    let mut add = redis::cmd("XADD");
    add.arg(STREAM).arg("*");
    for number in 0..9_000 {
        add.arg(number).arg("x");
    }
    let wide: String = add.query_async(&mut host.connection).await.unwrap();
    let wide = EntryId::parse(wide.as_bytes()).unwrap();
    for (ms, seq) in [(receipts[0].ms, receipts[0].seq), (wide.ms, wide.seq)] {
        let buried = dead::bury(&host.shared, &mut host.connection, &term, &mut dead_letter(ms, seq)).await.unwrap();
        assert_eq!(buried, Fenced::Done(()));
    }
    let (dead_stream, journal) = (host.shared.dead_stream.clone(), host.shared.keys.minute(0));
    assert_eq!((host.pending().await, host.run::<u64>(&format!("XLEN {dead_stream}")).await), (1, 2));
    assert_eq!(host.run::<u64>(&format!("STRLEN {journal}")).await, 18);
    assert_eq!(host.shared.lease.settled_so_far(), 2);
}

#[tokio::test]
async fn a_dead_letter_is_not_written_when_the_lead_changes_between_looking_and_writing() {
    let server = Server::start();
    let mut host = Host::on(&server, "a").await;
    let term = host.lead().await;
    let receipts = host.read(1).await;
    let (mut dead, dead_stream) = (dead_letter(receipts[0].ms, receipts[0].seq), host.shared.dead_stream.clone());
    // The connection is told of the change when it wants to write, as if it had come after its look.
    let leader = host.shared.keys.leader.clone();
    host.run::<()>(&format!("WATCH {leader}")).await;
    let mut other = Host::on(&server, "b").await;
    other.run::<()>(&format!("HSET {leader} something new")).await;
    assert_eq!(dead::bury(&host.shared, &mut host.connection, &term, &mut dead).await.unwrap(), Fenced::Refused);
    assert_eq!((host.pending().await, host.run::<u64>(&format!("XLEN {dead_stream}")).await), (1, 0));
    assert_eq!(dead::bury(&host.shared, &mut host.connection, &term, &mut dead).await.unwrap(), Fenced::Done(()));
    assert_eq!((host.pending().await, host.run::<u64>(&format!("XLEN {dead_stream}")).await), (0, 1));
}

#[tokio::test]
async fn a_dead_letter_that_cannot_be_written_whole_is_not_written_at_all() {
    let server = Server::start();
    let mut host = Host::on(&server, "a").await;
    let term = host.lead().await;
    let receipts = host.read(1).await;
    let mut dead = dead_letter(receipts[0].ms, receipts[0].seq);
    for key in [host.shared.dead_stream.clone(), host.shared.keys.minutes.clone(), host.shared.keys.minute(0)] {
        host.run::<()>(&format!("LPUSH {key} somebody-elses")).await;
        let refused = dead::bury(&host.shared, &mut host.connection, &term, &mut dead).await.unwrap_err();
        assert!(refused.to_string().contains("WRONGTYPE"), "{key}: {refused}");
        host.run::<()>(&format!("DEL {key}")).await;
    }
    assert_eq!((host.pending().await, host.run::<u64>(&format!("EXISTS {}", host.shared.dead_stream)).await), (1, 0));
}
