//! Entries that are gone when they are to be read again: nobody waits for them, and each is counted once.

use std::sync::atomic::Ordering;

use tokio::sync::mpsc;

use super::super::reader;
use super::super::safety::Safety;
use super::*;
use crate::source::Batch;

/// The reader of a host, and what it has handed on so far.
struct Reading<'a> {
    host: &'a mut Host,
    batches: mpsc::Receiver<Batch>,
    read: usize,
}

impl Reading<'_> {
    /// Waits until so many entries have been handed on, trimmed and are pending.
    async fn until(&mut self, read: usize, trimmed: u64, pending: u64) {
        eventually("so many are read, trimmed and pending", async || {
            while let Ok(mut batch) = self.batches.try_recv() {
                self.read += batch.drain().count();
            }
            let counted = self.host.shared.status.entries_trimmed.load(Ordering::Relaxed);
            (self.read, counted, self.host.pending().await) == (read, trimmed, pending)
        })
        .await;
    }
}

/// Runs the reader while `what` goes on.
async fn while_reading(host: &mut Host, what: impl AsyncFnOnce(&mut Reading)) {
    let (out, batches) = mpsc::channel(4);
    let (stop, stopping) = watch::channel(false);
    let shared = Arc::clone(&host.shared);
    let mut reading = Reading { host, batches, read: 0 };
    let doing = async {
        what(&mut reading).await;
        // The reader may wait to hand something on.
        reading.batches.close();
        let _ = stop.send(true);
    };
    let both = async { tokio::join!(reader::run(&shared, out, stopping), doing) };
    tokio::time::timeout(Duration::from_secs(60), both).await.expect("it comes to that");
}

#[tokio::test]
async fn an_entry_that_was_trimmed_after_a_lost_reply_stays_pending_for_nobody() {
    let server = Server::start();
    let mut host = Host::on(&server, "a").await;
    host.read(1).await;
    while_reading(&mut host, async |reading| {
        reading.until(1, 0, 1).await;
        // Delivered to us in a reply that never came, and one of them gone before we could ask again.
        let (consumer, mut losing) = (reading.host.shared.consumer.clone(), redis::pipe());
        losing.atomic();
        for id in ["9999999999999-1", "9999999999999-2", "9999999999999-3"] {
            losing.cmd("XADD").arg(STREAM).arg(id).arg("key").arg("value").ignore();
        }
        losing.cmd("XREADGROUP").arg("GROUP").arg(GROUP).arg(consumer).arg("STREAMS").arg(STREAM).arg(">").ignore();
        losing.cmd("XDEL").arg(STREAM).arg("9999999999999-2").ignore();
        losing.cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").ignore();
        losing.exec_async(&mut reading.host.connection).await.unwrap();
        reading.until(3, 1, 3).await;
    })
    .await;
}

#[tokio::test]
async fn an_entry_that_is_gone_is_counted_once_also_when_its_acknowledgement_fails_again_and_again() {
    let server = Server::start();
    let (mut former, mut host) = (Host::on(&server, "former").await, Host::on(&server, "a").await);
    let receipts = former.read(3).await;
    host.run::<()>(&format!("XDEL {STREAM} {}", receipts[1])).await;
    host.run::<()>("ACL SETUSER default -xack").await;
    while_reading(&mut host, async |reading| {
        reading.until(0, 1, 3).await;
        let shared = Arc::clone(&reading.host.shared);
        eventually("it has failed", async || shared.status.snapshot().last_error.is_some()).await;
        reading.host.run::<()>("ACL SETUSER default +xack").await;
        reading.until(2, 1, 2).await;
    })
    .await;
}

#[tokio::test]
async fn entries_that_are_trimmed_before_anybody_has_read_them_are_counted() {
    let server = Server::start();
    let mut host = Host::on(&server, "a").await;
    let (shared, mut safety) = (Arc::clone(&host.shared), Safety::default());
    host.read(10).await;
    for (round, lost) in [(1, 80), (2, 160)] {
        safety.look(&shared, &mut host.connection, false).await.unwrap();
        for _ in 0..100 {
            host.run::<()>(&format!("XADD {STREAM} MAXLEN = 20 * key value")).await;
        }
        safety.look(&shared, &mut host.connection, false).await.unwrap();
        assert_eq!(shared.status.entries_trimmed_unread.load(Ordering::Relaxed), lost, "{round}");
        host.run::<()>(&format!("XREADGROUP GROUP {GROUP} c COUNT 20 STREAMS {STREAM} >")).await;
    }
    // Those that were read are not unread.
    host.run::<()>(&format!("XTRIM {STREAM} MAXLEN = 0")).await;
    safety.look(&shared, &mut host.connection, false).await.unwrap();
    assert_eq!(shared.status.entries_trimmed_unread.load(Ordering::Relaxed), 160);
}
