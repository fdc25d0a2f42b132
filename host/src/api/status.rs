//! `GET /trace/status`: the configuration and what runs, in the documented shape with more keys beside the documented ones.

mod filters;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde::{Serialize, Serializer};

use self::filters::Filters;
pub(super) use self::filters::Reason;
use super::plugins::OwnNumbers;
use super::{Api, ApiState, CorrelatorSummary, ExportersSummary, InputSummary, now_unix_ms, reply};
use crate::export;
use crate::go_duration::GoDuration;
use crate::source::{self, Role, StatusSnapshot};
use crate::store::{Counts, Limits};

pub(super) const PATH: &str = "/trace/status";

pub(super) fn route() -> Router<Arc<Api>> {
    Router::new().route(PATH, get(status))
}

async fn status(State(api): State<Arc<Api>>) -> Response {
    let ApiState { store, pipeline, enabled } = &api.state;
    store.prune(now_unix_ms());
    let (source, correlator, filters, exporter) = (pipeline.source(), pipeline.correlator(), pipeline.filters(), pipeline.exporters());
    let status = Status {
        enabled: *enabled,
        consumer: Consumer::of(&source),
        correlator: Correlator::of(&correlator),
        filters: Filters::of(&filters),
        exporter: Exporter::of(&exporter),
        store: Stored::of(store.counts(), store.limits()),
        input: input(pipeline.input()),
    };
    reply::document(StatusCode::OK, &status)
}

#[derive(Serialize)]
struct Status<'a> {
    enabled: bool,
    consumer: Consumer<'a>,
    correlator: Correlator,
    filters: Filters<'a>,
    exporter: Exporter<'a>,
    store: Stored,
    input: Numbers,
}

/// What became of what was read; why entries are no events stands beside the rest.
fn input(summary: InputSummary) -> Numbers {
    let InputSummary {
        events,
        unreadable_values,
        rejected,
        open_bytes,
        queued_bytes,
        max_queued_bytes,
        queue_waits,
        remembered_traces,
        interned_name_bytes,
    } = summary;
    let mut numbers = vec![("events", events), ("unreadable_values", unreadable_values)];
    numbers.extend(rejected);
    numbers.extend([("open_bytes", open_bytes), ("queued_bytes", queued_bytes)]);
    numbers.extend([("max_queued_bytes", max_queued_bytes), ("queue_waits", queue_waits)]);
    numbers.extend([("remembered_traces", remembered_traces), ("interned_name_bytes", interned_name_bytes)]);
    Numbers(numbers)
}

/// Counters by name.
struct Numbers(Vec<(&'static str, u64)>);

impl Serialize for Numbers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

#[derive(Serialize)]
struct Consumer<'a> {
    stream_name: &'a str,
    consumer_group: &'a str,
    status: &'static str,
    /// `leader` or `standby`.
    role: Option<&'static str>,
    /// The consumer that reads for the group.
    leader: Option<&'a str>,
    last_error: Option<&'a str>,
    foreign_reader: Option<&'a str>,
    /// Entries that nobody has read yet, as of a few seconds ago.
    lag: Option<u64>,
    /// Entries that were read and are not acknowledged, as of a few seconds ago.
    pending: Option<u64>,
    /// How long the log keeps what is not acknowledged; `null` when all is, or when it is not known.
    restart_safety: Option<RestartSafety>,
    entries_read: u64,
    entries_acknowledged: u64,
    entries_dead: u64,
    /// While they were pending.
    entries_trimmed: u64,
    entries_trimmed_unread: u64,
    dead_letters_left: u64,
    dead_letters_lost: u64,
    entries_refused: u64,
    /// By the embedded listener.
    held_bytes: u64,
    /// The last, latest first: what the embedded listener gave up is kept nowhere else.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    given_up: Vec<GivenUp<'a>>,
    disconnects: u64,
    /// Thrown away, because another host had taken the lead.
    settlements_fenced: u64,
    settlements_unjournalled: u64,
    role_changes: u64,
    journal_bytes: u64,
}

impl<'a> Consumer<'a> {
    fn of(source: &'a StatusSnapshot) -> Self {
        Consumer {
            stream_name: &source.stream,
            consumer_group: &source.group,
            status: source.state.as_str(),
            role: source.role.map(Role::as_str),
            leader: source.leader.as_deref(),
            last_error: source.last_error.as_deref(),
            foreign_reader: source.foreign_reader.as_deref(),
            lag: source.lag,
            pending: source.pending,
            restart_safety: source.restart_safety.map(RestartSafety::of),
            entries_read: source.entries_read,
            entries_acknowledged: source.entries_acknowledged,
            entries_dead: source.entries_dead,
            entries_trimmed: source.entries_trimmed,
            entries_trimmed_unread: source.entries_trimmed_unread,
            dead_letters_left: source.dead_letters_left,
            dead_letters_lost: source.dead_letters_lost,
            entries_refused: source.entries_refused,
            held_bytes: source.held_bytes,
            given_up: source.given_up.iter().map(GivenUp::of).collect(),
            disconnects: source.disconnects,
            settlements_fenced: source.settlements_fenced,
            settlements_unjournalled: source.settlements_unjournalled,
            role_changes: source.role_changes,
            journal_bytes: source.journal_bytes,
        }
    }
}

/// Entries that nobody will ever take.
#[derive(Serialize)]
struct GivenUp<'a> {
    /// The first of them.
    entry: &'a str,
    entries: usize,
    stage: &'a str,
    plugin: Option<&'a str>,
    reason: &'a str,
}

impl<'a> GivenUp<'a> {
    fn of(given_up: &'a source::GivenUp) -> Self {
        GivenUp {
            entry: &given_up.entry,
            entries: given_up.entries,
            stage: given_up.stage,
            plugin: given_up.plugin.as_deref(),
            reason: &given_up.reason,
        }
    }
}

/// Of the oldest entry that is not acknowledged: its age, and what is left until it is trimmed.
#[derive(Serialize)]
struct RestartSafety {
    oldest_age_seconds: u64,
    entries: Option<u64>,
    seconds: Option<u64>,
    retention_seconds: Option<u64>,
}

impl RestartSafety {
    fn of(safety: source::RestartSafety) -> Self {
        RestartSafety {
            oldest_age_seconds: safety.oldest_age.as_secs(),
            entries: safety.entries,
            seconds: safety.time.map(|time| time.as_secs()),
            retention_seconds: safety.retention.map(|time| time.as_secs()),
        }
    }
}

#[derive(Serialize)]
struct Correlator {
    active_traces: u64,
    total_spans: u64,
    /// Go duration text in whole seconds, `0s` when there is no trace.
    oldest_trace_age: String,
    late_parts: u64,
    decided: Numbers,
}

impl Correlator {
    fn of(summary: &CorrelatorSummary) -> Self {
        let age = summary.oldest_age.map_or(0, |age| age.as_secs());
        Correlator {
            active_traces: summary.active_traces,
            total_spans: summary.total_spans,
            oldest_trace_age: GoDuration::from(Duration::from_secs(age)).to_string(),
            late_parts: summary.late_parts,
            decided: Numbers(summary.decided.iter().map(|(reason, count)| (reason.as_str(), *count)).collect()),
        }
    }
}

#[derive(Serialize)]
struct Exporter<'a> {
    #[serde(rename = "type")]
    type_name: &'a str,
    exported_traces: u64,
    plugins: Vec<Plugin<'a>>,
}

impl<'a> Exporter<'a> {
    fn of(summary: &'a ExportersSummary) -> Self {
        Exporter {
            type_name: &summary.type_name,
            exported_traces: summary.exported_traces,
            plugins: summary.exporters.iter().map(Plugin::of).collect(),
        }
    }
}

#[derive(Serialize)]
struct Plugin<'a> {
    name: &'a str,
    state: &'a str,
    required: bool,
    exported: u64,
    dropped: u64,
    retries: u64,
    failures: u64,
    last_error: Option<&'a str>,
    /// The plugin's own counters and gauges.
    metrics: OwnNumbers<'a>,
}

impl<'a> Plugin<'a> {
    /// Of the rest `/plugins` tells.
    fn of(exporter: &'a export::Summary) -> Self {
        Plugin {
            name: &exporter.name,
            state: exporter.state(),
            required: exporter.required,
            exported: exporter.exported,
            dropped: exporter.dropped,
            retries: exporter.retries,
            failures: exporter.failures,
            last_error: exporter.trouble(),
            metrics: OwnNumbers(&exporter.numbers),
        }
    }
}

#[derive(Serialize)]
struct Stored {
    traces: u64,
    bytes: u64,
    max_traces: usize,
    max_bytes: u64,
    /// Go duration text; `0s`: no end.
    retention: String,
    removed_by_count: u64,
    removed_by_bytes: u64,
    removed_by_age: u64,
    too_large: u64,
}

impl Stored {
    fn of(counts: Counts, limits: Limits) -> Self {
        let Counts {
            traces,
            bytes,
            removed_by_count,
            removed_by_bytes,
            removed_by_age,
            too_large,
        } = counts;
        Stored {
            traces,
            bytes,
            max_traces: limits.max_traces,
            max_bytes: limits.max_bytes,
            retention: GoDuration::from(limits.retention).to_string(),
            removed_by_count,
            removed_by_bytes,
            removed_by_age,
            too_large,
        }
    }
}
