//! A batch offered to the filter of a seat, and what happens when that fails.

use std::sync::Arc;
use std::time::Instant;

use super::OnFailure;
use super::flow::Flow;
use super::seat::Seat;
use super::status::FilterStatus;
use super::trial::Trial;
use crate::patience::{PAUSE, Patience, jittered};

/// What goes on around a trial.
pub(super) struct Around<'a> {
    pub patience: &'a Patience,
    /// Whether somebody wants something of the stage, which is done between two calls.
    pub interrupted: &'a dyn Fn() -> bool,
}

/// How a batch came past a seat.
#[derive(Debug)]
pub(super) enum Passage {
    /// With this result.
    Through(Trial),
    /// Not yet: it waits there.
    Held,
    /// Not any more, because the host is stopping: so many traces stay with the log.
    Abandoned(usize),
}

impl Seat {
    /// Offers a batch, together with what waits. Only when there is room.
    pub fn take(&mut self, flow: Flow, around: &Around<'_>) -> Passage {
        let flow = match self.held.take() {
            Some(held) => held.flow.join(flow),
            None => flow,
        };
        self.offer(Trial::new(flow), around)
    }

    /// Offers what waits once more.
    pub fn retry(&mut self, around: &Around<'_>) -> Passage {
        match self.held.take() {
            Some(held) => self.offer(held, around),
            None => Passage::Held,
        }
    }

    fn offer(&mut self, mut trial: Trial, around: &Around<'_>) -> Passage {
        self.interrupted = false;
        if self.rests() {
            trial.give_up_all("it was not asked, having failed a moment ago");
            return Passage::Through(trial);
        }
        let status = Arc::clone(&self.status);
        while let Some(piece) = trial.pieces.pop_front() {
            let hasty = (self.retry_at.is_some() || trial.has_failed()) && !around.patience.lasts(self.took);
            if hasty {
                if self.on_failure != OnFailure::Pass {
                    return Passage::Abandoned(trial.flow.rows.len());
                }
                trial.give_up(piece, "it failed, and the host is stopping");
                break;
            }
            let Ok(filter) = &mut self.filter else { return self.miss(trial, piece) };
            let began = Instant::now();
            FilterStatus::count(&status.calls, 1);
            let offered = trial.offer(piece, filter.as_mut());
            self.took = began.elapsed();
            match offered {
                Ok(()) => self.worked = true,
                Err((piece, reason)) => {
                    self.note_failure(&reason, &trial);
                    match self.on_failure {
                        OnFailure::Hold => return self.hold(trial.anew(), reason),
                        OnFailure::Pass if trial.is_hopeless() => trial.give_up(piece, &reason),
                        OnFailure::Pass | OnFailure::DeadLetter => trial.narrow(piece, reason),
                    }
                }
            }
            if !trial.pieces.is_empty() && (around.interrupted)() {
                (self.interrupted, self.retry_at) = (true, Some(Instant::now()));
                self.held = Some(trial);
                return Passage::Held;
            }
        }
        if let Ok(filter) = &self.filter {
            status.set_numbers(filter.numbers());
        }
        self.judge(trial)
    }

    /// Whether it is left alone for a while: it fails whatever it is given, and traces pass it meanwhile.
    fn rests(&self) -> bool {
        self.on_failure == OnFailure::Pass && self.retry_at.is_some_and(|at| Instant::now() < at)
    }

    /// There is no filter to offer anything to.
    fn miss(&mut self, mut trial: Trial, piece: std::ops::Range<usize>) -> Passage {
        let why = self.filter.as_ref().err().cloned().unwrap_or_default();
        if self.on_failure != OnFailure::Pass {
            return self.hold(trial.anew(), why);
        }
        trial.give_up(piece, &why);
        Passage::Through(trial)
    }

    /// Says what the failures of a trial that is over come to.
    fn judge(&mut self, trial: Trial) -> Passage {
        let works = !trial.answers.is_empty();
        let Some((_, reason)) = trial.failed.first() else {
            self.recover();
            return Passage::Through(trial);
        };
        let reason = reason.clone();
        let status = Arc::clone(&self.status);
        let name = &*status.name;
        match self.on_failure {
            // One alone is to blame only if the filter has decided on others since it last blamed one.
            OnFailure::DeadLetter if !works && (trial.failed_rows() > 1 || !self.worked) => return self.hold(trial.anew(), reason),
            OnFailure::DeadLetter => {
                tracing::error!(
                    filter = name,
                    traces = trial.failed_rows(),
                    reason,
                    "traces that make the filter fail go to the dead-letter stream"
                );
                self.worked = false;
                self.recover();
            }
            OnFailure::Pass | OnFailure::Hold if works => {
                tracing::warn!(filter = name, traces = trial.failed_rows(), reason, "traces that make the filter fail pass it undecided");
                self.recover();
            }
            OnFailure::Pass | OnFailure::Hold => {
                self.back_off();
                let news = status.words().failing.replace(reason.clone()).is_none();
                if news {
                    tracing::warn!(filter = name, reason, "the filter fails whatever it is given; traces pass it undecided until it works");
                }
            }
        }
        Passage::Through(trial)
    }

    fn hold(&mut self, trial: Trial, reason: String) -> Passage {
        self.back_off();
        let news = self.status.words().holding.replace(reason.clone()).is_none();
        if news {
            tracing::warn!(filter = &*self.status.name, reason, "traces wait for the filter; it is tried until it works or is replaced");
        }
        self.held = Some(trial);
        Passage::Held
    }

    fn back_off(&mut self) {
        self.retry_at = Some(Instant::now() + jittered(self.pause));
        self.pause = (self.pause * 2).min(PAUSE.1);
    }

    fn recover(&mut self) {
        (self.retry_at, self.pause) = (None, PAUSE.0);
        let mut words = self.status.words();
        if words.holding.take().is_some() | words.failing.take().is_some() {
            tracing::info!(filter = &*self.status.name, "the filter decides again");
        }
    }

    fn note_failure(&self, reason: &str, trial: &Trial) {
        FilterStatus::count(&self.status.failures, 1);
        let mut words = self.status.words();
        let known = words.last_error.replace(reason.to_owned()).is_some_and(|last| last == reason);
        if !known {
            tracing::warn!(filter = &*self.status.name, traces = trial.flow.rows.len(), reason, "the filter failed");
        }
    }
}
