//! One attempt at a delivery: offered, repeated, halved, until each trace has been taken, refused, or seen to make the call fail.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::group::Item;
use super::lane::{Lane, Waited};
use super::suspects::{Portion, Work};
use super::{Outcome, RowOutcome};
use crate::blame::Judgement;
use crate::patience::PAUSE;

/// What is left of a round.
enum Round {
    /// Nothing.
    Done,
    /// These rows, after a pause.
    Again(Vec<usize>, Option<Duration>),
    /// The call failed with these rows in it.
    Killed(Vec<usize>, String),
}

impl Lane {
    /// Offers rows until each has been taken, refused, or seen to make the call fail; or until there is no going on.
    ///
    /// Rows with which a call failed are offered again in halves, down to the one that does it, which is kept under suspicion until it is known whose fault
    /// that is. `lone`: there is nothing else that could show it.
    pub(super) fn attempt(&mut self, work: Work, lone: bool) {
        let Work { item, mut portions } = work;
        let mut suspects = VecDeque::new();
        let mut pause = PAUSE.0;
        while let Some(Portion { rows, suspicion }) = portions.pop_front() {
            // The host is ending, and the time that is left is for that; or it no longer leads, and somebody else exports this.
            if !self.patience.lasts(Duration::ZERO) || item.delivery.is_over() {
                return;
            }
            match self.offer(&item, rows) {
                Round::Done => {}
                Round::Again(rows, _) | Round::Killed(rows, _) if self.is_ending() => self.leave_behind(&item, rows),
                // Waited for elsewhere, and longer.
                Round::Again(rows, _) if self.breaker.is_open() => portions.push_front(Portion { rows, suspicion }),
                Round::Again(rows, asked) => {
                    if self.wait(asked, pause) == Waited::Stop {
                        return;
                    }
                    pause = (pause * 2).min(PAUSE.1);
                    portions.push_front(Portion { rows, suspicion });
                }
                Round::Killed(..) if !self.patience.lasts(Duration::ZERO) => return,
                Round::Killed(rows, _) if rows.len() > 1 => {
                    let (left, right) = rows.split_at(rows.len() / 2);
                    // Depth first: one that cannot take many at once takes few before its failures in a row open the breaker.
                    portions.push_front(Portion::new(right.to_vec()));
                    portions.push_front(Portion::new(left.to_vec()));
                }
                Round::Killed(rows, reason) => {
                    let lone = lone && portions.is_empty() && suspects.is_empty();
                    match self.blame.judge(suspicion, lone, Instant::now()) {
                        Judgement::Guilty => self.bury(&item, rows, &reason),
                        Judgement::Suspected(suspicion) => suspects.push_back(Portion { rows, suspicion: Some(suspicion) }),
                    }
                }
            }
            if self.breaker.is_open() && !self.is_ending() {
                break;
            }
        }
        suspects.extend(portions);
        self.suspects.put(Work { item, portions: suspects });
    }

    fn offer(&mut self, item: &Item, rows: Vec<usize>) -> Round {
        let whole = &item.delivery.batch;
        let batch = if rows.len() == whole.traces().len() { Arc::clone(whole) } else { Arc::new(whole.subset(&rows)) };
        let outcome = self.exporter.export(&batch);
        let status = &self.group.status;
        match outcome {
            Outcome::Failed(_) | Outcome::NotStarted(_) => self.breaker.strike(),
            _ => self.breaker.close(),
        }
        match outcome {
            Outcome::Delivered => {
                self.blame.worked();
                self.finish(item, rows.into_iter().map(|row| (row, None)).collect(), true);
                Round::Done
            }
            Outcome::Rejected(reason) => {
                self.blame.worked();
                self.note_refusal(item, rows.len(), &reason);
                self.finish(item, rows.into_iter().map(|row| (row, Some(reason.clone()))).collect(), true);
                Round::Done
            }
            Outcome::Retry { after, reason } => {
                self.note_retry(&reason);
                Round::Again(rows, after)
            }
            Outcome::NotStarted(reason) => {
                self.note_retry(&reason);
                Round::Again(rows, None)
            }
            Outcome::Failed(reason) => {
                status.failures.fetch_add(1, Ordering::Relaxed);
                self.hold(&reason);
                tracing::error!(plugin = self.group.name, traces = rows.len(), reason, "the exporter failed; it starts afresh");
                Round::Killed(rows, reason)
            }
            Outcome::Partial(left) => self.finish_partly(item, &rows, left),
        }
    }

    fn finish_partly(&mut self, item: &Item, rows: &[usize], left: Vec<RowOutcome>) -> Round {
        let mut fates: Vec<Option<Option<String>>> = vec![Some(None); rows.len()];
        let (mut again, mut after) = (Vec::new(), None);
        for outcome in left {
            let Some(fate) = fates.get_mut(outcome.row) else { continue };
            *fate = match outcome.retry_after {
                Some(pause) => {
                    after = after.max(Some(pause).filter(|pause| !pause.is_zero()));
                    again.push(rows[outcome.row]);
                    self.note_retry(&outcome.reason);
                    None
                }
                None => {
                    self.note_refusal(item, 1, &outcome.reason);
                    Some(Some(outcome.reason))
                }
            };
        }
        if again.len() < rows.len() {
            self.blame.worked();
        }
        self.finish(item, rows.iter().zip(fates).filter_map(|(row, fate)| Some((*row, fate?))).collect(), true);
        if again.is_empty() { Round::Done } else { Round::Again(again, after) }
    }

    /// These rows have been taken, or refused with a reason; or, when `counted` is false, nobody asks any more.
    pub(super) fn finish(&self, item: &Item, rows: Vec<(usize, Option<String>)>, counted: bool) {
        if counted {
            let rejected = rows.iter().filter(|(_, reason)| reason.is_some()).count() as u64;
            let status = &self.group.status;
            status.exported.fetch_add(rows.len() as u64 - rejected, Ordering::Relaxed);
            status.rejected.fetch_add(rejected, Ordering::Relaxed);
        }
        if item.counts {
            let settled = item.delivery.done(&self.group.name, rows);
            item.delivery.settle_blocking(settled);
        }
    }

    /// Says what was refused for good. Of an exporter that traces wait for that becomes a dead letter; the others' say does not count, so of theirs there
    /// is nothing but this.
    fn note_refusal(&self, item: &Item, traces: usize, reason: &str) {
        if self.group.status.note_error(reason) {
            let lost = if item.counts { "they become dead letters" } else { "they are lost to it, which is not required" };
            tracing::warn!(plugin = self.group.name, traces, reason, "the exporter refused traces for good; {lost}");
        }
    }

    fn note_retry(&self, reason: &str) {
        self.group.status.retries.fetch_add(1, Ordering::Relaxed);
        // One line when it begins, not one for every attempt.
        if self.hold(reason) {
            tracing::warn!(plugin = self.group.name, reason, "the exporter cannot take traces at the moment; trying again");
        }
    }

    /// Says why traces wait for this lane. Returns whether they did not before.
    fn hold(&self, reason: &str) -> bool {
        self.group.status.note_error(reason);
        self.status.hold(Some(reason.to_owned()))
    }
}
