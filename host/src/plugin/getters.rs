//! The guest's view of the current batch: each getter answers with a column. Outside of a call there is no batch, and columns are empty.

use wasmtime::Result;

use super::bindings::meshtrace::plugin::{attributes, encoded, events, host_log, links, metrics, resources, spans, strings, traces, types};
use super::guest_state::GuestState;
use crate::batch::{Columns, TraceColumns};

impl GuestState {
    /// Something of the current batch's columns; its default when there is no batch.
    fn of_batch<T: Default>(&self, pick: impl FnOnce(&Columns) -> T) -> Result<T> {
        Ok(self.batch.as_ref().map(|batch| pick(batch.columns())).unwrap_or_default())
    }

    /// Something of the columns that have a row per trace; those of spans are not made for that.
    fn of_traces<T: Default>(&self, pick: impl FnOnce(&TraceColumns) -> T) -> Result<T> {
        Ok(self.batch.as_ref().map(|batch| pick(batch.trace_columns())).unwrap_or_default())
    }

    fn span_count(&self) -> usize {
        self.batch.as_ref().map_or(0, |batch| batch.span_count())
    }
}

/// A request for rows that are not there ends the guest: it has miscounted, and would go on with wrong data.
fn out_of_range(what: &str, start: u32, end: u32, has: usize) -> wasmtime::Error {
    wasmtime::Error::msg(format!("{what} {start} to {end} were asked for, the batch has {has}"))
}

/// Getters that copy one column.
macro_rules! columns {
    ($($getter:ident: $type:ty = $group:ident . $field:ident),* $(,)?) => {
        $(fn $getter(&mut self) -> Result<Vec<$type>> {
            self.of_batch(|columns| columns.$group.$field.clone())
        })*
    };
}

macro_rules! trace_columns {
    ($($getter:ident: $type:ty = $field:ident),* $(,)?) => {
        $(fn $getter(&mut self) -> Result<Vec<$type>> {
            self.of_traces(|columns| columns.$field.clone())
        })*
    };
}

impl types::Host for GuestState {}

impl traces::Host for GuestState {
    fn count(&mut self) -> Result<u32> {
        self.of_traces(|traces| traces.parts.len() as u32)
    }
    trace_columns!(
        ids: u8 = ids, id_texts: u32 = id_texts, base_times_ms: i64 = base_times_ms,
        durations_ns: u64 = durations_ns, first_spans: u32 = first_spans, span_counts: u32 = span_counts,
        failed_counts: u32 = failed_counts, agent_counts: u32 = agent_counts, roots: u32 = roots,
        root_names: u32 = root_names, root_agents: u32 = root_agents, parts: u32 = parts, flag_bits: u32 = flags,
    );
}

impl spans::Host for GuestState {
    fn count(&mut self) -> Result<u32> {
        Ok(self.span_count() as u32)
    }
    columns!(
        ids: u8 = spans.ids, id_texts: u32 = spans.id_texts, parents: u32 = spans.parents, parent_texts: u32 = spans.parent_texts,
        names: u32 = spans.names, agents: u32 = spans.agents, resources: u32 = spans.resources, kinds: u8 = spans.kinds,
        statuses: u8 = spans.statuses, errors: u32 = spans.errors, start_offsets_ns: u64 = spans.start_offsets_ns,
        durations_ns: u64 = spans.durations_ns, flag_bits: u32 = spans.flags, scopes: u32 = spans.scopes,
    );
}

impl resources::Host for GuestState {
    fn count(&mut self) -> Result<u32> {
        self.of_batch(|columns| columns.resources.names.len() as u32)
    }
    columns!(
        names: u32 = resources.names, ids: u32 = resources.ids, addresses: u32 = resources.addresses, runtimes: u32 = resources.runtimes,
        ends: u32 = resources.ends, keys: u32 = resources.keys, values: u32 = resources.values, types: u8 = resources.types,
    );
}

impl attributes::Host for GuestState {
    columns!(ends: u32 = attributes.ends, keys: u32 = attributes.keys, values: u32 = attributes.values, types: u8 = attributes.types);

    fn column(&mut self, key: String) -> Result<Vec<u32>> {
        self.of_batch(|columns| columns.attribute_column(&key))
    }
}

// MCP Mesh spans have neither events nor links: every run is empty.

impl events::Host for GuestState {
    fn ends(&mut self) -> Result<Vec<u32>> {
        Ok(vec![0; self.span_count()])
    }
    fn names(&mut self) -> Result<Vec<u32>> {
        Ok(Vec::new())
    }
    fn offsets_ns(&mut self) -> Result<Vec<u64>> {
        Ok(Vec::new())
    }
    fn attributes(&mut self) -> Result<Vec<u32>> {
        Ok(Vec::new())
    }
}

impl links::Host for GuestState {
    fn ends(&mut self) -> Result<Vec<u32>> {
        Ok(vec![0; self.span_count()])
    }
    fn trace_ids(&mut self) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }
    fn span_ids(&mut self) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }
    fn attributes(&mut self) -> Result<Vec<u32>> {
        Ok(Vec::new())
    }
}

impl strings::Host for GuestState {
    fn sections(&mut self) -> Result<strings::SectionEnds> {
        let [traces, spans, attributes] = self.of_batch(|columns| columns.strings.sections)?;
        Ok(strings::SectionEnds { traces, spans, attributes })
    }

    fn separate(&mut self, start: u32, end: u32) -> Result<Vec<String>> {
        let Some(batch) = &self.batch else { return Ok(Vec::new()) };
        let table = &batch.columns().strings;
        table.list(start, end).ok_or_else(|| out_of_range("strings", start, end, table.len()))
    }

    fn joined(&mut self, start: u32, end: u32) -> Result<strings::Texts> {
        let Some(batch) = &self.batch else { return Ok(strings::Texts { utf8: Vec::new(), ends: Vec::new() }) };
        let table = &batch.columns().strings;
        let texts = table.text(start, end).map(|(utf8, ends)| strings::Texts { utf8, ends });
        texts.ok_or_else(|| out_of_range("strings", start, end, table.len()))
    }
}

impl encoded::Host for GuestState {
    fn json(&mut self, trace: u32) -> Result<Vec<u8>> {
        let Some(batch) = &self.batch else { return Ok(Vec::new()) };
        let row = trace as usize;
        batch.json(row).map(<[u8]>::to_vec).ok_or_else(|| out_of_range("traces", trace, trace, batch.traces().len()))
    }

    fn otlp(&mut self, start: u32, end: u32) -> Result<Vec<u8>> {
        let Some(batch) = &self.batch else { return Ok(Vec::new()) };
        batch.otlp(start as usize, end as usize).ok_or_else(|| out_of_range("traces", start, end, batch.traces().len()))
    }
}

impl host_log::Host for GuestState {
    fn log(&mut self, level: host_log::Level, message: String) -> Result<()> {
        self.log.write(level, &message);
        Ok(())
    }
}

impl metrics::Host for GuestState {
    fn add(&mut self, name: String, amount: u64) -> Result<()> {
        GuestState::add(self, name, amount);
        Ok(())
    }

    fn set(&mut self, name: String, value: f64) -> Result<()> {
        GuestState::set(self, name, value);
        Ok(())
    }
}
