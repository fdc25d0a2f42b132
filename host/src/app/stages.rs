//! The running stages, as the API sees them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::api::{Answer, CorrelatorSummary, ExportersSummary, FiltersSummary, InputSummary, Pipeline, PluginsSummary};
use crate::budget::Budget;
use crate::model::{Name, Trace, TraceId};
use crate::plugin::Registry;
use crate::source::{SourceStatus, StatusSnapshot};
use crate::{correlate, export, filter};

/// The stages' handles, as the API asks them.
pub struct Stages {
    pub(super) source: Arc<SourceStatus>,
    pub(super) correlate: correlate::Handle,
    pub(super) budget: Arc<Budget>,
    pub(super) filter: filter::Handle,
    pub(super) export: export::Handle,
    pub(super) exporter_type: String,
    pub(super) registry: Arc<Registry>,
    pub(super) plugin_dir: Option<PathBuf>,
}

impl Stages {
    /// Traces and late parts that every exporter has taken which they wait for; dead letters are none.
    pub fn exported(&self) -> u64 {
        self.export.delivered()
    }

    /// Likewise the traces alone, each once, however many late parts it has.
    pub fn exported_traces(&self) -> u64 {
        self.export.delivered_traces()
    }

    /// Whether the plugin called `name` has been loaded.
    pub fn has_loaded(&self, name: &str) -> bool {
        self.registry.records().get(name).is_some_and(|plugin| plugin.loaded.is_some())
    }
}

impl Pipeline for Stages {
    fn is_open(&self, id: TraceId) -> Answer<'_, bool> {
        Box::pin(self.correlate.is_open(id))
    }

    fn open_trace(&self, id: TraceId) -> Answer<'_, Option<Trace>> {
        Box::pin(self.correlate.open_trace(id))
    }

    fn report<'a>(&'a self, plugin: &'a str) -> Answer<'a, Result<Option<String>, String>> {
        Box::pin(async move {
            match self.export.report(plugin).await? {
                Some(report) => Ok(Some(report)),
                None => self.filter.report(plugin).await,
            }
        })
    }

    fn correlator(&self) -> CorrelatorSummary {
        let counters = &self.correlate.counters;
        let summary = counters.summary();
        CorrelatorSummary {
            active_traces: summary.active_traces as u64,
            total_spans: summary.total_spans as u64,
            oldest_age: summary.oldest_age_ms.map(Duration::from_millis),
            late_parts: counters.late_parts.load(Ordering::Relaxed),
            decided: counters.decided().collect(),
        }
    }

    fn filters(&self) -> FiltersSummary {
        FiltersSummary {
            counts: self.filter.counts(),
            filters: self.filter.summaries(),
        }
    }

    fn decision(&self, id: &TraceId) -> Option<filter::Known> {
        self.filter.decision(id)
    }

    fn exporters(&self) -> ExportersSummary {
        ExportersSummary {
            type_name: self.exporter_type.clone(),
            exported_traces: self.exported(),
            exporters: self.export.summaries(),
        }
    }

    fn source(&self) -> StatusSnapshot {
        self.source.snapshot()
    }

    fn input(&self) -> InputSummary {
        let counters = &self.correlate.counters;
        let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let summary = counters.summary();
        InputSummary {
            events: load(&counters.events),
            unreadable_values: load(&counters.unreadable_values),
            rejected: counters.rejected().collect(),
            open_bytes: summary.open_bytes as u64,
            queued_bytes: self.budget.used_bytes() as u64,
            max_queued_bytes: self.budget.max_bytes() as u64,
            queue_waits: self.budget.waits(),
            remembered_traces: summary.remembered as u64,
            interned_name_bytes: Name::interned_bytes(),
        }
    }

    fn plugins(&self) -> PluginsSummary {
        PluginsSummary {
            directory: self.plugin_dir.clone(),
            directory_problem: self.registry.directory_problem(),
            records: self.registry.records(),
        }
    }
}
