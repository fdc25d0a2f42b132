//! Receipts back to Redis: acknowledging and journalling, and the dead-letter stream.

mod refused;

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{RedisError, RedisResult};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::dead::{self, GivenUp};
use super::fence::{self, Fenced};
use super::journal::Lines;
use super::lease::Term;
use super::{Shared, connect};
use crate::source::{Fate, Settlement};
use refused::Refused;

/// Receipts of whole traces are gathered up to about this many for one command.
const ACK_BATCH: usize = 1_000;
/// Settlements that are taken out of their queue at once, at most.
const AT_ONCE: usize = 1_000;
/// How often a dead letter that Redis refused is tried again. Its entries stay pending meanwhile.
const DEAD_RETRY: Duration = Duration::from_secs(2);
/// Dead letters that are refused in one round before the others have to wait for the next.
const REFUSALS_MAX: usize = 10;
const RETRY: Duration = Duration::from_millis(200);

/// Settles until `settlements` ends. Nothing is given up: what Redis does not take now is tried again, and what is not settled when this ends is
/// still pending. Only what was read under a leadership that has ended is thrown away: whoever leads now reads it again.
pub(super) async fn run(shared: &Shared, mut settlements: mpsc::Receiver<Settlement>) {
    let mut link = Link { shared, connection: None, refusal: None };
    let mut refused = Refused::default();
    let mut retry_at = Instant::now();
    let mut came = Vec::new();
    loop {
        let any = tokio::select! {
            any = more(&mut settlements, &mut came) => any,
            () = sleep_until(retry_at), if !refused.is_empty() => {
                let left = link.bury_all(refused.take()).await;
                keep(shared, &mut refused, left);
                if let Some(epoch) = refused.left_behind() {
                    read_again(shared, epoch);
                }
                retry_at = Instant::now() + DEAD_RETRY;
                continue;
            }
        };
        if !any {
            break;
        }
        let (done, dead) = gather(&mut came);
        link.acknowledge(done).await;
        if !dead.is_empty() {
            let left = if refused.is_unsure() { dead.into() } else { link.bury_all(dead.into()).await };
            if refused.is_empty() && !left.is_empty() {
                tracing::warn!("Redis refuses dead letters; their entries stay pending, and they are tried again");
                retry_at = Instant::now() + DEAD_RETRY;
            }
            keep(shared, &mut refused, left);
        }
    }
    if !refused.is_empty() {
        tracing::warn!(traces = refused.len(), "Redis refused some dead letters; their entries stay pending for the next start");
    }
}

/// Waits until something has come, if nothing has; says whether something has, or nothing will any more.
async fn more(settlements: &mut mpsc::Receiver<Settlement>, came: &mut Vec<Settlement>) -> bool {
    // All that wait, at once: taken one by one, each would wake whoever waits to send the next.
    !came.is_empty() || settlements.recv_many(came, AT_ONCE).await > 0
}

/// Of what has come, what goes into one command: what is to be acknowledged, and dead letters.
fn gather(came: &mut Vec<Settlement>) -> (Vec<Settlement>, Vec<GivenUp>) {
    let mut count = 0;
    let enough = |settlement: &Settlement| {
        count += if is_dead(settlement) { 1 } else { settlement.receipts.list.len() };
        count >= ACK_BATCH
    };
    let taken = came.iter().position(enough).map_or(came.len(), |last| last + 1);
    let (dead, done): (Vec<Settlement>, Vec<Settlement>) = came.drain(..taken).partition(is_dead);
    (done, dead.into_iter().map(GivenUp::from).collect())
}

fn is_dead(settlement: &Settlement) -> bool {
    matches!(settlement.fate, Fate::Dead { .. })
}

/// Keeps dead letters for another try. Those that there is no room for stay pending until the others are through.
fn keep(shared: &Shared, refused: &mut Refused, more: VecDeque<GivenUp>) {
    let left = refused.keep(more);
    if left > 0 {
        shared.status.dead_letters_left.fetch_add(left, Ordering::Relaxed);
        tracing::warn!(left, "too many dead letters wait for Redis; further ones stay pending, and are read again when it has taken those");
    }
}

/// Has everything read again that is pending, what was let go of among it. Whoever leads since then has done so.
fn read_again(shared: &Shared, epoch: u32) {
    if shared.lease.term().is_some_and(|term| term.epoch == epoch) {
        tracing::info!(
            "Redis has taken the dead letters that waited; what is pending is read again, since there were more, and may come twice"
        );
        shared.read_again.store(true, Ordering::Relaxed);
    }
}

/// Whether Redis would refuse every other dead letter for the same reason.
fn concerns_all(error: &RedisError) -> bool {
    let reasons = ["OOM", "READONLY", "NOPERM", "NOAUTH", "LOADING", "MISCONF", "MASTERDOWN", "NOREPLICAS", "CLUSTERDOWN"];
    error.is_io_error() || error.is_unrecoverable_error() || connect::is_answered(error, &reasons)
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

    /// Moves dead letters; returns those that were not tried, and behind them those that Redis refused. One that is refused stands in nobody's way for long; what
    /// Redis refuses for a reason that concerns all is not asked for again in this round. One whose answer was lost comes first the next time: Redis remembers only
    /// what it has taken last.
    async fn bury_all(&mut self, mut dead: VecDeque<GivenUp>) -> VecDeque<GivenUp> {
        let mut refused = Vec::new();
        while let Some(mut next) = dead.pop_front() {
            let Err(error) = self.bury(&mut next).await else {
                self.refusal.take().iter().for_each(|refusal| self.shared.status.clear_error(refusal));
                continue;
            };
            let told = self.shared.connector.explain(&error);
            tracing::debug!(error = told, "a dead letter was refused");
            let told = format!("dead letters are refused: {told}");
            self.shared.status.set_error(told.clone());
            self.refusal = Some(told);
            if connect::is_of_no_use(&error) {
                self.connection = None;
            }
            if next.is_unsure() {
                dead.push_front(next);
                break;
            }
            refused.push(next);
            if concerns_all(&error) || refused.len() >= REFUSALS_MAX {
                break;
            }
        }
        dead.extend(refused);
        dead
    }

    /// Moves one, if it was read under the leadership that we have.
    async fn bury(&mut self, dead: &mut GivenUp) -> RedisResult<()> {
        let shared = self.shared;
        while let Some(term) = shared.lease.term().filter(|term| term.epoch == dead.epoch()) {
            let connection = self.connection().await?;
            if dead::bury(shared, connection, &term, dead).await? == Fenced::Refused {
                shared.lease.keep(shared, connection).await?;
                continue;
            }
            return Ok(());
        }
        shared.status.settlements_fenced.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
