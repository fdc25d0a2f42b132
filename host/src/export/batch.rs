//! A batch of traces: cut once, shared by all exporters, encoded at most once in each form.

use std::sync::{Arc, OnceLock};

use super::Columns;
use crate::encode;
use crate::model::Trace;

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
