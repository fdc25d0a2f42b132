//! Where traces leave the stage: kept ones to the next, the others back to the source.

use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};

use tokio::sync::mpsc::error::TrySendError;

use super::flow::{FilteredBatch, Flow, Row};
use super::handle::Command;
use super::recent::{Known, Recent};
use super::stage::{Ended, Runner};
use super::verdicts::{Gone, Why};
use crate::batch::TraceBatch;
use crate::budget::Share;
use crate::correlate::Decided;
use crate::model::{Receipts, Sampling, TraceId};
use crate::source::{Fate, Settlement};

/// What late parts follow whose trace was dropped under an earlier leadership: the journal says that it was, and not by whom.
static DROPPED_BEFORE: LazyLock<Arc<Sampling>> = LazyLock::new(|| {
    Arc::new(Sampling {
        filter: "(journal)".into(),
        keep: false,
        reason: Some("its trace was dropped before this meshtrace was started or took the lead".into()),
    })
});

impl Runner {
    /// Where a new leadership begins, its journal says what was dropped before, and what waits from before comes again.
    pub fn notice(&mut self, decided: &[Decided]) {
        let Some(epoch) = decided.last().map(|decided| decided.receipts.epoch) else { return };
        if epoch != self.epoch {
            self.epoch = epoch;
            self.dropped.clear();
            let is_over = |epoch| self.leadership.is_over(epoch);
            let mut gone: Vec<Flow> = self.seats.iter_mut().flat_map(|seat| seat.let_go(is_over)).collect();
            gone.extend(self.ready.extract_if(.., |flow| is_over(flow.epoch())));
            gone.iter().for_each(|flow| self.let_go(flow));
        }
    }

    /// Those that are still ours: what was read under a leadership that is over, its successor reads again.
    pub fn ours(&self, mut decided: Vec<Decided>) -> Vec<Decided> {
        let over = |decided: &Decided| self.leadership.is_over(decided.receipts.epoch);
        let gone: Vec<TraceId> = decided.extract_if(.., |decided| over(decided)).map(|decided| decided.trace.id).collect();
        self.leadership.threw_away(gone.len());
        self.store.withdraw(&gone);
        decided
    }

    /// Lets go of a batch that is another host's by now.
    pub fn let_go(&self, flow: &Flow) {
        self.store.withdraw(flow.batch.traces().iter().map(|trace| &trace.id));
        self.leadership.threw_away(flow.rows.len());
    }

    /// Late parts go where their trace went: those of dropped ones leave here, and no filter is asked.
    pub fn without_followers(&mut self, decided: Vec<Decided>) -> Result<Vec<Decided>, Ended> {
        if decided.iter().all(|decided| decided.trace.part == 0) {
            return Ok(decided);
        }
        let (mut staying, mut gone) = (Vec::with_capacity(decided.len()), Vec::new());
        for decided in decided {
            let follows = if decided.trace.part > 0 { self.dropped_before(&decided) } else { None };
            let Some(sampling) = follows else {
                staying.push(decided);
                continue;
            };
            let (trace, row) = Row::split(decided);
            let why = Why::Follows(sampling);
            gone.push(Gone { trace, row, why });
        }
        self.settle(gone)?;
        Ok(staying)
    }

    /// Hands on what has passed all filters.
    pub fn finish(&mut self, flow: Flow) -> Result<(), Ended> {
        let Flow { batch, mut rows, .. } = flow;
        // What comes as part 0 has been decided anew, whatever is remembered of its id.
        let anew = batch.traces().iter().zip(&rows).filter(|(trace, row)| trace.part == 0 && row.receipts.epoch == self.epoch);
        anew.filter_map(|(_, row)| id_hash(&row.receipts)).for_each(|hash| self.dropped.forget(hash));
        if !self.seats.is_empty() {
            let at_unix_ms = now_unix_ms();
            let mut recent = self.shared.recent();
            for (trace, row) in batch.traces().iter().zip(&mut rows) {
                if trace.part == 0 {
                    let sampling = row.verdict.clone();
                    recent.decided(
                        &trace.id,
                        row.receipts.epoch,
                        Known {
                            keep: true,
                            sampling,
                            at_unix_ms,
                            part: 0,
                        },
                    );
                } else if let Some(known) = recent.followed(&trace.id, trace.part) {
                    row.verdict = known.sampling.clone().filter(|sampling| sampling.keep);
                }
            }
        }
        let verdicts = rows.iter_mut().enumerate().filter_map(|(row, Row { verdict, .. })| Some((row, verdict.take()?)));
        let batch = TraceBatch::with_sampling(batch, verdicts);
        // Before waiting for exporters: what is decided can be asked for, however long they take.
        self.store.insert(batch.traces(), now_unix_ms());
        self.shared.kept.fetch_add(rows.len() as u64, Ordering::Relaxed);
        let mut share = Share::default();
        let together = |row: Row| {
            share.join(row.share);
            row.receipts
        };
        let receipts = rows.into_iter().map(together).collect();
        self.hand_on(FilteredBatch { batch, receipts, share })
    }

    /// Gives back the receipts of traces that go no further, and remembers why.
    pub fn settle(&mut self, gone: Vec<Gone>) -> Result<(), Ended> {
        if gone.is_empty() {
            return Ok(());
        }
        let at_unix_ms = now_unix_ms();
        let shared = Arc::clone(&self.shared);
        let mut recent = shared.recent();
        let ids: Vec<TraceId> = gone.iter().map(|gone| gone.trace.id.clone()).collect();
        let settlements: Vec<Settlement> = gone.into_iter().map(|gone| self.dispose(gone, &mut recent, at_unix_ms)).collect();
        drop(recent);
        // Only now, when it is known that they were dropped.
        self.store.withdraw(&ids);
        self.shared.remembered.store(self.dropped.len() as u64, Ordering::Relaxed);
        for settlement in settlements {
            // The source takes settlements whatever happens to traces, so this waits only for the log.
            self.settlements.blocking_send(settlement).map_err(|_| Ended)?;
        }
        Ok(())
    }

    fn dispose(&mut self, gone: Gone, recent: &mut Recent, at_unix_ms: u64) -> Settlement {
        let Gone {
            trace,
            row: Row { receipts, at_ms, .. },
            why,
        } = gone;
        let known = |sampling: &Arc<Sampling>| Known {
            keep: false,
            sampling: Some(Arc::clone(sampling)),
            at_unix_ms,
            part: trace.part,
        };
        let fate = match why {
            Why::Dropped(drop) => {
                self.shared.dropped.fetch_add(1, Ordering::Relaxed);
                recent.decided(&trace.id, receipts.epoch, known(&drop.exact));
                self.remember_drop(&receipts, drop.counted, at_ms);
                Fate::Dropped(drop.exact)
            }
            Why::Follows(sampling) => {
                self.shared.late_dropped.fetch_add(1, Ordering::Relaxed);
                if recent.followed(&trace.id, trace.part).is_none() {
                    recent.decided(&trace.id, receipts.epoch, known(&sampling));
                }
                self.remember_drop(&receipts, Arc::clone(&sampling), at_ms);
                Fate::Dropped(sampling)
            }
            Why::Dead { filter, reason } => {
                self.shared.dead.fetch_add(1, Ordering::Relaxed);
                id_hash(&receipts).filter(|_| receipts.epoch == self.epoch).into_iter().for_each(|hash| self.dropped.forget(hash));
                Fate::Dead {
                    stage: "filter",
                    plugin: Some(filter.to_string()),
                    reason,
                    trace: Some(trace),
                }
            }
        };
        Settlement { receipts, fate }
    }

    /// What was read under a leadership that is over is not remembered: it is not settled either. `sampling` is one of the few that a filter's counted reasons share, never a text of its own.
    fn remember_drop(&mut self, receipts: &Receipts, sampling: Arc<Sampling>, at_ms: u64) {
        self.dropped.expire(at_ms);
        if let Some(hash) = id_hash(receipts).filter(|_| receipts.epoch == self.epoch) {
            self.dropped.remember(hash, at_ms, sampling);
        }
    }

    /// Who dropped the trace of this late part, and why, as far as is known.
    fn dropped_before(&self, late: &Decided) -> Option<Arc<Sampling>> {
        let remembered = id_hash(&late.receipts).and_then(|hash| self.dropped.get(hash)).cloned();
        let asked_for = || self.shared.recent().dropped_under(&late.trace.id, late.receipts.epoch);
        remembered.or_else(asked_for).or_else(|| late.follows_drop.then(|| Arc::clone(&DROPPED_BEFORE)))
    }

    /// Sends a batch on, doing what is asked of the stage while the next one has no room.
    fn hand_on(&mut self, batch: FilteredBatch) -> Result<(), Ended> {
        let mut unsent = match self.output.try_send(batch) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Full(batch)) => Some(batch),
            Err(TrySendError::Closed(_)) => return Err(Ended),
        };
        loop {
            let (commands, output, batch) = (&mut self.commands, &self.output, &mut unsent);
            let next = self.runtime.block_on(async {
                tokio::select! {
                    biased;
                    room = output.reserve() => match (room, batch.take()) {
                        (Ok(room), Some(batch)) => {
                            room.send(batch);
                            Outcome::Sent
                        }
                        _ => Outcome::Closed,
                    },
                    Some(command) = commands.recv() => Outcome::Command(command),
                }
            });
            match next {
                Outcome::Command(command) => self.obey(command),
                Outcome::Sent => return Ok(()),
                Outcome::Closed => return Err(Ended),
            }
        }
    }
}

/// What came of sending a batch on.
enum Outcome {
    Sent,
    Closed,
    Command(Command),
}

fn id_hash(receipts: &Receipts) -> Option<u64> {
    receipts.mark.map(|mark| mark.id_hash)
}

/// For people: no trace is judged by it.
fn now_unix_ms() -> u64 {
    jiff::Timestamp::now().as_millisecond().unsigned_abs()
}
