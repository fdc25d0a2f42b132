//! Stages that answer what a test wants.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::Semaphore;

use crate::api::{Answer, CorrelatorSummary, ExportersSummary, FiltersSummary, InputSummary, Pipeline, PluginsSummary};
use crate::batch::Numbers;
use crate::export;
use crate::filter::{Counts, FilterSummary, Known, OnFailure, ReasonCount};
use crate::model::{Decision, Trace, TraceId};
use crate::plugin::{About, Grants, Kind, Loaded, Manifest, Origin};
use crate::source::{GivenUp, RestartSafety, Role, SourceState, SourceStatus, StatusSnapshot};

#[derive(Default)]
pub(super) struct Fake {
    pub(super) open: Option<Trace>,
    pub(super) report: Option<Result<String, String>>,
    pub(super) state: SourceState,
    pub(super) error: Option<String>,
    pub(super) role: Option<Role>,
    pub(super) plugins: PluginsSummary,
    /// What filters decided.
    pub(super) decisions: Vec<(TraceId, Known)>,
    /// The filters; `None`: sampling.
    pub(super) filters: Option<Vec<FilterSummary>>,
    /// It never answers.
    pub(super) stuck: bool,
    /// Copies of the open trace that were asked for.
    pub(super) copies: Arc<AtomicUsize>,
    /// Reports that were asked for.
    pub(super) reports: Arc<AtomicUsize>,
    /// Reports that may be given; `None`: all.
    pub(super) may_report: Option<Arc<Semaphore>>,
}

impl Pipeline for Fake {
    fn is_open(&self, id: TraceId) -> Answer<'_, bool> {
        Box::pin(async move {
            if self.stuck {
                std::future::pending::<()>().await;
            }
            self.open.as_ref().is_some_and(|trace| trace.id == id)
        })
    }

    fn open_trace(&self, id: TraceId) -> Answer<'_, Option<Trace>> {
        Box::pin(async move {
            self.copies.fetch_add(1, Ordering::Relaxed);
            self.open.clone().filter(|trace| trace.id == id)
        })
    }

    /// Only the stats plugin has one.
    fn report<'a>(&'a self, plugin: &'a str) -> Answer<'a, Result<Option<String>, String>> {
        Box::pin(async move {
            if self.stuck {
                std::future::pending::<()>().await;
            }
            self.reports.fetch_add(1, Ordering::Relaxed);
            if let Some(may_report) = &self.may_report {
                may_report.acquire().await.expect("it is never closed").forget();
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

    fn filters(&self) -> FiltersSummary {
        let counts = Counts {
            kept: 147,
            dropped: 9,
            late_dropped: 1,
            dead: 0,
            remembered: 8,
        };
        FiltersSummary {
            counts,
            filters: self.filters.clone().unwrap_or_else(|| vec![sampling()]),
        }
    }

    fn decision(&self, id: &TraceId) -> Option<Known> {
        self.decisions.iter().find(|(own, _)| own == id).map(|(_, known)| known.clone())
    }

    fn exporters(&self) -> ExportersSummary {
        ExportersSummary {
            type_name: "console".to_owned(),
            exported_traces: 147,
            exporters: vec![export::Summary {
                name: "console".to_owned(),
                required: true,
                exported: 147,
                rejected: 2,
                longest_swap: Some(Duration::from_micros(1_500)),
                dropped: 3,
                retries: 4,
                failures: 5,
                queued: 1,
                instances: 1,
                holding: None,
                broken: false,
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
        if let Some(role) = self.role {
            status.set_role(role, "meshtrace-other-7-1");
        }
        for (counter, count) in [
            (&status.entries_read, 200),
            (&status.entries_acknowledged, 190),
            (&status.entries_dead, 3),
            (&status.entries_trimmed, 4),
            (&status.entries_trimmed_unread, 9),
            (&status.dead_letters_left, 10),
            (&status.dead_letters_lost, 11),
            (&status.disconnects, 5),
            (&status.entries_refused, 6),
            (&status.settlements_fenced, 7),
            (&status.settlements_unjournalled, 8),
            (&status.journal_bytes, 900),
            (&status.held_bytes, 700),
        ] {
            counter.store(count, std::sync::atomic::Ordering::Relaxed);
        }
        status.note_given_up(GivenUp {
            entry: "5-1".into(),
            entries: 2,
            stage: "export",
            plugin: Some("json".into()),
            reason: "no".into(),
        });
        status.set_backlog(Some(30), Some(12));
        status.set_restart_safety(Some(RestartSafety {
            oldest_age: Duration::from_secs(2),
            entries: Some(90_000),
            time: Some(Duration::from_secs(45)),
            retention: Some(Duration::from_secs(86_397)),
        }));
        status.snapshot()
    }

    fn input(&self) -> InputSummary {
        InputSummary {
            events: 160,
            unreadable_values: 8,
            rejected: vec![("no_trace_id", 1), ("too_large", 9)],
            open_bytes: 4_096,
            queued_bytes: 2_048,
            max_queued_bytes: 8_192,
            queue_waits: 6,
            remembered_traces: 20,
            interned_name_bytes: 300,
        }
    }

    fn plugins(&self) -> PluginsSummary {
        self.plugins.clone()
    }
}

/// A filter that has done something.
pub(in crate::api) fn sampling() -> FilterSummary {
    FilterSummary {
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
        longest_swap: Some(Duration::from_micros(2_500)),
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
        numbers: Numbers {
            gauges: [("tokens".to_owned(), 1.5)].into(),
            ..Numbers::default()
        },
    }
}

/// An exporter that runs.
pub(in crate::api) fn loaded() -> Loaded {
    Loaded {
        kind: Kind::Exporter,
        on_failure: OnFailure::DeadLetter,
        about: About {
            name: "printer".to_owned(),
            version: "1.2.3".to_owned(),
            config_schema: None,
            parallel: true,
        },
        source: "bundled console".to_owned(),
        origin: Origin::Cached { took: Duration::from_millis(3) },
        digest: "ab12".to_owned(),
        bytes: 4_711,
        manifest: Manifest::default(),
        grants: Grants::default(),
        at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_704_067_202),
    }
}
