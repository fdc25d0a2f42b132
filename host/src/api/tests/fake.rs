//! Stages that answer what a test wants.

use std::time::Duration;

use crate::api::{Answer, CorrelatorSummary, ExporterSummary, FiltersSummary, Pipeline, PluginSummary};
use crate::filter::{Counts, FilterSummary, Known, OnFailure, ReasonCount};
use crate::model::{Decision, Trace, TraceId};
use crate::source::{SourceState, SourceStatus, StatusSnapshot};

#[derive(Default)]
pub(super) struct Fake {
    pub(super) open: Option<Trace>,
    pub(super) report: Option<Result<String, String>>,
    pub(super) state: SourceState,
    pub(super) error: Option<String>,
    /// What filters decided.
    pub(super) decisions: Vec<(TraceId, Known)>,
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

    fn filters(&self) -> FiltersSummary {
        let sampling = FilterSummary {
            name: "sampling".to_owned(),
            state: "running",
            order: 10,
            on_failure: OnFailure::Pass,
            calls: 12,
            failures: 1,
            passed: 2,
            kept: 138,
            dropped: 9,
            undecided: 7,
            dead: 0,
            edits: 3,
            refused_edits: 0,
            swaps: 1,
            reasons: vec![
                ReasonCount { reason: None, kept: 0, dropped: 4 },
                ReasonCount {
                    reason: Some("errors".into()),
                    kept: 138,
                    dropped: 5,
                },
            ],
            holding: None,
            last_error: Some("it trapped".to_owned()),
            numbers: [("tokens".to_owned(), 1.5)].into(),
        };
        let counts = Counts {
            kept: 147,
            dropped: 9,
            late_dropped: 1,
            dead: 0,
            remembered: 8,
        };
        FiltersSummary { counts, filters: vec![sampling] }
    }

    fn decision(&self, id: &TraceId) -> Option<Known> {
        self.decisions.iter().find(|(own, _)| own == id).map(|(_, known)| known.clone())
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
