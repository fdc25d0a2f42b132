//! The loop that reads, on a Redis that changes under it.

use std::sync::atomic::Ordering;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::super::clock::StreamClock;
use super::super::pace::Pace;
use super::super::reader;
use super::super::recover::{self, Recovery, Whose};
use super::*;
use crate::source::{Batch, Beginning, SourceState};

/// The loop of one host, which ends with this value.
struct Reading {
    batches: mpsc::Receiver<Batch>,
    _stop: watch::Sender<bool>,
    _running: JoinSet<()>,
}

impl Reading {
    fn of(host: &Host) -> Reading {
        let (out, batches) = mpsc::channel(1);
        let (stop, stopping) = watch::channel(false);
        let shared = Arc::clone(&host.shared);
        let mut running = JoinSet::new();
        running.spawn(async move { reader::run(&shared, out, stopping).await });
        Reading { batches, _stop: stop, _running: running }
    }

    async fn batch(&mut self) -> Batch {
        let batch = tokio::time::timeout(std::time::Duration::from_secs(20), self.batches.recv()).await;
        batch.expect("something is handed on").expect("it reads until it is told to stop")
    }

    /// What is looked for, of the first batch that has it. There is always another batch, so that may not be waited for without end.
    async fn find<T>(&mut self, look: impl Fn(Batch) -> Option<T>) -> T {
        let finding = async {
            loop {
                if let Some(found) = look(self.batch().await) {
                    return found;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), finding).await.expect("it is handed on")
    }

    /// The ids of the next batch that has entries.
    async fn entries(&mut self) -> Vec<String> {
        let ids = |mut batch: Batch| batch.drain().map(|entry| entry.receipt.to_string()).collect::<Vec<_>>();
        self.find(|batch| Some(ids(batch)).filter(|ids| !ids.is_empty())).await
    }

    async fn beginning(&mut self) -> Beginning {
        self.find(|batch| batch.beginning.map(|beginning| *beginning)).await
    }
}

/// Does this in one step, and ends every other connection.
async fn at_once(host: &mut Host, commands: &[&str]) {
    let mut all = redis::pipe();
    all.atomic();
    for command in commands {
        let mut parts = command.split(' ');
        all.cmd(parts.next().unwrap());
        for part in parts {
            all.arg(part);
        }
    }
    all.cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("yes");
    all.exec_async(&mut host.connection).await.unwrap();
}

#[tokio::test]
async fn a_reply_that_was_lost_is_read_again_also_when_ids_have_begun_anew() {
    let server = Server::start();
    let mut host = Host::on(&server, "a").await;
    let mut reading = Reading::of(&host);
    reading.beginning().await;
    host.run::<()>("XADD mesh:trace 100-1 key value").await;
    assert_eq!(reading.entries().await, ["100-1"]);
    at_once(&mut host, &["DEL mesh:trace", "XADD mesh:trace 5-1 key value", "XGROUP CREATE mesh:trace g 0"]).await;
    assert_eq!(reading.entries().await, ["5-1"]);
    at_once(&mut host, &["XADD mesh:trace 5-2 key value", "XREADGROUP GROUP g meshtrace-a STREAMS mesh:trace >"]).await;
    assert_eq!(reading.entries().await, ["5-2"]);
}

#[tokio::test]
async fn strays_that_were_claimed_and_not_read_are_read_when_it_goes_on() {
    let server = Server::start();
    let (mut former, mut host) = (Host::on(&server, "former").await, Host::on(&server, "a").await);
    let term = host.lead().await;
    let receipts = former.read(3).await;
    // One is gone, and cannot be acknowledged: it breaks off behind the claim.
    host.run::<()>(&format!("XDEL {STREAM} {}", receipts[1])).await;
    host.run::<()>("ACL SETUSER default -xack").await;
    let (mut strays, mut clock, mut pace) = (Recovery::new(Whose::Strays), StreamClock::default(), Pace::new(500));
    let mut next = async |host: &mut Host| {
        recover::next(&host.shared, &mut host.connection, &mut strays, (&mut clock, &mut pace), &term).await.map_err(|_| "it breaks off")
    };
    assert!(next(&mut host).await.is_err());
    let owners: Vec<(String, String, u64, u64)> = host.run(&format!("XPENDING {STREAM} {GROUP} - + 10")).await;
    assert_eq!(owners.iter().filter(|row| row.1 == "meshtrace-a").count(), 2, "they are ours by now: {owners:?}");
    host.run::<()>("ACL SETUSER default +xack").await;
    let mut batch = next(&mut host).await.unwrap().expect("there are some");
    let ids: Vec<String> = batch.drain().map(|entry| entry.receipt.to_string()).collect();
    assert_eq!(ids, [receipts[0].to_string(), receipts[2].to_string()]);
    assert!(next(&mut host).await.unwrap().is_none(), "once");
    assert_eq!(host.pending().await, 2);
}

#[tokio::test]
async fn a_lead_that_is_lost_while_nobody_is_connected_ends_what_was_read_under_it() {
    let server = Server::start();
    let mut host = Host::on(&server, "a").await;
    let mut reading = Reading::of(&host);
    let led = reading.beginning().await.epoch;
    // It cannot be read, and is tried again after growing pauses.
    at_once(&mut host, &["SET mesh:trace no-stream"]).await;
    let (lease, leader) = (host.shared.keys.lease.clone(), host.shared.keys.leader.clone());
    at_once(&mut host, &[&format!("SET {lease} 9:meshtrace-b"), &format!("HSET {leader} token 9:meshtrace-b epoch 9")]).await;
    assert!(!host.keep().await);
    let beginning = reading.beginning().await;
    assert_eq!((beginning.epoch, beginning.id_key, beginning.epoch > led), (host.shared.lease.epoch(), None, true));
}

#[tokio::test]
async fn a_standby_that_has_lost_connections_is_there_when_the_lead_becomes_free() {
    let server = Server::start();
    let (mut other, host) = (Host::on(&server, "b").await, Host::on(&server, "a").await);
    let lease = host.shared.keys.lease.clone();
    // As long as a lease lasts that nobody keeps alive any more. A pause after many failures is longer.
    let hold = format!("SET {lease} 9:meshtrace-b PX 4000");
    other.run::<()>(&hold).await;
    let mut reading = Reading::of(&host);
    let status = &host.shared.status;
    let is_standby = || status.snapshot().state == SourceState::StandingBy;
    eventually("it stands by", async || is_standby()).await;
    for blip in 1..=8 {
        at_once(&mut other, &[&hold]).await;
        eventually("its connection is cut", async || status.disconnects.load(Ordering::Relaxed) == blip).await;
        eventually("it stands by again", async || is_standby()).await;
        assert!(other.run::<bool>(&format!("EXISTS {lease}")).await, "not before the lease had ended, after {blip} blips");
    }
    assert_eq!(reading.beginning().await.epoch, 1, "it takes over");
}

/// A host that leads and has read the entry `100-1`, its reading, and the number of its leadership.
async fn that_has_read_an_entry(server: &Server) -> (Host, Reading, u32) {
    let mut host = Host::on(server, "a").await;
    let mut reading = Reading::of(&host);
    let led = reading.beginning().await.epoch;
    host.run::<()>("XADD mesh:trace 100-1 key value").await;
    assert_eq!(reading.entries().await, ["100-1"]);
    (host, reading, led)
}

#[tokio::test]
async fn an_id_that_is_given_to_another_entry_is_not_acknowledged_by_whoever_had_it_before() {
    let server = Server::start();
    let (mut host, mut reading, led) = that_has_read_an_entry(&server).await;
    let former = host.shared.lease.term().unwrap();
    // A replica takes its place that had got nothing of that, and whose clock is behind.
    at_once(&mut host, &["DEL mesh:trace", "XADD mesh:trace 100-1 another value", "XGROUP CREATE mesh:trace g 0"]).await;
    assert!(reading.beginning().await.epoch > led, "what was read before is dropped first");
    assert_eq!(reading.entries().await, ["100-1"]);
    let held = [EntryId { ms: 100, seq: 1 }.receipt()];
    assert_eq!((host.settle(&former, &held, &Lines::default()).await, host.pending().await), (Fenced::Refused, 1));
    let term = host.shared.lease.term().unwrap();
    assert_eq!((host.settle(&term, &held, &Lines::default()).await, host.pending().await), (Fenced::Done(true), 0));
}

#[tokio::test]
async fn what_redis_has_forgotten_stays_held_where_nothing_can_have_its_id() {
    let server = Server::start();
    let (mut host, mut reading, led) = that_has_read_an_entry(&server).await;
    at_once(&mut host, &["XDEL mesh:trace 100-1", "XGROUP SETID mesh:trace g 0"]).await;
    let next: String = host.run("XADD mesh:trace * key value").await;
    assert_eq!(reading.entries().await, [next]);
    assert_eq!(host.shared.lease.epoch(), led);
}
