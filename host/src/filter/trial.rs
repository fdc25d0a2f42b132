//! A batch before one filter: what has been offered of it, and what came of that.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::flow::Flow;
use super::{Decisions, Filter, edits};
use crate::batch::TraceBatch;
use crate::blame::{Blame, Suspicion};

/// Calls that may fail before any has worked, and how long a round may take, until a filter is left alone for a while. With one trace that makes it
/// fail two calls fail before one works, with eight of them fifteen.
const FRUITLESS_CALLS: usize = 15;
const FRUITLESS_TIME: Duration = Duration::from_secs(10);

/// Rows that are offered in one call.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub rows: Range<usize>,
    /// Of one row that failed alone: since when, and how often.
    pub suspicion: Option<Suspicion>,
}

/// One batch's time before a filter. It may be interrupted between two calls, and go on with another filter in the same seat.
#[derive(Debug)]
pub(super) struct Trial {
    pub flow: Flow,
    /// Rows that are still to be offered.
    pub pieces: VecDeque<Piece>,
    /// What was decided, by rows.
    pub answers: Vec<(Range<usize>, Decisions)>,
    /// What there is no decision on and never will be, and why.
    pub failed: Vec<(Range<usize>, String)>,
    /// Rows that made the filter fail, each alone, and are to be offered again later.
    pub suspects: Vec<Piece>,
    /// How the last call failed that did.
    pub reason: Option<String>,
    round: Round,
}

/// From when it is offered until it is left alone.
#[derive(Debug)]
struct Round {
    answers: usize,
    failures: usize,
    began: Instant,
}

impl Round {
    fn begin() -> Round {
        Round {
            answers: 0,
            failures: 0,
            began: Instant::now(),
        }
    }
}

impl Trial {
    pub fn new(flow: Flow) -> Trial {
        let all = 0..flow.rows.len();
        Trial::of(flow, [Piece { rows: all, suspicion: None }].into())
    }

    fn of(flow: Flow, pieces: VecDeque<Piece>) -> Trial {
        Trial {
            flow,
            pieces,
            answers: Vec::new(),
            failed: Vec::new(),
            suspects: Vec::new(),
            reason: None,
            round: Round::begin(),
        }
    }

    /// What is left is offered again, after a while.
    pub fn begin_round(&mut self) {
        self.round = Round::begin();
    }

    /// Another filter is there: what has been found out by then says nothing about it, but decisions stay.
    pub fn begin_anew(&mut self) {
        if self.answers.is_empty() && self.failed.is_empty() {
            self.pieces = [Piece {
                rows: 0..self.flow.rows.len(),
                suspicion: None,
            }]
            .into();
            self.suspects.clear();
        }
        self.pieces.extend(self.suspects.drain(..));
        self.begin_round();
    }

    /// Offers some rows. What the filter answers is checked: the rest of the stage relies on it.
    ///
    /// # Errors
    /// There is no decision on them.
    pub fn offer(&mut self, rows: Range<usize>, filter: &mut dyn Filter) -> Result<(), String> {
        let whole = rows.len() == self.flow.rows.len();
        let batch = if whole { Arc::clone(&self.flow.batch) } else { Arc::new(self.flow.batch.subset(&rows.clone().collect::<Vec<_>>())) };
        match filter.decide(&batch).and_then(|decisions| checked(decisions, &batch)) {
            Ok(decisions) => {
                self.round.answers += 1;
                self.answers.push((rows, decisions));
                Ok(())
            }
            Err(reason) => {
                self.round.failures += 1;
                self.reason = Some(reason.clone());
                Err(reason)
            }
        }
    }

    /// Looks in halves for what it is in these rows that makes the filter fail, after all that is still to be offered: several that do it are
    /// told apart from a filter that fails at everything with few calls.
    pub fn halve_later(&mut self, rows: Range<usize>) {
        self.pieces.extend(halves(rows));
    }

    /// Looks in halves, at once: a filter that fails with many traces together decides on some of them after few calls.
    pub fn halve_now(&mut self, rows: Range<usize>) {
        halves(rows).into_iter().rev().for_each(|half| self.pieces.push_front(half));
    }

    /// Has those rows under suspicion offered about which another try would tell something.
    pub fn recall(&mut self, blame: &Blame) {
        let tells = |piece: &Piece| piece.suspicion.as_ref().is_some_and(|suspicion| blame.would_tell(suspicion));
        let (now, later) = std::mem::take(&mut self.suspects).into_iter().partition(tells);
        self.suspects = later;
        self.pieces.extend::<Vec<Piece>>(now);
    }

    /// Whether the filter fails whatever it is given, as far as can be seen, or takes too long to find out.
    pub fn is_hopeless(&self) -> bool {
        (self.round.answers == 0 && self.round.failures >= FRUITLESS_CALLS) || self.round.began.elapsed() >= FRUITLESS_TIME
    }

    /// Takes all that has not been decided as failed.
    pub fn give_up_all(&mut self, reason: &str) {
        self.failed.extend(self.pieces.drain(..).map(|piece| (piece.rows, reason.to_owned())));
    }

    /// Whether a call has worked in this round.
    pub fn has_worked(&self) -> bool {
        self.round.answers > 0
    }

    /// Whether a call has failed in this round.
    pub fn has_failed(&self) -> bool {
        self.round.failures > 0
    }

    /// Number of traces that there is no decision on, and never will be.
    pub fn failed_rows(&self) -> usize {
        self.failed.iter().map(|(rows, _)| rows.len()).sum()
    }

    /// The traces that make the filter fail, if it is known which.
    pub fn culprits(&self) -> Option<impl Iterator<Item = String>> {
        let alone = |piece: &Piece| piece.rows.len() == 1;
        let id = |piece: &Piece| self.flow.batch.traces().get(piece.rows.start).map(|trace| trace.id.to_string());
        self.pieces.iter().all(alone).then(|| self.pieces.iter().filter_map(id))
    }

    /// What has come of it so far, and what is to be offered again.
    pub fn split(self) -> (Option<Trial>, Option<Trial>) {
        let Trial {
            flow,
            mut pieces,
            answers,
            failed,
            suspects,
            reason,
            ..
        } = self;
        pieces.extend(suspects);
        if pieces.is_empty() {
            return (
                Some(Trial {
                    answers,
                    failed,
                    ..Trial::of(flow, pieces)
                }),
                None,
            );
        }
        if answers.is_empty() && failed.is_empty() {
            return (None, Some(Trial { reason, ..Trial::of(flow, pieces) }));
        }
        let mut waits = vec![false; flow.rows.len()];
        pieces.iter().for_each(|piece| waits[piece.rows.clone()].fill(true));
        // Where each row stands among those that go its way.
        let (mut places, mut next) = (Vec::with_capacity(waits.len()), [0_usize; 2]);
        for waits in &waits {
            let next = &mut next[usize::from(*waits)];
            places.push(*next);
            *next += 1;
        }
        let moved = |rows: Range<usize>| places[rows.start]..places[rows.start] + rows.len();
        let (decided, waiting) = flow.split(&waits);
        let decided = Trial {
            answers: answers.into_iter().map(|(rows, decisions)| (moved(rows), decisions)).collect(),
            failed: failed.into_iter().map(|(rows, reason)| (moved(rows), reason)).collect(),
            ..Trial::of(decided, VecDeque::new())
        };
        let pieces = pieces.into_iter().map(|Piece { rows, suspicion }| Piece { rows: moved(rows), suspicion }).collect();
        (Some(decided), Some(Trial { reason, ..Trial::of(waiting, pieces) }))
    }

    /// Whether both can be one: nothing has come of either yet, they have passed the same filters, and one is no other host's while the other is ours.
    pub fn joins(&self, other: &Trial) -> bool {
        let untouched = |trial: &Trial| trial.answers.is_empty() && trial.failed.is_empty();
        untouched(self) && untouched(other) && self.flow.passed == other.flow.passed && self.flow.epoch() == other.flow.epoch()
    }

    /// Both as one, if they [join](Trial::joins).
    pub fn join(self, other: Trial) -> Trial {
        let (first, mut pieces) = (self.flow.rows.len(), self.pieces);
        let moved = |Piece { rows, suspicion }| Piece {
            rows: first + rows.start..first + rows.end,
            suspicion,
        };
        pieces.extend(self.suspects);
        pieces.extend(other.pieces.into_iter().chain(other.suspects).map(moved));
        Trial {
            reason: other.reason.or(self.reason),
            ..Trial::of(self.flow.join(other.flow), pieces)
        }
    }
}

fn halves(rows: Range<usize>) -> [Piece; 2] {
    let middle = rows.start + rows.len() / 2;
    [rows.start..middle, middle..rows.end].map(|rows| Piece { rows, suspicion: None })
}

fn checked(decisions: Decisions, batch: &TraceBatch) -> Result<Decisions, String> {
    let (verdicts, rows) = (decisions.verdicts.len(), batch.traces().len());
    if verdicts != rows {
        return Err(format!("it gave {verdicts} verdicts on a batch of {rows} traces"));
    }
    edits::check(&decisions.edits, batch)?;
    Ok(decisions)
}
