//! A batch offered to the filter of a seat, and what happens when that fails.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::OnFailure;
use super::flow::Flow;
use super::seat::Seat;
use super::status::FilterStatus;
use super::trial::{Piece, Trial};
use crate::blame::Judgement;
use crate::patience::{PAUSE, Patience, jittered};

/// What goes on around a trial.
pub(super) struct Around<'a> {
    pub patience: &'a Patience,
    /// Whether somebody wants something of the stage, which is done between two calls.
    pub interrupted: &'a dyn Fn() -> bool,
    /// Whether what was read under a leadership is another host's by now.
    pub is_over: &'a dyn Fn(u32) -> bool,
}

/// How a batch came past a seat.
#[derive(Debug)]
pub(super) enum Passage {
    /// With this result. Some of its traces may wait there all the same.
    Through(Box<Trial>),
    /// Not yet: it waits there.
    Held,
    /// Not any more, because the host is stopping: so many traces stay with the log.
    Abandoned(usize),
    /// Not any more, because it is another host's by now.
    Over(Flow),
}

impl Seat {
    /// Offers a batch. Only when there is room.
    pub fn take(&mut self, flow: Flow, around: &Around<'_>) -> Passage {
        self.offer(Trial::new(flow), around)
    }

    /// Offers what waits once more.
    pub fn retry(&mut self, around: &Around<'_>) -> Passage {
        let Some(mut held) = self.held.pop_front() else { return Passage::Held };
        if !self.interrupted {
            held.begin_round();
        }
        self.offer(held, around)
    }

    fn offer(&mut self, mut trial: Trial, around: &Around<'_>) -> Passage {
        self.interrupted = false;
        if self.rests() {
            trial.give_up_all("it was not asked, having failed a moment ago");
            return Passage::Through(Box::new(trial));
        }
        let status = Arc::clone(&self.status);
        while let Some(piece) = trial.pieces.pop_front() {
            if (around.is_over)(trial.flow.epoch()) {
                self.holds_no_more();
                return Passage::Over(trial.flow);
            }
            let hasty = (self.retry_at.is_some() || trial.has_failed()) && !around.patience.lasts(self.took);
            if hasty && self.on_failure != OnFailure::Pass {
                return Passage::Abandoned(trial.flow.rows.len());
            }
            let filter = match &mut self.filter {
                Ok(filter) if !hasty => filter,
                other => {
                    let why = other.as_ref().err().map_or("it failed, and the host is stopping", String::as_str).to_owned();
                    trial.pieces.push_front(piece);
                    return self.miss(trial, why);
                }
            };
            let began = Instant::now();
            FilterStatus::count(&status.calls, 1);
            let offered = trial.offer(piece.rows.clone(), filter.as_mut());
            self.took = began.elapsed();
            match offered {
                Ok(()) => self.blame.worked(),
                Err(reason) => self.failed(&mut trial, piece, reason),
            }
            if self.on_failure != OnFailure::Pass && trial.is_hopeless() {
                break;
            }
            if trial.pieces.is_empty() {
                trial.recall(&self.blame);
            }
            if !trial.pieces.is_empty() && (around.interrupted)() {
                (self.interrupted, self.retry_at) = (true, Some(Instant::now()));
                self.held.push_front(trial);
                return Passage::Held;
            }
        }
        if let Ok(filter) = &self.filter {
            status.set_numbers(filter.numbers());
        }
        match self.on_failure {
            OnFailure::Pass => self.let_pass(trial),
            OnFailure::Hold | OnFailure::DeadLetter => self.part(trial),
        }
    }

    /// Whether it is left alone for a while: it fails whatever it is given, and traces pass it meanwhile.
    fn rests(&self) -> bool {
        self.on_failure == OnFailure::Pass && self.retry_at.is_some_and(|at| Instant::now() < at)
    }

    /// There is no filter to offer anything to, or no time.
    fn miss(&mut self, mut trial: Trial, why: String) -> Passage {
        if self.on_failure == OnFailure::Pass {
            trial.give_up_all(&why);
            return Passage::Through(Box::new(trial));
        }
        trial.begin_anew();
        self.wait_for(trial, &why);
        Passage::Held
    }

    /// Deals with rows that the filter failed with: narrows them down, to one that makes it fail alone.
    fn failed(&mut self, trial: &mut Trial, piece: Piece, reason: String) {
        self.note_failure(&reason, trial);
        let Piece { rows, suspicion } = piece;
        match self.on_failure {
            OnFailure::Pass if trial.is_hopeless() => {
                trial.failed.push((rows, reason.clone()));
                trial.give_up_all(&reason);
            }
            OnFailure::Pass if rows.len() > 1 => trial.halve_later(rows),
            _ if rows.len() > 1 => trial.halve_now(rows),
            OnFailure::Pass => trial.failed.push((rows, reason)),
            OnFailure::Hold => trial.suspects.push(Piece { rows, suspicion: None }),
            OnFailure::DeadLetter => {
                let lone = trial.flow.rows.len() == 1 && self.held.is_empty();
                match self.blame.judge(suspicion, lone, Instant::now()) {
                    Judgement::Guilty => trial.failed.push((rows, reason)),
                    Judgement::Suspected(suspicion) => trial.suspects.push(Piece { rows, suspicion: Some(suspicion) }),
                }
            }
        }
    }

    /// Ends the trial of a filter that traces may pass undecided.
    fn let_pass(&mut self, trial: Trial) -> Passage {
        let name = &*self.status.name;
        match trial.failed.first() {
            None => self.recover(),
            Some((_, reason)) if !trial.answers.is_empty() => {
                tracing::warn!(filter = name, traces = trial.failed_rows(), reason, "traces that make the filter fail pass it undecided");
                self.recover();
            }
            Some((_, reason)) => {
                let news = self.status.words().failing.replace(reason.clone()).is_none();
                if news {
                    tracing::warn!(filter = name, reason, "the filter fails whatever it is given; traces pass it undecided until it works");
                }
                self.back_off();
            }
        }
        Passage::Through(Box::new(trial))
    }

    /// Ends a round of a filter that everything has to pass: what was decided goes on, the rest waits.
    fn part(&mut self, trial: Trial) -> Passage {
        if let Some((_, reason)) = trial.failed.first() {
            tracing::error!(
                filter = &*self.status.name,
                traces = trial.failed_rows(),
                reason,
                "traces that make the filter fail go to the dead-letter stream"
            );
        }
        let works = trial.has_worked();
        if works {
            self.pause = PAUSE.0;
        }
        let (decided, rest) = trial.split();
        match rest {
            Some(rest) => {
                let why = held_for(&rest);
                self.wait_for(rest, &why);
            }
            None if self.held.is_empty() => self.recover(),
            // Others wait, and that this worked tells about them.
            None if works => self.retry_at = Some(Instant::now()),
            None => {}
        }
        decided.map_or(Passage::Held, |decided| Passage::Through(Box::new(decided)))
    }

    /// Has a trial wait, with what waits already.
    fn wait_for(&mut self, trial: Trial, why: &str) {
        self.back_off();
        let news = self.status.words().holding.replace(why.to_owned()).is_none();
        if news {
            tracing::warn!(
                filter = &*self.status.name,
                reason = why,
                "traces wait for the filter; it is tried until it works or is replaced"
            );
        }
        let trial = match self.held.pop_back_if(|last| last.joins(&trial)) {
            Some(last) => last.join(trial),
            None => trial,
        };
        self.held.push_back(trial);
    }

    fn back_off(&mut self) {
        self.retry_at = Some(Instant::now() + jittered(self.pause));
        self.pause = (self.pause * 2).min(PAUSE.1);
    }

    /// Lets go of what waits and `is_over`: nobody asks for it any more.
    pub fn let_go(&mut self, is_over: impl Fn(u32) -> bool) -> Vec<Flow> {
        let (gone, held) = std::mem::take(&mut self.held).into_iter().partition::<VecDeque<_>, _>(|trial| is_over(trial.flow.epoch()));
        self.held = held;
        if !gone.is_empty() {
            self.holds_no_more();
        }
        gone.into_iter().map(|trial| trial.flow).collect()
    }

    /// Nothing waits any more, which tells nothing about the filter; unless something does.
    fn holds_no_more(&mut self) {
        if self.held.is_empty() {
            self.retry_at = None;
            self.status.words().holding = None;
        }
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

/// Why traces wait: how the filter failed, and with which of them, if that is known.
fn held_for(trial: &Trial) -> String {
    let reason = trial.reason.as_deref().unwrap_or("it failed");
    let Some(mut culprits) = trial.culprits() else { return reason.to_owned() };
    match (culprits.next(), culprits.count()) {
        (None, _) => reason.to_owned(),
        (Some(id), 0) => format!("{reason}; it fails with the trace {id:?}"),
        (Some(id), more) => format!("{reason}; it fails with {} traces, {id:?} among them", more + 1),
    }
}
