//! Batches of traces, as filters and exporters see them: cut once, shared by all, encoded at most once in each form.
//!
//! Must never: know who reads it, or what becomes of its traces.

mod columns;
mod numbers;
mod strings;

pub use columns::{AttributeColumns, Columns, ResourceColumns, SpanColumns, TraceColumns};
pub use numbers::Numbers;
pub use strings::Strings;

use std::sync::{Arc, OnceLock};

use crate::encode::{self, OtlpSpans};
use crate::model::{Sampling, Trace};

/// What everything that takes batches can do besides, be it a filter or an exporter. Lives on a thread of its own; its calls may take time.
pub trait Resident: Send {
    /// Writes out what is held back.
    ///
    /// # Errors
    /// Why that failed, for people.
    fn flush(&mut self) -> Result<(), String>;

    /// A JSON document about what it has seen; `None` when it is not the kind that has one.
    ///
    /// # Errors
    /// Why there is none now, for people.
    fn report(&mut self) -> Result<Option<String>, String>;

    /// Its own counters and gauges.
    fn numbers(&self) -> Numbers {
        Numbers::default()
    }

    /// What its successor may take over; `None` when it is not the kind that has a state.
    ///
    /// # Errors
    /// Why it cannot be had, for people.
    fn snapshot(&mut self) -> Result<Option<Vec<u8>>, String> {
        Ok(None)
    }

    /// Takes over what its predecessor had. A state that it does not want is a fresh start, not an error.
    ///
    /// # Errors
    /// The call failed: this one cannot be used.
    fn restore(&mut self, _snapshot: &[u8]) -> Result<(), String> {
        Ok(())
    }
}

/// Traces that are exported together. Columns and encodings are made when the first exporter asks.
#[derive(Debug)]
pub struct TraceBatch {
    traces: Vec<Arc<Trace>>,
    /// Made by themselves when nobody has asked for more: most filters do not, and most traces may be dropped by them.
    trace_columns: OnceLock<TraceColumns>,
    columns: OnceLock<Columns>,
    json: Vec<OnceLock<Vec<u8>>>,
    otlp: Vec<OnceLock<OtlpSpans>>,
}

impl TraceBatch {
    /// A batch of these traces.
    pub fn new(traces: Vec<Arc<Trace>>) -> TraceBatch {
        TraceBatch {
            json: traces.iter().map(|_| OnceLock::new()).collect(),
            otlp: traces.iter().map(|_| OnceLock::new()).collect(),
            trace_columns: OnceLock::new(),
            columns: OnceLock::new(),
            traces,
        }
    }

    /// A batch of some of the rows of this one.
    pub fn subset(&self, rows: &[usize]) -> TraceBatch {
        TraceBatch::new(rows.iter().filter_map(|row| self.traces.get(*row)).map(Arc::clone).collect())
    }

    /// The traces, for who changes them: the batch's own when nobody else holds it.
    pub fn into_traces(batch: Arc<TraceBatch>) -> Vec<Arc<Trace>> {
        Arc::try_unwrap(batch).map_or_else(|shared| shared.traces.clone(), |own| own.traces)
    }

    /// The batch with these verdicts on the traces in their rows. The very same batch when nobody else holds it: its columns, which say nothing
    /// of verdicts, stay. Else a new one, of copies where need be.
    pub fn with_sampling(mut batch: Arc<TraceBatch>, verdicts: impl Iterator<Item = (usize, Arc<Sampling>)>) -> Arc<TraceBatch> {
        let mut verdicts = verdicts.peekable();
        if verdicts.peek().is_none() {
            return batch;
        }
        if Arc::get_mut(&mut batch).is_none() {
            batch = Arc::new(TraceBatch::new(batch.traces.clone()));
        }
        let Some(own) = Arc::get_mut(&mut batch) else { return batch };
        for (row, sampling) in verdicts {
            if let (Some(trace), Some(json)) = (own.traces.get_mut(row), own.json.get_mut(row)) {
                Arc::make_mut(trace).sampling = Some(sampling);
                json.take();
            }
        }
        batch
    }

    /// The traces, in row order.
    pub fn traces(&self) -> &[Arc<Trace>] {
        &self.traces
    }

    /// Number of span rows.
    pub fn span_count(&self) -> usize {
        self.traces.iter().map(|trace| trace.spans.len()).sum()
    }

    /// The columns of all rows.
    pub fn columns(&self) -> &Columns {
        self.columns.get_or_init(|| Columns::build(&self.traces))
    }

    /// The columns that have a row per trace; cheaper than all of them.
    pub fn trace_columns(&self) -> &TraceColumns {
        match self.columns.get() {
            Some(columns) => &columns.traces,
            None => self.trace_columns.get_or_init(|| TraceColumns::alone(&self.traces)),
        }
    }

    /// The documented JSON of one trace; `None` when there is no such row.
    pub fn json(&self, row: usize) -> Option<&[u8]> {
        let trace = self.traces.get(row)?;
        Some(self.json[row].get_or_init(|| encode::json(trace)))
    }

    /// Rows `start` … `end` - 1 as an OTLP request; `None` when there are no such rows. Each trace is encoded once, whatever ranges are asked for.
    pub fn otlp(&self, start: usize, end: usize) -> Option<Vec<u8>> {
        let traces = self.traces.get(start..end)?;
        let spans = traces.iter().zip(&self.otlp[start..end]).map(|(trace, cell)| cell.get_or_init(|| OtlpSpans::of(trace)));
        Some(encode::otlp(spans))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::sample;

    fn verdict() -> Arc<Sampling> {
        Arc::new(Sampling {
            filter: "sampling".into(),
            keep: true,
            reason: Some("errors".into()),
        })
    }

    fn batch() -> Arc<TraceBatch> {
        let trace = |id: &str| Arc::new(sample::trace(id, vec![sample::span("s")]));
        Arc::new(TraceBatch::new(vec![trace("a"), trace("b")]))
    }

    #[test]
    fn trace_columns_are_the_same_alone_and_beside_all_others() {
        let (alone, all) = (batch(), batch());
        assert_eq!(alone.trace_columns(), &all.columns().traces);
        assert_eq!((alone.columns.get().is_some(), all.trace_columns().parts.len()), (false, 2));
        assert_eq!((alone.span_count(), all.columns().spans.names.len()), (2, 2));
        assert_eq!(alone.trace_columns(), &alone.columns().traces);
    }

    #[test]
    fn a_verdict_leaves_the_columns_and_renews_the_json() {
        let before = batch();
        let (at, columns, trace) = (Arc::as_ptr(&before), std::ptr::from_ref(before.columns()), Arc::as_ptr(&before.traces()[1]));
        let json = before.json(1).map(<[u8]>::to_vec);
        let after = TraceBatch::with_sampling(before, [(1, verdict())].into_iter());
        assert_eq!((Arc::as_ptr(&after), std::ptr::from_ref(after.columns()), Arc::as_ptr(&after.traces()[1])), (at, columns, trace));
        assert_eq!((after.traces()[0].sampling.as_deref(), after.traces()[1].sampling.clone()), (None, Some(verdict())));
        assert_ne!(after.json(1).map(<[u8]>::to_vec), json);
    }

    #[test]
    fn a_batch_that_somebody_holds_is_not_changed_under_him() {
        let held = batch();
        let after = TraceBatch::with_sampling(Arc::clone(&held), [(0, verdict())].into_iter());
        assert_eq!((held.traces()[0].sampling.clone(), after.traces()[0].sampling.clone()), (None, Some(verdict())));
        assert!(Arc::ptr_eq(&held.traces()[1], &after.traces()[1]), "what has no verdict is shared");
        assert!(Arc::ptr_eq(&held, &TraceBatch::with_sampling(Arc::clone(&held), std::iter::empty())));
    }
}
