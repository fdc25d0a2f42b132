//! Batches for tests, made natively: `cargo test` runs a plugin's logic without a host.
//!
//! ```
//! use meshtrace_plugin::testing::{self, TestSpan, TestTrace};
//!
//! let span = TestSpan { id: "s1".into(), name: "tool:get_weather".into(), agent: "weather".into(), ..Default::default() };
//! let batch = testing::batch(&[TestTrace { id: "t1".into(), spans: vec![span], ..Default::default() }]);
//! assert_eq!(batch.traces().next().unwrap().spans().next().unwrap().name(), "tool:get_weather");
//! ```

mod builder;
mod edited;
#[cfg(test)]
mod tests;

pub use edited::edited;

use crate::{Batch, OwnedValue, Span, SpanKind, Status};

/// A trace for a test.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TestTrace {
    /// The id as it came.
    pub id: String,
    /// 0 for a trace, 1, 2 … for a late part.
    pub part: u32,
    /// Whether it was decided before every span had ended.
    pub incomplete: bool,
    /// What [`Trace::json`](crate::Trace::json) answers.
    pub json: Vec<u8>,
    /// What [`Batch::otlp`] answers for this row; rows are joined.
    pub otlp: Vec<u8>,
    /// Its spans; keep them in order of start.
    pub spans: Vec<TestSpan>,
}

/// A span for a test.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TestSpan {
    /// The id as it came.
    pub id: String,
    /// The parent's id as it came.
    pub parent: Option<String>,
    /// The operation; empty = absent.
    pub name: String,
    /// The agent's name; empty = absent.
    pub agent: String,
    /// What else is known of the agent. Spans whose agent and resource are equal share a row of the resources.
    pub resource: TestResource,
    /// What kind of span it is.
    pub kind: SpanKind,
    /// Its start.
    pub start_unix_ns: Option<u64>,
    /// What it took.
    pub duration_ns: Option<u64>,
    /// Whether it succeeded.
    pub status: Status,
    /// The error text.
    pub error: Option<String>,
    /// Whether it never ended.
    pub open: bool,
    /// Attributes: `("key".into(), "text".into())`, `("n".into(), 7_i64.into())`, `("ok".into(), true.into())` ….
    pub attributes: Vec<(String, OwnedValue)>,
}

/// The agent process of a span for a test. Its name is the span's `agent`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TestResource {
    /// The agent's id; empty = absent.
    pub id: String,
    /// The agent's IP address; empty = absent.
    pub address: String,
    /// The agent's runtime; empty = absent.
    pub runtime: String,
    /// What else is known of it.
    pub attributes: Vec<(String, OwnedValue)>,
}

/// A batch of these traces. Columns that tests have no fields for (events, links, scopes) are empty, ids are derived from the
/// first bytes of their text.
#[must_use]
pub fn batch(traces: &[TestTrace]) -> Batch {
    builder::build(traces)
}

/// The same batch, damaged: the last attribute's value is a string that the batch does not have. No host sends such a batch; this is
/// for filters that must rather fail than let something pass unseen.
#[must_use]
pub fn damaged_batch(traces: &[TestTrace]) -> Batch {
    builder::build_damaged(traces)
}

/// What the host answers for `attributes.column`, from the other columns.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn attribute_column(batch: &Batch, key: &str) -> Vec<u32> {
    let value_index = |row| {
        let columns = batch.columns();
        let run = crate::columns::run(columns.attribute_ends(), row, columns.attribute_keys().len());
        let found = run.into_iter().find(|at| batch.text(columns.attribute_keys()[*at as usize]) == key);
        found.map_or(0, |at| columns.attribute_values()[at as usize])
    };
    (0..batch.columns().span_count()).map(value_index).collect()
}

/// All spans of a batch, trace by trace.
pub fn spans(batch: &Batch) -> impl Iterator<Item = Span<'_>> {
    batch.traces().flat_map(|trace| trace.spans())
}
