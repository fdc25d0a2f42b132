//! A batch before one filter: what has been offered of it, and what came of that.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::flow::Flow;
use super::{Decisions, Filter, edits};
use crate::batch::TraceBatch;

/// Calls that may fail before any has worked, and how long a batch may take, until a filter whose failures let traces pass is given up for this
/// batch. With one trace that makes it fail two calls fail before one works, with eight of them fifteen.
const FRUITLESS_CALLS: usize = 15;
const FRUITLESS_TIME: Duration = Duration::from_secs(10);

/// One batch's time before a filter. It may be interrupted between two calls, and go on with another filter in the same seat.
#[derive(Debug)]
pub(super) struct Trial {
    pub flow: Flow,
    /// Rows that are still to be offered, in pieces.
    pub pieces: VecDeque<Range<usize>>,
    /// What was decided, by piece.
    pub answers: Vec<(Range<usize>, Decisions)>,
    /// What there is no decision on, and why.
    pub failed: Vec<(Range<usize>, String)>,
    failures: usize,
    began: Instant,
}

impl Trial {
    pub fn new(flow: Flow) -> Trial {
        let all = 0..flow.rows.len();
        Trial {
            flow,
            pieces: VecDeque::from([all]),
            answers: Vec::new(),
            failed: Vec::new(),
            failures: 0,
            began: Instant::now(),
        }
    }

    /// The same with nothing offered yet.
    pub fn anew(self) -> Trial {
        Trial::new(self.flow)
    }

    /// Offers a piece. What it answers is checked: the rest of the stage relies on it.
    pub fn offer(&mut self, piece: Range<usize>, filter: &mut dyn Filter) -> Result<(), (Range<usize>, String)> {
        let whole = piece.len() == self.flow.rows.len();
        let batch = if whole { Arc::clone(&self.flow.batch) } else { Arc::new(self.flow.batch.subset(&piece.clone().collect::<Vec<_>>())) };
        match filter.decide(&batch).and_then(|decisions| checked(decisions, &batch)) {
            Ok(decisions) => {
                self.answers.push((piece, decisions));
                Ok(())
            }
            Err(reason) => {
                self.failures += 1;
                Err((piece, reason))
            }
        }
    }

    /// Looks for what it is in a piece that makes the filter fail: in halves, down to one trace.
    pub fn narrow(&mut self, piece: Range<usize>, reason: String) {
        if piece.len() > 1 {
            let middle = piece.start + piece.len() / 2;
            self.pieces.push_back(piece.start..middle);
            self.pieces.push_back(middle..piece.end);
        } else {
            self.failed.push((piece, reason));
        }
    }

    /// Whether the filter fails whatever it is given, as far as can be seen, or takes too long to find out.
    pub fn is_hopeless(&self) -> bool {
        (self.answers.is_empty() && self.failures >= FRUITLESS_CALLS) || self.began.elapsed() >= FRUITLESS_TIME
    }

    /// Takes all that has not been decided as failed.
    pub fn give_up(&mut self, piece: Range<usize>, reason: &str) {
        self.pieces.push_front(piece);
        self.give_up_all(reason);
    }

    /// The same without a piece in hand.
    pub fn give_up_all(&mut self, reason: &str) {
        self.failed.extend(self.pieces.drain(..).map(|piece| (piece, reason.to_owned())));
    }

    /// Whether a call has failed.
    pub fn has_failed(&self) -> bool {
        self.failures > 0
    }

    /// Number of traces that there is no decision on.
    pub fn failed_rows(&self) -> usize {
        self.failed.iter().map(|(piece, _)| piece.len()).sum()
    }
}

fn checked(decisions: Decisions, batch: &TraceBatch) -> Result<Decisions, String> {
    let (verdicts, rows) = (decisions.verdicts.len(), batch.traces().len());
    if verdicts != rows {
        return Err(format!("it gave {verdicts} verdicts on a batch of {rows} traces"));
    }
    edits::check(&decisions.edits, batch)?;
    Ok(decisions)
}
