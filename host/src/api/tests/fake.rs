//! Stages that answer what a test wants.

use std::time::Duration;

use crate::api::{Answer, CorrelatorSummary, ExporterSummary, InputSummary, Pipeline, PluginSummary, PluginsSummary};
use crate::batch::Numbers;
use crate::model::{Decision, Trace, TraceId};
use crate::source::{SourceState, SourceStatus, StatusSnapshot};

#[derive(Default)]
pub(super) struct Fake {
    pub(super) open: Option<Trace>,
    pub(super) report: Option<Result<String, String>>,
    pub(super) state: SourceState,
    pub(super) error: Option<String>,
    pub(super) plugins: PluginsSummary,
    /// It never answers.
    pub(super) stuck: bool,
}

impl Pipeline for Fake {
    fn open_trace(&self, id: TraceId) -> Answer<'_, Option<Trace>> {
        Box::pin(async move {
            if self.stuck {
                std::future::pending::<()>().await;
            }
            self.open.clone().filter(|trace| trace.id == id)
        })
    }

    /// Only the stats plugin has one.
    fn report<'a>(&'a self, plugin: &'a str) -> Answer<'a, Result<Option<String>, String>> {
        Box::pin(async move {
            if self.stuck {
                std::future::pending::<()>().await;
            }
            self.report.clone().filter(|_| plugin == "stats").transpose()
        })
    }

    fn correlator(&self) -> CorrelatorSummary {
        CorrelatorSummary {
            active_traces: 5,
            total_spans: 12,
            oldest_age: Some(Duration::from_millis(45_678)),
            late_parts: 2,
            decided: vec![(Decision::Complete, 140), (Decision::Expired, 7)],
        }
    }

    fn exporter(&self) -> ExporterSummary {
        ExporterSummary {
            type_name: "console".to_owned(),
            exported_traces: 147,
            plugins: vec![PluginSummary {
                name: "console".to_owned(),
                state: "running".to_owned(),
                required: true,
                exported: 147,
                rejected: 2,
                dropped: 3,
                retries: 4,
                failures: 5,
                waiting: 1,
                last_error: Some("it trapped".to_owned()),
                numbers: Numbers {
                    counters: [("lines_written".to_owned(), 50)].into(),
                    gauges: [("depth".to_owned(), 0.5)].into(),
                },
            }],
        }
    }

    fn source(&self) -> StatusSnapshot {
        let status = SourceStatus::default();
        status.set_names("mesh:trace", "mcp-mesh-registry-processors");
        status.set_state(self.state);
        if let Some(error) = &self.error {
            status.set_error(error.clone());
        }
        status.snapshot()
    }

    fn input(&self) -> InputSummary {
        InputSummary {
            events: 160,
            unreadable_values: 8,
            rejected: vec![("no_trace_id", 1), ("too_large", 9)],
            open_bytes: 4_096,
            remembered_traces: 20,
            interned_name_bytes: 300,
        }
    }

    fn plugins(&self) -> PluginsSummary {
        self.plugins.clone()
    }
}
