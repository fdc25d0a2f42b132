//! Receipts back to Redis: acknowledging, and the dead-letter stream.

use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::Shared;
use super::reply::{entry, items};
use crate::model::Receipt;
use crate::source::{Fate, Settlement};

/// Receipts of whole traces are gathered up to about this many for one command.
const ACK_BATCH: usize = 1_000;
/// Entries that the dead-letter stream keeps, about; older ones go. `XADD … MAXLEN ~`.
pub(super) const DEAD_MAX: usize = 100_000;
/// How often a dead letter that Redis refused is tried again. Its entries stay pending meanwhile.
const DEAD_RETRY: Duration = Duration::from_secs(2);
/// Dead letters that wait for Redis to take them, at most.
const REFUSED_MAX: usize = 10_000;
const RETRY: Duration = Duration::from_millis(200);

/// Settles until `settlements` ends. Nothing is given up: what Redis does not take now is tried again, and what is not settled when this ends is
/// still pending.
pub(super) async fn run(shared: &Shared, mut settlements: mpsc::Receiver<Settlement>) {
    let mut link = Link { shared, connection: None };
    let mut refused: Vec<Settlement> = Vec::new();
    let mut retry_at = Instant::now();
    loop {
        let first = tokio::select! {
            settlement = settlements.recv() => settlement,
            () = sleep_until(retry_at), if !refused.is_empty() => {
                refused = link.bury_all(std::mem::take(&mut refused)).await;
                retry_at = Instant::now() + DEAD_RETRY;
                continue;
            }
        };
        let Some(first) = first else { break };
        let (delivered, dead) = gather(first, &mut settlements);
        link.acknowledge(&delivered).await;
        if !dead.is_empty() {
            let left = link.bury_all(dead).await;
            if refused.is_empty() && !left.is_empty() {
                tracing::warn!("Redis refuses dead letters; their entries stay pending, and they are tried again");
                retry_at = Instant::now() + DEAD_RETRY;
            }
            keep(&mut refused, left);
        }
    }
    if !refused.is_empty() {
        tracing::warn!(traces = refused.len(), "Redis refused some dead letters; their entries stay pending for the next start");
    }
}

/// What has come by now: receipts to acknowledge, and dead letters.
fn gather(first: Settlement, settlements: &mut mpsc::Receiver<Settlement>) -> (Vec<Receipt>, Vec<Settlement>) {
    let (mut delivered, mut dead) = (Vec::new(), Vec::new());
    let mut next = Some(first);
    while let Some(settlement) = next {
        match settlement.fate {
            Fate::Delivered | Fate::Dropped(_) => delivered.extend(settlement.receipts),
            Fate::Dead { .. } => dead.push(settlement),
        }
        let enough = delivered.len() + dead.len() >= ACK_BATCH;
        next = if enough { None } else { settlements.try_recv().ok() };
    }
    (delivered, dead)
}

/// Keeps dead letters for another try; beyond a bound they are left to the next start, which reads their entries again.
fn keep(refused: &mut Vec<Settlement>, more: Vec<Settlement>) {
    let room = REFUSED_MAX.saturating_sub(refused.len());
    if more.len() > room {
        tracing::warn!(left = more.len() - room, "too many dead letters wait for Redis; further ones stay pending until the next start");
    }
    refused.extend(more.into_iter().take(room));
}

struct Link<'a> {
    shared: &'a Shared,
    connection: Option<MultiplexedConnection>,
}

impl Link<'_> {
    async fn connection(&mut self) -> RedisResult<&mut MultiplexedConnection> {
        if self.connection.is_none() {
            self.connection = Some(self.shared.connector.connect().await?);
        }
        // Just set, so there is one.
        self.connection.as_mut().ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotConnected).into())
    }

    /// Acknowledges in one command, and until it has worked: it may be repeated, and must not be forgotten.
    async fn acknowledge(&mut self, receipts: &[Receipt]) {
        if receipts.is_empty() {
            return;
        }
        let mut ack = redis::cmd("XACK");
        ack.arg(&self.shared.stream).arg(&self.shared.group);
        for receipt in receipts {
            ack.arg(receipt.to_string());
        }
        let mut told = false;
        loop {
            let done = match self.connection().await {
                Ok(connection) => ack.query_async::<Value>(connection).await,
                Err(error) => Err(error),
            };
            let Err(error) = done else { break };
            if !told {
                let error = self.shared.connector.explain(&error);
                tracing::warn!(error, "acknowledging failed; trying until it works");
                told = true;
            }
            self.connection = None;
            sleep(RETRY).await;
        }
        self.shared.status.entries_acknowledged.fetch_add(receipts.len() as u64, Ordering::Relaxed);
    }

    /// Moves dead letters; returns those that Redis refused. What it refuses once it is not asked again in this round.
    async fn bury_all(&mut self, dead: Vec<Settlement>) -> Vec<Settlement> {
        let mut refused = Vec::new();
        let shared = self.shared;
        for settlement in dead {
            if !refused.is_empty() {
                refused.push(settlement);
                continue;
            }
            let buried = match self.connection().await {
                Ok(connection) => bury(shared, connection, &settlement).await,
                Err(error) => Err(error),
            };
            match buried {
                Ok(()) => {
                    let count = settlement.receipts.len() as u64;
                    self.shared.status.entries_dead.fetch_add(count, Ordering::Relaxed);
                    self.shared.status.entries_acknowledged.fetch_add(count, Ordering::Relaxed);
                }
                Err(error) => {
                    let lost = error.is_io_error() || error.is_unrecoverable_error();
                    let error = shared.connector.explain(&error);
                    tracing::debug!(error, "a dead letter was refused");
                    shared.status.set_error(format!("dead letters are refused: {error}"));
                    if lost {
                        self.connection = None;
                    }
                    refused.push(settlement);
                }
            }
        }
        refused
    }
}

/// Copies the entries to the dead-letter stream, each with why and where from, and acknowledges them, in one step.
async fn bury(shared: &Shared, connection: &mut MultiplexedConnection, settlement: &Settlement) -> RedisResult<()> {
    let Fate::Dead { stage, plugin, reason } = &settlement.fate else { return Ok(()) };
    let mut looking = redis::pipe();
    for receipt in &settlement.receipts {
        looking.cmd("XRANGE").arg(&shared.stream).arg(receipt.to_string()).arg(receipt.to_string());
    }
    let replies: Vec<Value> = looking.query_async(connection).await?;
    let mut moving = redis::pipe();
    moving.atomic();
    for (receipt, reply) in settlement.receipts.iter().zip(&replies) {
        let fields = items(reply).first().and_then(entry).and_then(|(_, fields)| fields).unwrap_or_default();
        let add = moving.cmd("XADD").arg(&shared.dead_stream).arg("MAXLEN").arg("~").arg(DEAD_MAX).arg("*");
        add.arg("dead:entry").arg(receipt.to_string()).arg("dead:stage").arg(*stage).arg("dead:reason").arg(reason.as_str());
        if let Some(plugin) = plugin {
            add.arg("dead:plugin").arg(plugin.as_str());
        }
        for part in fields.iter().filter_map(super::reply::bytes) {
            add.arg(part);
        }
        add.ignore();
    }
    let ack = moving.cmd("XACK").arg(&shared.stream).arg(&shared.group);
    for receipt in &settlement.receipts {
        ack.arg(receipt.to_string());
    }
    moving.query_async::<()>(connection).await
}
