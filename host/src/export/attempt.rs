//! One attempt at a delivery: offered, repeated, halved, until each trace has been taken, refused, or seen to make the call fail.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::group::Item;
use super::lane::{Lane, Waited};
use super::suspects::{Attempt, Work};
use super::{Outcome, RowOutcome};
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
    /// Rows with which a call failed are offered again in halves, down to the one that does it. That one is refused for good only if the exporter
    /// takes other traces: see [`super::suspects::Suspects`].
    pub(super) fn attempt(&mut self, work: Work) -> Attempt {
        let Work { item, mut portions } = work;
        let mut attempt = Attempt {
            item: item.clone(),
            works: false,
            failed: Vec::new(),
            rest: std::collections::VecDeque::new(),
        };
        let mut pause = PAUSE.0;
        while let Some(rows) = portions.pop_front() {
            match self.offer(&item, rows) {
                Round::Done => attempt.works = true,
                Round::Again(rows, _) | Round::Killed(rows, _) if self.is_ending() => self.leave_behind(&item, rows),
                // Waited for elsewhere, and longer.
                Round::Again(rows, _) if self.breaker.is_open() => portions.push_front(rows),
                Round::Again(rows, asked) => {
                    if self.wait(asked, pause) == Waited::Stop {
                        return Attempt { failed: Vec::new(), ..attempt };
                    }
                    pause = (pause * 2).min(PAUSE.1);
                    portions.push_front(rows);
                }
                Round::Killed(..) if !self.patience.lasts(Duration::ZERO) => return Attempt { failed: Vec::new(), ..attempt },
                Round::Killed(rows, _) if rows.len() > 1 => {
                    let (left, right) = rows.split_at(rows.len() / 2);
                    portions.push_back(left.to_vec());
                    portions.push_back(right.to_vec());
                }
                Round::Killed(rows, reason) => attempt.failed.extend(rows.into_iter().map(|row| (row, reason.clone()))),
            }
            if self.breaker.is_open() && !self.is_ending() {
                attempt.rest = portions;
                break;
            }
        }
        attempt.works |= attempt.failed.len() == 1 && self.took_others_since_last_burial();
        attempt
    }

    /// One trace alone is to blame if the exporter has taken others since it last blamed one.
    fn took_others_since_last_burial(&self) -> bool {
        let status = &self.group.status;
        status.exported.load(Ordering::Relaxed) > status.exported_at_burial.load(Ordering::Relaxed)
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
                self.finish(item, rows.into_iter().map(|row| (row, None)).collect(), true);
                Round::Done
            }
            Outcome::Rejected(reason) => {
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
                status.hold(Some(reason.clone()));
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
                None => Some(Some(outcome.reason)),
            };
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

    fn note_retry(&self, reason: &str) {
        let status = &self.group.status;
        status.retries.fetch_add(1, Ordering::Relaxed);
        // One line when it begins, not one for every attempt.
        if status.hold(Some(reason.to_owned())) {
            tracing::warn!(plugin = self.group.name, reason, "the exporter cannot take traces at the moment; trying again");
        }
    }
}
