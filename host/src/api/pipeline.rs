//! What the API asks the running stages. The program's composition root implements it; tests do with a fake.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use crate::export;
use crate::filter::{Counts, FilterSummary, Known};
use crate::model::{Decision, Trace, TraceId};
use crate::plugin::{Problem, Record};
use crate::source::StatusSnapshot;

/// An answer that may take a while.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The stages, as the API sees them. Nothing here changes anything.
///
/// What is not an [`Answer`] is answered at once, from counters; a status page must not wait for a busy stage.
pub trait Pipeline: Send + Sync + 'static {
    /// Whether a trace is not decided yet. The API waits five seconds for it.
    fn is_open(&self, id: TraceId) -> Answer<'_, bool>;

    /// What is known so far of a trace that is not decided yet: a copy. The API waits five seconds for it.
    fn open_trace(&self, id: TraceId) -> Answer<'_, Option<Trace>>;

    /// What a plugin reports of itself, as JSON text; `None` when there is no such plugin or it reports nothing. The API waits
    /// five seconds for it.
    ///
    /// # Errors
    /// Why the plugin cannot answer, for people.
    fn report<'a>(&'a self, plugin: &'a str) -> Answer<'a, Result<Option<String>, String>>;

    /// Traces that are not decided yet, and decisions.
    fn correlator(&self) -> CorrelatorSummary;

    /// Plugins that decide which traces are kept.
    fn filters(&self) -> FiltersSummary;

    /// What was decided about a trace, if that is one of the last decisions of filters.
    fn decision(&self, id: &TraceId) -> Option<Known>;

    /// Plugins that take decided traces.
    fn exporters(&self) -> ExportersSummary;

    /// What is read.
    fn source(&self) -> StatusSnapshot;

    /// What became of what was read.
    fn input(&self) -> InputSummary;

    /// What is known of every plugin, be it running, being loaded, failed or gone.
    fn plugins(&self) -> PluginsSummary;
}

/// What became of what was read, in numbers.
#[derive(Debug, Clone, Default)]
pub struct InputSummary {
    /// Entries that became events, since the start.
    pub events: u64,
    /// Values of another form than their field wants, since the start; each was kept as an attribute.
    pub unreadable_values: u64,
    /// Entries that are no events, since the start, by why; in snake_case.
    pub rejected: Vec<(&'static str, u64)>,
    /// Bytes that open traces hold.
    pub open_bytes: u64,
    /// Bytes of decided traces that are on their way through filters, or wait for required exporters.
    pub queued_bytes: u64,
    /// Bytes that they may hold.
    pub max_queued_bytes: u64,
    /// Times, since the start, that decided traces had to wait for some of these bytes, and reading with them.
    pub queue_waits: u64,
    /// Ids of decided traces that are remembered.
    pub remembered_traces: u64,
    /// Bytes of texts that are kept once for all spans.
    pub interned_name_bytes: u64,
}

/// The correlator in numbers.
#[derive(Debug, Clone, Default)]
pub struct CorrelatorSummary {
    /// Traces that are not decided yet.
    pub active_traces: u64,
    /// Spans of those traces.
    pub total_spans: u64,
    /// How long ago the oldest of them began to come in; `None` when there is none.
    pub oldest_age: Option<Duration>,
    /// Parts that came after their trace had been decided, since the start.
    pub late_parts: u64,
    /// Decisions since the start, by reason.
    pub decided: Vec<(Decision, u64)>,
}

/// The filters in numbers.
#[derive(Debug, Clone, Default)]
pub struct FiltersSummary {
    /// What has become of traces.
    pub counts: Counts,
    /// Each filter, in their order.
    pub filters: Vec<FilterSummary>,
}

/// The exporters in numbers.
#[derive(Debug, Clone, Default)]
pub struct ExportersSummary {
    /// `TRACE_EXPORTER_TYPE` as configured: `console`, `json`, `multi` …
    pub type_name: String,
    /// Traces that every required exporter has taken, since the start.
    pub exported_traces: u64,
    /// One each, in order of configuration.
    pub exporters: Vec<export::Summary>,
}

/// All plugins, as the plugin directory and the settings define them.
#[derive(Debug, Clone, Default)]
pub struct PluginsSummary {
    /// The plugin directory, if there is one.
    pub directory: Option<PathBuf>,
    /// What is wrong with it.
    pub directory_problem: Option<Problem>,
    /// By the instance's name. What one does as an exporter is in [`Pipeline::exporters`], under the same name.
    pub records: BTreeMap<String, Record>,
}
