//! `GET /plugins/{name}`: a plugin with everything that is known of it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;

use super::row::Row;
use super::terms::{GrantsShown, LimitsShown};
use super::{Known, One, OwnNumbers, name, time};
use crate::api::Api;
use crate::api::reply::{self, Failure};
use crate::api::status::Reason;
use crate::filter::FilterSummary;
use crate::plugin::{Denial, Event, Kind, Origin};

pub(in crate::api) const PATH: &str = "/plugins/{name}";

pub(super) fn route() -> Router<Arc<Api>> {
    Router::new().route(PATH, get(plugin))
}

async fn plugin(State(api): State<Arc<Api>>, uri: Uri, path: Result<Path<String>, PathRejection>) -> Result<Response, Failure> {
    let name = name(&uri, path)?;
    let known = Known::ask(&api);
    let one = known.one(&name)?;
    Ok(reply::document(StatusCode::OK, &Detail::of(&one)))
}

#[derive(Serialize)]
struct Detail<'a> {
    #[serde(flatten)]
    row: Row<'a>,
    /// The plugin's own name of itself; the instance is named by its file.
    described_as: Option<&'a str>,
    /// Size of the component.
    bytes: Option<usize>,
    /// Where its machine code came from.
    code: Option<Code>,
    /// A filter's place among filters.
    order: Option<i64>,
    /// What a filter's failure means.
    on_failure: Option<&'static str>,
    /// Instances that were asked for.
    instances: Option<usize>,
    max_traces: Option<usize>,
    queue: Option<Queue>,
    grants: Option<GrantsShown<'a>>,
    limits: LimitsShown<'a>,
    denied: Vec<Denied>,
    /// Calls into the component, whatever for.
    calls: u64,
    call_time_ms: f64,
    /// Linear memory.
    memory_bytes: u64,
    /// An exporter's: trace parts that it refused for good, those that it was not given because it could not keep up, and times that something was
    /// offered again.
    rejected: u64,
    dropped: u64,
    retries: u64,
    /// A filter's.
    decisions: Option<Decisions<'a>>,
    /// The plugin's own counters and gauges.
    metrics: Option<OwnNumbers<'a>>,
    /// The last hundred events, the latest last.
    history: Vec<EventShown<'a>>,
}

/// Machine code.
#[derive(Serialize)]
struct Code {
    /// `compiler` or `cache`.
    from: &'static str,
    took_ms: f64,
}

impl Code {
    fn of(origin: Origin) -> Code {
        let (from, took) = match origin {
            Origin::Compiled { took } => ("compiler", took),
            Origin::Cached { took } => ("cache", took),
        };
        Code { from, took_ms: millis(took) }
    }
}

/// An exporter's queue, in batches.
#[derive(Serialize)]
struct Queue {
    size: usize,
    waiting: u64,
}

/// What a filter has done. Trace parts, but for edits.
#[derive(Serialize)]
struct Decisions<'a> {
    /// It had no opinion on them.
    passed: u64,
    kept: u64,
    dropped: u64,
    /// They went on without its decision, because it failed.
    undecided: u64,
    /// They made it fail, and became dead letters.
    dead: u64,
    edits: u64,
    /// Attributes that were not added, because their span had too many.
    refused_edits: u64,
    reasons: Vec<Reason<'a>>,
}

impl<'a> Decisions<'a> {
    fn of(filter: &'a FilterSummary) -> Self {
        Decisions {
            passed: filter.passed,
            kept: filter.kept,
            dropped: filter.dropped,
            undecided: filter.undecided,
            dead: filter.dead,
            edits: filter.edits,
            refused_edits: filter.refused_edits,
            reasons: filter.reasons.iter().map(Reason::of).collect(),
        }
    }
}

/// Something that it asked for and was not granted.
#[derive(Serialize)]
struct Denied {
    what: String,
    /// The line of `NAME.toml` that would grant it; empty when nothing can.
    grant: String,
    count: u64,
}

#[derive(Serialize)]
struct EventShown<'a> {
    /// Counts the events of all plugins: their order.
    number: u64,
    at: String,
    /// `loaded`, `replaced`, `failed`, `removed`, `kept` or `returned`.
    what: &'static str,
    digest: Option<&'a str>,
    took_ms: f64,
    reason: Option<&'a str>,
}

impl<'a> Detail<'a> {
    fn of(one: &One<'a>) -> Self {
        let record = one.record;
        let loaded = record.loaded.as_ref();
        let exporter = one.exporter;
        let terms = loaded.map(|loaded| &loaded.manifest);
        let (calls, call_time) = record.counters.calls();
        let denied = |(denial, count): (Denial, u64)| Denied {
            what: denial.what,
            grant: denial.grant,
            count,
        };
        Detail {
            row: Row::of(one),
            described_as: loaded.map(|loaded| loaded.about.name.as_str()),
            bytes: loaded.map(|loaded| loaded.bytes),
            code: loaded.map(|loaded| Code::of(loaded.origin)),
            order: loaded.filter(|loaded| loaded.kind == Kind::Filter).map(|loaded| loaded.manifest.order),
            on_failure: loaded.filter(|loaded| loaded.kind == Kind::Filter).map(|loaded| loaded.on_failure.as_str()),
            instances: terms.map(|terms| terms.instances),
            max_traces: terms.map(|terms| terms.max_traces),
            queue: terms.zip(exporter).map(|(terms, exporter)| Queue {
                size: terms.queue,
                waiting: exporter.queued as u64,
            }),
            grants: loaded.map(|loaded| GrantsShown::of(&loaded.grants)),
            limits: LimitsShown::of(record),
            denied: record.counters.denials().into_iter().map(denied).collect(),
            calls,
            call_time_ms: millis(call_time),
            memory_bytes: record.counters.memory_bytes(),
            rejected: exporter.map_or(0, |exporter| exporter.rejected),
            dropped: exporter.map_or(0, |exporter| exporter.dropped),
            retries: exporter.map_or(0, |exporter| exporter.retries),
            decisions: one.filter.map(Decisions::of),
            metrics: one.numbers().map(OwnNumbers),
            history: record.history.iter().map(EventShown::of).collect(),
        }
    }
}

impl<'a> EventShown<'a> {
    fn of(event: &'a Event) -> Self {
        let Event { number, at, what, digest, took, reason } = event;
        EventShown {
            number: *number,
            at: time(*at),
            what,
            digest: Some(digest.as_str()).filter(|digest| !digest.is_empty()),
            took_ms: millis(*took),
            reason: reason.as_deref(),
        }
    }
}

/// Milliseconds, with three decimals.
fn millis(time: Duration) -> f64 {
    time.as_micros() as f64 / 1_000.0
}
