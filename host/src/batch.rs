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

use crate::encode;
use crate::model::Trace;

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
    columns: OnceLock<Columns>,
    json: Vec<OnceLock<Vec<u8>>>,
    otlp: Vec<OnceLock<Vec<u8>>>,
}

impl TraceBatch {
    /// A batch of these traces.
    pub fn new(traces: Vec<Arc<Trace>>) -> TraceBatch {
        let cells = || traces.iter().map(|_| OnceLock::new()).collect();
        TraceBatch {
            json: cells(),
            otlp: cells(),
            columns: OnceLock::new(),
            traces,
        }
    }

    /// A batch of some of the rows of this one.
    pub fn subset(&self, rows: &[usize]) -> TraceBatch {
        TraceBatch::new(rows.iter().filter_map(|row| self.traces.get(*row)).map(Arc::clone).collect())
    }

    /// The traces, in row order.
    pub fn traces(&self) -> &[Arc<Trace>] {
        &self.traces
    }

    /// The columns of all rows.
    pub fn columns(&self) -> &Columns {
        self.columns.get_or_init(|| Columns::build(&self.traces))
    }

    /// The documented JSON of one trace; `None` when there is no such row.
    pub fn json(&self, row: usize) -> Option<&[u8]> {
        let trace = self.traces.get(row)?;
        Some(self.json[row].get_or_init(|| encode::json(trace)))
    }

    /// Rows `start` … `end` - 1 as an OTLP request; `None` when there are no such rows. Requests concatenate, so each trace is encoded once
    /// whatever ranges are asked for.
    pub fn otlp(&self, start: usize, end: usize) -> Option<Vec<u8>> {
        let traces = self.traces.get(start..end)?;
        let mut request = Vec::new();
        for (trace, cell) in traces.iter().zip(&self.otlp[start..end]) {
            request.extend_from_slice(cell.get_or_init(|| encode::otlp(&[trace])));
        }
        Some(request)
    }
}
