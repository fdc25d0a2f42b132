//! Batches on their way through the filters: cut once, from what is ready.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::batch::TraceBatch;
use crate::budget::Share;
use crate::correlate::Decided;
use crate::model::{Receipts, Sampling, Trace, TraceId};

/// Traces in one batch, at most.
pub(super) const BATCH_TRACES: usize = 512;
/// Spans in one batch, at most, unless one trace alone has more.
const BATCH_SPANS: usize = 8_192;
/// Bytes of the traces in one batch, at most, unless one trace alone has more: what a plugin answers about them shall fit into its limits.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Traces that are kept, as the next stage gets them.
#[derive(Debug)]
pub struct FilteredBatch {
    /// The traces, with their verdicts.
    pub batch: Arc<TraceBatch>,
    /// Those of each trace of the batch.
    pub receipts: Vec<Receipts>,
    /// What they take together of the bytes that may be on their way.
    pub share: Share,
}

/// A batch, and which filters it has passed. All of it was read under one leadership.
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
    /// What it takes of the bytes that may be on their way.
    pub share: Share,
}

impl Row {
    /// What goes along with a trace that comes from the correlator.
    pub fn split(decided: Decided) -> (Arc<Trace>, Row) {
        // What came back from the dead letters comes as part 0, and that is decided anew whatever is remembered.
        let Decided { trace, receipts, at_ms, share, .. } = decided;
        let row = Row { receipts, at_ms, verdict: None, share };
        (Arc::new(trace), row)
    }
}

impl Flow {
    /// `None` when there is nothing to flow.
    pub fn new(decided: Vec<Decided>) -> Option<Flow> {
        let (traces, rows): (Vec<_>, Vec<_>) = decided.into_iter().map(Row::split).unzip();
        (!rows.is_empty()).then(|| Flow {
            batch: Arc::new(TraceBatch::new(traces)),
            rows,
            passed: Vec::new(),
        })
    }

    /// The leadership under which it was read.
    pub fn epoch(&self) -> u32 {
        self.rows.first().map_or(0, |row| row.receipts.epoch)
    }

    /// Those rows that do not wait, and those that do.
    pub fn split(self, waits: &[bool]) -> (Flow, Flow) {
        let Flow { batch, rows, passed } = self;
        let (mut ways, traces) = ([(Vec::new(), Vec::new()), (Vec::new(), Vec::new())], TraceBatch::into_traces(batch));
        for ((trace, row), waits) in traces.into_iter().zip(rows).zip(waits) {
            let (traces, rows) = &mut ways[usize::from(*waits)];
            traces.push(trace);
            rows.push(row);
        }
        let [going, waiting] = ways.map(|(traces, rows)| Flow {
            batch: Arc::new(TraceBatch::new(traces)),
            rows,
            passed: passed.clone(),
        });
        (going, waiting)
    }

    /// Both, as one, when they have passed the same seats and were read under the same leadership.
    pub fn join(mut self, other: Flow) -> Flow {
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

    /// Takes the first ones that make a batch: all, or as many as it may have. A late part waits for the next batch when its trace is in this one, because it
    /// follows the decision on that; and for as long as its trace is one that is `undecided`, while others overtake it. What was read under another leadership
    /// waits, too: a batch is ours, or it is not.
    pub fn cut(&mut self, undecided: impl Fn(&TraceId) -> bool) -> Vec<Decided> {
        let (mut batch, mut left): (Vec<Decided>, Vec<Decided>) = (Vec::new(), Vec::new());
        let (mut spans, mut bytes) = (0, 0);
        while batch.len() < BATCH_TRACES
            && let Some(next) = self.0.pop_front()
        {
            let trace = &next.trace;
            if trace.part > 0 && undecided(&trace.id) {
                left.push(next);
                continue;
            }
            spans += trace.spans.len();
            bytes += trace.bytes();
            let is_of_another = batch.first().is_some_and(|first| first.receipts.epoch != next.receipts.epoch);
            let follows = || trace.part > 0 && batch.iter().any(|before| before.trace.part == 0 && before.trace.id == trace.id);
            if !batch.is_empty() && (is_of_another || spans > BATCH_SPANS || bytes > BATCH_BYTES || follows()) {
                self.0.push_front(next);
                break;
            }
            batch.push(next);
        }
        left.into_iter().rev().for_each(|left| self.0.push_front(left));
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::sample;
    use crate::model::Text;

    fn decided(id: &str, part: u32, error_bytes: usize) -> Decided {
        let mut span = sample::span("a");
        span.error = Text::own(&"x".repeat(error_bytes));
        let trace = Trace { part, ..sample::trace(id, vec![span]) };
        Decided {
            trace,
            receipts: Receipts::default(),
            at_ms: 0,
            retry: false,
            follows_drop: false,
            share: Share::default(),
        }
    }

    fn ids(batch: &[Decided]) -> Vec<String> {
        batch.iter().map(|decided| decided.trace.id.to_string()).collect()
    }

    #[test]
    fn a_batch_has_so_many_bytes_and_a_larger_trace_goes_alone() {
        let mib = 1024 * 1024;
        let mut waiting = Waiting::default();
        waiting.extend((0..17).map(|at| decided(&at.to_string(), 0, mib)).collect());
        waiting.extend(vec![decided("large", 0, 9 * mib), decided("last", 0, 1)]);
        let mut cuts = Vec::new();
        while !waiting.is_empty() {
            let batch = waiting.cut(|_| false);
            assert!(batch.len() == 1 || batch.iter().map(|decided| decided.trace.bytes()).sum::<usize>() <= BATCH_BYTES);
            cuts.push(batch.len());
        }
        assert_eq!(cuts, [7, 7, 3, 1, 1]);
    }

    #[test]
    fn a_batch_is_of_one_leadership() {
        let mut waiting = Waiting::default();
        let of = |id: &str, epoch| {
            let mut decided = decided(id, 0, 0);
            decided.receipts.epoch = epoch;
            decided
        };
        waiting.extend(vec![of("a", 1), of("b", 1), of("c", 3), of("d", 1)]);
        let cuts: Vec<Vec<String>> = std::iter::from_fn(|| (!waiting.is_empty()).then(|| ids(&waiting.cut(|_| false)))).collect();
        assert_eq!(cuts, [vec!["a", "b"], vec!["c"], vec!["d"]]);
    }

    #[test]
    fn late_parts_of_what_is_undecided_are_overtaken() {
        let mut waiting = Waiting::default();
        waiting.extend(vec![decided("x", 1, 0), decided("a", 0, 0), decided("x", 2, 0), decided("x", 0, 0), decided("b", 0, 0)]);
        let undecided = |id: &TraceId| *id == TraceId::parse("x");
        assert_eq!(ids(&waiting.cut(undecided)), ["a", "x", "b"]);
        assert!(waiting.cut(undecided).is_empty() && !waiting.is_empty());
        assert_eq!(waiting.cut(|_| false).iter().map(|decided| decided.trace.part).collect::<Vec<_>>(), [1, 2]);
    }
}
