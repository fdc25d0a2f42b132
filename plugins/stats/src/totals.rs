//! What is counted, and the report made of it.

use meshtrace_plugin::Batch;
use serde::Serialize;

use crate::Config;
use crate::histogram::Histogram;
use crate::names::Names;

/// Everything counted since the state began.
#[derive(Clone, Debug, PartialEq)]
pub struct Totals {
    /// Unix milliseconds of when the state began.
    pub since_ms: i64,
    /// The plain counters.
    pub counters: Counters,
    /// Durations of the traces that have one.
    pub durations: Histogram,
    /// Spans by operation.
    pub operations: Names,
    /// Spans by agent.
    pub agents: Names,
}

/// Counters that only ever grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counters {
    /// Traces, each counted at its first export.
    pub traces: u64,
    /// Those with a failed span.
    pub failed: u64,
    /// Those decided before all their spans had ended.
    pub incomplete: u64,
    /// Spans, those of late parts among them.
    pub spans: u64,
    /// Late parts.
    pub late_parts: u64,
    /// Late parts with a failed span.
    pub failed_late_parts: u64,
    /// Sum of the traces' durations: 128 bits, as a few hostile spans of centuries would fill 64.
    #[serde(with = "decimal")]
    pub duration_sum_ns: u128,
}

/// A number of 128 bits as text, as JSON readers keep 64.
mod decimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(number: &u128, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(number)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u128, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// The report's document.
#[derive(Debug, Serialize)]
#[allow(missing_docs)] // The names are those of the documented answer.
pub struct Report<'a> {
    pub total_traces: u64,
    pub success_traces: u64,
    pub failed_traces: u64,
    /// Percent; 0 without traces.
    pub success_rate: f64,
    /// Over the traces whose duration is known.
    pub avg_duration_ms: f64,
    pub avg_spans_per_trace: f64,
    pub p50_duration_ms: f64,
    pub p95_duration_ms: f64,
    pub p99_duration_ms: f64,
    pub agents_involved: Vec<&'a str>,
    pub top_operations: Vec<Operation<'a>>,
    pub total_spans: u64,
    pub late_parts: u64,
    pub failed_late_parts: u64,
    pub incomplete_traces: u64,
    /// When the state began.
    pub since: String,
    /// Spans whose name had no place.
    pub other: Other,
}

/// A row of the top operations.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct Operation<'a> {
    pub operation: &'a str,
    pub count: u64,
}

/// Spans whose agent or operation had no place.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct Other {
    pub agents: u64,
    pub operations: u64,
}

/// Which bounds were met for the first time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Met {
    /// `max_operations`
    pub operations: bool,
    /// `max_agents`
    pub agents: bool,
}

impl Totals {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(since_ms: i64) -> Self {
        Totals {
            since_ms,
            counters: Counters::default(),
            durations: Histogram::default(),
            operations: Names::default(),
            agents: Names::default(),
        }
    }

    /// Counts a batch. Spans are counted by the column: names are looked up once per distinct name, not per span.
    pub fn add(&mut self, batch: &Batch, bounds: &Config) -> Met {
        for trace in batch.traces() {
            self.counters.spans += u64::from(trace.span_count());
            if trace.part() > 0 {
                self.counters.late_parts += 1;
                self.counters.failed_late_parts += u64::from(trace.is_failed());
                continue;
            }
            self.counters.traces += 1;
            self.counters.failed += u64::from(trace.is_failed());
            self.counters.incomplete += u64::from(trace.is_incomplete());
            if let Some(ns) = trace.duration_ns() {
                self.counters.duration_sum_ns = self.counters.duration_sum_ns.saturating_add(u128::from(ns));
                self.durations.add(ns);
            }
        }
        Met {
            operations: count(&mut self.operations, batch, batch.columns().span_names(), bounds.max_operations),
            agents: count(&mut self.agents, batch, batch.columns().span_agents(), bounds.max_agents),
        }
    }

    /// The report, as documented for `/trace/stats`.
    #[must_use]
    pub fn report(&self) -> Report<'_> {
        let Counters {
            traces,
            failed,
            incomplete,
            spans,
            late_parts,
            failed_late_parts,
            duration_sum_ns,
        } = self.counters;
        let success = traces.saturating_sub(failed);
        let top = self.operations.top(10).into_iter();
        Report {
            total_traces: traces,
            success_traces: success,
            failed_traces: failed,
            success_rate: rounded(average(success, traces) * 100.0, 2),
            avg_duration_ms: rounded(average(duration_sum_ns, self.durations.total()) / 1e6, 3),
            avg_spans_per_trace: rounded(average(spans, traces), 2),
            p50_duration_ms: self.quantile_ms(0.50),
            p95_duration_ms: self.quantile_ms(0.95),
            p99_duration_ms: self.quantile_ms(0.99),
            agents_involved: self.agents.sorted(),
            top_operations: top.map(|(operation, count)| Operation { operation, count }).collect(),
            total_spans: spans,
            late_parts,
            failed_late_parts,
            incomplete_traces: incomplete,
            since: jiff::Timestamp::from_millisecond(self.since_ms).unwrap_or_default().to_string(),
            other: Other {
                agents: self.agents.other(),
                operations: self.operations.other(),
            },
        }
    }

    fn quantile_ms(&self, q: f64) -> f64 {
        self.durations.quantile(q).map_or(0.0, |ns| rounded(ns as f64 / 1e6, 3))
    }
}

/// Adds a column of string indexes to the counts of its names; absent ones (index 0) have no name. Answers whether a name
/// was without a place for the first time.
fn count(names: &mut Names, batch: &Batch, column: &[u32], places: usize) -> bool {
    let mut indexes = column.to_vec();
    indexes.sort_unstable();
    let mut met = false;
    for run in indexes.chunk_by(|one, two| one == two) {
        if run[0] != 0 {
            met |= names.add(batch.text(run[0]), run.len() as u64, places);
        }
    }
    met
}

/// 0 when there is nothing to divide by.
fn average(sum: impl Into<u128>, count: u64) -> f64 {
    if count == 0 { 0.0 } else { sum.into() as f64 / count as f64 }
}

fn rounded(value: f64, digits: i32) -> f64 {
    let unit = 10_f64.powi(digits);
    (value * unit).round() / unit
}
