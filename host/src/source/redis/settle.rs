//! Receipts back to Redis: acknowledging, and the dead-letter stream.

use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::Shared;
use super::dead::bury;
use crate::model::{Receipt, Trace};
use crate::source::{Fate, Settlement};

/// Receipts of whole traces are gathered up to about this many for one command.
const ACK_BATCH: usize = 1_000;
/// How often a dead letter that Redis refused is tried again. Its entries stay pending meanwhile.
const DEAD_RETRY: Duration = Duration::from_secs(2);
/// Dead letters that wait for Redis to take them, at most.
const REFUSED_MAX: usize = 10_000;
/// Bytes of traces that these hold, at most. Further ones are written as the log has them by then: a Redis that refuses dead letters mostly refuses new
/// entries too, and then nothing is trimmed from the log.
const REFUSED_BYTES_MAX: usize = 64 * 1024 * 1024;
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
    let mut held_bytes: usize = refused.iter().filter_map(trace_of).map(|trace| trace.bytes()).sum();
    for mut settlement in more.into_iter().take(room) {
        held_bytes += trace_of(&settlement).map_or(0, |trace| trace.bytes());
        if let Fate::Dead { trace: trace @ Some(_), .. } = &mut settlement.fate
            && held_bytes > REFUSED_BYTES_MAX
        {
            held_bytes -= trace.take().map_or(0, |trace| trace.bytes());
        }
        refused.push(settlement);
    }
}

fn trace_of(settlement: &Settlement) -> Option<&Trace> {
    match &settlement.fate {
        Fate::Dead { trace, .. } => trace.as_deref(),
        Fate::Delivered | Fate::Dropped(_) => None,
    }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::encode::sample::{span, trace};
    use crate::model::Text;

    fn dead(bytes: usize) -> Settlement {
        let mut large = span("a");
        large.error = Text::own(&"x".repeat(bytes));
        let fate = Fate::Dead {
            stage: "export",
            plugin: None,
            reason: "no".into(),
            trace: Some(Arc::new(trace("t", vec![large]))),
        };
        Settlement { receipts: Vec::new(), fate }
    }

    #[test]
    fn what_waits_for_redis_holds_no_more_than_it_may() {
        let mut refused = Vec::new();
        keep(&mut refused, (0..REFUSED_MAX + 5).map(|_| dead(1)).collect());
        assert_eq!(refused.len(), REFUSED_MAX);
        let mut refused = Vec::new();
        keep(&mut refused, vec![dead(REFUSED_BYTES_MAX / 2), dead(REFUSED_BYTES_MAX / 2)]);
        keep(&mut refused, vec![dead(REFUSED_BYTES_MAX / 2), dead(1)]);
        assert_eq!(refused.iter().map(|settlement| trace_of(settlement).is_some()).collect::<Vec<_>>(), [true, false, false, true]);
    }
}
