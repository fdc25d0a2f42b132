//! Guests whose work is known: each reads so much of every batch and nothing else. What they share.

use meshtrace_plugin::Batch;

/// Adds up whole columns, so that every element of them is read.
pub trait Read {
    /// A number that depends on every element.
    fn read(self) -> u64;
}

macro_rules! read {
    ($($element:ty),*) => {
        $(impl Read for &[$element] {
            fn read(self) -> u64 {
                self.iter().fold(0, |sum, element| sum.wrapping_add(*element as u64))
            }
        })*
    };
}

read!(u8, u32, u64, i64);

/// Reads the texts that these indexes point to, each time that one does.
#[must_use]
pub fn texts(batch: &Batch, indexes: &[u32]) -> u64 {
    indexes.iter().fold(0, |sum, index| {
        let text = batch.text(*index).as_bytes();
        sum.wrapping_add(text.len() as u64).wrapping_add(u64::from(text.last().copied().unwrap_or_default()))
    })
}

/// Reads every column that has a row per trace, texts included.
#[must_use]
pub fn trace_columns(batch: &Batch) -> u64 {
    let columns = batch.columns();
    let numbers = [
        columns.trace_ids().read(),
        columns.trace_base_times_ms().read(),
        columns.trace_durations_ns().read(),
        columns.trace_first_spans().read(),
        columns.trace_span_counts().read(),
        columns.trace_failed_counts().read(),
        columns.trace_agent_counts().read(),
        columns.trace_roots().read(),
        columns.trace_parts().read(),
        columns.trace_flags().read(),
    ];
    let texts = [columns.trace_id_texts(), columns.trace_root_names(), columns.trace_root_agents()].map(|column| texts(batch, column));
    numbers.into_iter().chain(texts).fold(0, u64::wrapping_add)
}

/// Reads every column that has a row per span, but for attributes, and the texts of names, agents and errors. Ids are read as bytes.
#[must_use]
pub fn span_columns(batch: &Batch) -> u64 {
    let columns = batch.columns();
    let numbers = [
        columns.span_ids().read(),
        columns.span_id_texts().read(),
        columns.span_parents().read(),
        columns.span_parent_texts().read(),
        columns.span_resources().read(),
        columns.span_kinds().read(),
        columns.span_statuses().read(),
        columns.span_start_offsets_ns().read(),
        columns.span_durations_ns().read(),
        columns.span_flags().read(),
        columns.span_scopes().read(),
    ];
    let texts = [columns.span_names(), columns.span_agents(), columns.span_errors()].map(|column| texts(batch, column));
    numbers.into_iter().chain(texts).fold(0, u64::wrapping_add)
}

/// Reads everything that there is: every column, every attribute, every text.
#[must_use]
pub fn everything(batch: &Batch) -> u64 {
    let columns = batch.columns();
    let numbers = [
        trace_columns(batch),
        span_columns(batch),
        columns.resource_ends().read(),
        columns.resource_types().read(),
        columns.attribute_ends().read(),
        columns.attribute_types().read(),
    ];
    let texts = [
        columns.span_id_texts(),
        columns.span_parent_texts(),
        columns.resource_names(),
        columns.resource_ids(),
        columns.resource_addresses(),
        columns.resource_runtimes(),
        columns.resource_keys(),
        columns.resource_values(),
        columns.attribute_keys(),
        columns.attribute_values(),
    ];
    numbers.into_iter().chain(texts.map(|column| crate::texts(batch, column))).fold(0, u64::wrapping_add)
}

/// An exporter that reads each batch with one function, and tells what came of it.
#[macro_export]
macro_rules! reader {
    ($type:ident, $name:literal, $read:expr) => {
        struct $type {
            traces: u64,
            sum: u64,
        }

        impl meshtrace_plugin::Exporter for $type {
            fn describe() -> meshtrace_plugin::Description {
                meshtrace_plugin::Description::new($name, "1")
            }

            fn init(_config: &str) -> Result<Self, String> {
                Ok($type { traces: 0, sum: 0 })
            }

            fn export(&mut self, batch: &meshtrace_plugin::Batch) -> meshtrace_plugin::Outcome {
                self.sum = self.sum.wrapping_add($read(batch));
                self.traces += batch.len() as u64;
                meshtrace_plugin::Outcome::Delivered
            }
        }

        impl meshtrace_plugin::Report for $type {
            fn report(&mut self) -> Result<String, String> {
                Ok(format!("{{\"traces\":{},\"sum\":\"{:016x}\"}}", self.traces, self.sum))
            }
        }

        meshtrace_plugin::export_exporter!($type, report);
    };
}
