//! Stages that answer what a test wants.

use std::time::Duration;

use crate::api::{Answer, CorrelatorSummary, ExporterSummary, Pipeline, PluginSummary};
use crate::model::{Decision, Trace, TraceId};
use crate::source::{SourceState, SourceStatus, StatusSnapshot};

#[derive(Default)]
pub(super) struct Fake {
    pub(super) open: Option<Trace>,
    pub(super) report: Option<Result<String, String>>,
    pub(super) state: SourceState,
    pub(super) error: Option<String>,
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

    fn report<'a>(&'a self, plugin: &'a str) -> Answer<'a, Result<Option<String>, String>> {
        assert_eq!(plugin, "stats");
        Box::pin(async move {
            if self.stuck {
                std::future::pending::<()>().await;
            }
            self.report.clone().transpose()
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
                ..PluginSummary::default()
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

    fn input(&self) -> Vec<(&'static str, u64)> {
        vec![("entries_rejected", 1)]
    }
}
