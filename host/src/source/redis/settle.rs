//! Receipts back to Redis: acknowledging and journalling, and the dead-letter stream.

use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::fence::{self, Fenced};
use super::journal::Lines;
use super::lease::Term;
use super::{Shared, dead};
use crate::model::Trace;
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
/// still pending. Only what was read under a leadership that has ended is thrown away: whoever leads now reads it again.
pub(super) async fn run(shared: &Shared, mut settlements: mpsc::Receiver<Settlement>) {
    let mut link = Link { shared, connection: None, refusal: None };
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
        let (done, dead) = gather(first, &mut settlements);
        link.acknowledge(done).await;
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

/// What has come by now: what is to be acknowledged, and dead letters.
fn gather(first: Settlement, settlements: &mut mpsc::Receiver<Settlement>) -> (Vec<Settlement>, Vec<Settlement>) {
    let (mut done, mut dead, mut count) = (Vec::new(), Vec::new(), 0);
    let mut next = Some(first);
    while let Some(settlement) = next {
        match settlement.fate {
            Fate::Delivered | Fate::Dropped(_) => {
                count += settlement.receipts.list.len();
                done.push(settlement);
            }
            Fate::Dead { .. } => {
                count += 1;
                dead.push(settlement);
            }
        }
        next = if count >= ACK_BATCH { None } else { settlements.try_recv().ok() };
    }
    (done, dead)
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
    /// What the status says of dead letters that were refused.
    refusal: Option<String>,
}

impl Link<'_> {
    async fn connection(&mut self) -> RedisResult<&mut MultiplexedConnection> {
        if self.connection.is_none() {
            let mut connection = self.shared.connector.connect().await?;
            // It may be another server, or one that was started again. What it has forgotten is to be noticed before anything more is settled: if the answer to
            // that were lost, the count would look right.
            self.shared.lease.keep(self.shared, &mut connection).await?;
            self.connection = Some(connection);
        }
        // Just set, so there is one.
        self.connection.as_mut().ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotConnected).into())
    }

    /// Acknowledges and journals in one step, and until it has worked: it may be repeated, and must not be forgotten.
    async fn acknowledge(&mut self, mut done: Vec<Settlement>) {
        let (mut failed, shared) = (None, self.shared);
        while let Some((term, lines)) = self.current(&mut done) {
            match self.try_acknowledge(&term, &done, &lines).await {
                Ok(Fenced::Done(journalled)) => {
                    let count: usize = done.iter().map(|settlement| settlement.receipts.list.len()).sum();
                    shared.status.entries_acknowledged.fetch_add(count as u64, Ordering::Relaxed);
                    if !journalled {
                        shared.status.settlements_unjournalled.fetch_add(done.len() as u64, Ordering::Relaxed);
                    }
                    break;
                }
                // Looked at again: either the lead is lost, or Redis knows now that it is not.
                Ok(Fenced::Refused) => {}
                Err(error) => {
                    let error = shared.connector.explain(&error);
                    if failed.is_none() {
                        tracing::warn!(error, "acknowledging failed; trying until it works");
                    }
                    let error = format!("acknowledging fails: {error}");
                    shared.status.set_error(error.clone());
                    failed = Some(error);
                    self.connection = None;
                    sleep(RETRY).await;
                }
            }
        }
        failed.iter().for_each(|error| shared.status.clear_error(error));
    }

    /// What of these was read under the leadership that we have, and what of it is to be journalled; `None` when there is nothing.
    fn current(&self, settlements: &mut Vec<Settlement>) -> Option<(Term, Lines)> {
        let (term, ahead_ms, before) = (self.shared.lease.term(), self.shared.ahead_ms(), settlements.len());
        settlements.retain(|settlement| term.as_ref().is_some_and(|term| term.epoch == settlement.receipts.epoch));
        self.shared.status.settlements_fenced.fetch_add((before - settlements.len()) as u64, Ordering::Relaxed);
        let mut lines = Lines::default();
        for settlement in &*settlements {
            if let Some(mark) = settlement.receipts.mark {
                lines.add(mark, matches!(settlement.fate, Fate::Dropped(_)), ahead_ms);
            }
        }
        term.filter(|_| !settlements.is_empty()).map(|term| (term, lines))
    }

    async fn try_acknowledge(&mut self, term: &Term, done: &[Settlement], lines: &Lines) -> RedisResult<Fenced<bool>> {
        let shared = self.shared;
        let connection = self.connection().await?;
        let receipts = done.iter().flat_map(|settlement| &settlement.receipts.list);
        let settled = fence::settle(shared, connection, term, receipts, lines).await?;
        if settled == Fenced::Refused {
            shared.lease.keep(shared, connection).await?;
        }
        Ok(settled)
    }

    /// Moves dead letters; returns those that Redis refused. What it refuses once it is not asked again in this round.
    async fn bury_all(&mut self, dead: Vec<Settlement>) -> Vec<Settlement> {
        let mut refused: Vec<Settlement> = Vec::new();
        for settlement in dead {
            if !refused.is_empty() {
                refused.push(settlement);
                continue;
            }
            if let Err(error) = self.bury(&settlement).await {
                let lost = error.is_io_error() || error.is_unrecoverable_error();
                let error = self.shared.connector.explain(&error);
                tracing::debug!(error, "a dead letter was refused");
                let error = format!("dead letters are refused: {error}");
                self.shared.status.set_error(error.clone());
                self.refusal = Some(error);
                if lost {
                    self.connection = None;
                }
                refused.push(settlement);
            } else if let Some(refusal) = self.refusal.take() {
                self.shared.status.clear_error(&refusal);
            }
        }
        refused
    }

    /// Moves one, if it was read under the leadership that we have.
    async fn bury(&mut self, settlement: &Settlement) -> RedisResult<()> {
        let (shared, receipts) = (self.shared, &settlement.receipts);
        while let Some(term) = shared.lease.term().filter(|term| term.epoch == receipts.epoch) {
            let connection = self.connection().await?;
            if dead::bury(shared, connection, &term, settlement).await? == Fenced::Refused {
                shared.lease.keep(shared, connection).await?;
                continue;
            }
            let count = receipts.list.len() as u64;
            shared.status.entries_dead.fetch_add(count, Ordering::Relaxed);
            shared.status.entries_acknowledged.fetch_add(count, Ordering::Relaxed);
            return Ok(());
        }
        shared.status.settlements_fenced.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::encode::sample::{span, trace};
    use crate::model::{Receipts, Text};

    fn dead(bytes: usize) -> Settlement {
        let mut large = span("a");
        large.error = Text::own(&"x".repeat(bytes));
        let fate = Fate::Dead {
            stage: "export",
            plugin: None,
            reason: "no".into(),
            trace: Some(Arc::new(trace("t", vec![large]))),
        };
        let receipts = Receipts::default();
        Settlement { receipts, fate }
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
