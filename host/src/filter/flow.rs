//! Batches on their way through the filters: cut once, from what is ready.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::batch::TraceBatch;
use crate::correlate::Decided;
use crate::model::{Receipts, Sampling};

/// Traces in one batch, at most.
pub(super) const BATCH_TRACES: usize = 512;
/// Spans in one batch, at most, unless one trace alone has more.
const BATCH_SPANS: usize = 8_192;

/// Traces that are kept, as the next stage gets them.
#[derive(Debug)]
pub struct FilteredBatch {
    /// The traces, with their verdicts.
    pub batch: Arc<TraceBatch>,
    /// Those of each trace of the batch.
    pub receipts: Vec<Receipts>,
}

/// A batch, and which filters it has passed.
#[derive(Debug)]
pub(super) struct Flow {
    pub batch: Arc<TraceBatch>,
    /// What goes along with each trace.
    pub rows: Vec<Row>,
    /// The seats that it has passed. Told by seat and not by number, so that it is seen once by every filter, whatever is put, moved or removed
    /// while it waits.
    pub passed: Vec<u64>,
}

/// What goes along with a trace.
#[derive(Debug)]
pub(super) struct Row {
    pub receipts: Receipts,
    /// When it was decided, milliseconds of stream time.
    pub at_ms: u64,
    /// The first keep that a filter gave it.
    pub verdict: Option<Arc<Sampling>>,
}

impl Flow {
    /// `None` when there is nothing to flow.
    pub fn new(decided: Vec<Decided>) -> Option<Flow> {
        // What came back from the dead letters comes as part 0, and that is decided anew whatever is remembered.
        let part = |decided: Decided| {
            let Decided { trace, receipts, at_ms, .. } = decided;
            (Arc::new(trace), Row { receipts, at_ms, verdict: None })
        };
        let (traces, rows): (Vec<_>, Vec<_>) = decided.into_iter().map(part).unzip();
        (!rows.is_empty()).then(|| Flow {
            batch: Arc::new(TraceBatch::new(traces)),
            rows,
            passed: Vec::new(),
        })
    }

    /// Both, as one: it has passed what both have.
    pub fn join(mut self, other: Flow) -> Flow {
        self.passed.retain(|seat| other.passed.contains(seat));
        self.rows.extend(other.rows);
        let mut traces = TraceBatch::into_traces(self.batch);
        traces.extend(TraceBatch::into_traces(other.batch));
        Flow {
            batch: Arc::new(TraceBatch::new(traces)),
            ..self
        }
    }
}

/// Decided traces that wait to be cut.
#[derive(Debug, Default)]
pub(super) struct Waiting(VecDeque<Decided>);

impl Waiting {
    pub fn extend(&mut self, decided: Vec<Decided>) {
        self.0.extend(decided);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether nobody need look for more before cutting.
    pub fn is_enough(&self) -> bool {
        self.0.len() >= BATCH_TRACES
    }

    /// Takes the first ones that make a batch: all, or as many as it may have. A late part waits for the next batch when its trace is
    /// in this one, because it follows the decision on that.
    pub fn cut(&mut self) -> Vec<Decided> {
        let mut spans = 0;
        let fits = |at: &usize| {
            let trace = &self.0[*at].trace;
            spans += trace.spans.len();
            let undecided = || self.0.iter().take(*at).any(|before| before.trace.part == 0 && before.trace.id == trace.id);
            spans <= BATCH_SPANS && (trace.part == 0 || !undecided())
        };
        let count = (0..self.0.len().min(BATCH_TRACES)).take_while(fits).count();
        self.0.drain(..count.max(1).min(self.0.len())).collect()
    }
}
