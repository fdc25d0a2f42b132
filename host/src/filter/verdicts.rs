//! What a filter decided, done: traces leave, are changed, or stay as they are.

use std::sync::Arc;

use super::edits::{self, Made, Placed};
use super::flow::{Flow, Row};
use super::reasons::Dropping;
use super::status::FilterStatus;
use super::trial::Trial;
use super::{OnFailure, Verdict};
use crate::batch::TraceBatch;
use crate::model::{NameTable, Sampling, Trace};

/// A trace that goes no further.
#[derive(Debug)]
pub(super) struct Gone {
    pub trace: Arc<Trace>,
    pub row: Row,
    pub why: Why,
}

/// Why a trace goes no further.
#[derive(Debug)]
pub(super) enum Why {
    /// The filter dropped it.
    Dropped(Dropping),
    /// It follows its trace, which had been dropped.
    Follows(Arc<Sampling>),
    /// It makes this filter fail.
    Dead {
        /// The filter's name.
        filter: Arc<str>,
        /// How it fails, for people.
        reason: String,
    },
}

/// Does what came of a trial: what goes on, and what does not.
pub(super) fn carry_out(trial: Trial, on_failure: OnFailure, status: &FilterStatus, names: &mut NameTable) -> (Flow, Vec<Gone>) {
    let Trial { mut flow, answers, failed, .. } = trial;
    let (mut leaving, mut changes, mut passed) = (Vec::new(), Vec::new(), 0);
    let mut reasons = status.reasons();
    for (piece, decisions) in answers {
        let traces = &flow.batch.traces()[piece.clone()];
        for ((row, trace), verdict) in piece.clone().zip(traces).zip(decisions.verdicts) {
            match verdict {
                // What is decided already is not decided again.
                _ if trace.part > 0 => passed += 1,
                Verdict::Pass => passed += 1,
                Verdict::Keep(reason) => {
                    let keep = reasons.kept(reason);
                    flow.rows[row].verdict.get_or_insert(keep);
                }
                Verdict::Drop(reason) => leaving.push((row, Why::Dropped(reasons.dropped(reason)))),
            }
        }
        changes.extend(edits::place(decisions.edits, traces, piece.start));
    }
    drop(reasons);
    FilterStatus::count(&status.passed, passed);
    for (piece, reason) in failed {
        if on_failure == OnFailure::DeadLetter {
            FilterStatus::count(&status.dead, piece.len());
            let dead = || Why::Dead {
                filter: Arc::clone(&status.name),
                reason: reason.clone(),
            };
            leaving.extend(piece.map(|row| (row, dead())));
        } else {
            FilterStatus::count(&status.undecided, piece.len());
        }
    }
    if leaving.is_empty() && changes.is_empty() {
        return (flow, Vec::new());
    }
    leaving.sort_unstable_by_key(|(row, _)| *row);
    let (flow, gone, made) = rebuild(flow, leaving, changes, names);
    FilterStatus::count(&status.edits, made.edits);
    FilterStatus::count(&status.refused_edits, made.refused);
    (flow, gone)
}

/// A batch without those that leave, which come in order of their rows, and with the changes made. Traces that are not changed are not copied.
fn rebuild(flow: Flow, leaving: Vec<(usize, Why)>, mut changes: Vec<Placed>, names: &mut NameTable) -> (Flow, Vec<Gone>, Made) {
    let Flow { batch, rows, passed } = flow;
    let mut traces = TraceBatch::into_traces(batch);
    let mut made = Made::default();
    // Those of one trace after another, each trace's in their order.
    changes.sort_by_key(|edit| edit.row);
    changes.retain(|edit| leaving.binary_search_by_key(&edit.row, |(row, _)| *row).is_err());
    let mut changes = changes.into_iter().peekable();
    while let Some(row) = changes.peek().map(|edit| edit.row) {
        let of_row = std::iter::from_fn(|| changes.next_if(|edit| edit.row == row));
        match traces.get_mut(row) {
            Some(trace) => made += edits::make(Arc::make_mut(trace), of_row, names),
            None => of_row.for_each(drop),
        }
    }
    let mut leaving = leaving.into_iter().peekable();
    let (mut staying, mut staying_rows, mut gone) = (Vec::with_capacity(traces.len()), Vec::with_capacity(rows.len()), Vec::new());
    for (at, (trace, row)) in traces.into_iter().zip(rows).enumerate() {
        match leaving.next_if(|(leaves, _)| *leaves == at) {
            Some((_, why)) => gone.push(Gone { trace, row, why }),
            None => {
                staying.push(trace);
                staying_rows.push(row);
            }
        }
    }
    let flow = Flow {
        batch: Arc::new(TraceBatch::new(staying)),
        rows: staying_rows,
        passed,
    };
    (flow, gone, made)
}
