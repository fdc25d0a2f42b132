//! `GET /plugins`: every plugin in short, and the plugin directory. What one may do and has done is in `detail`, its own report in `report`.
//!
//! Shown are names of environment variables, never their values, and never a plugin's config: both may hold secrets.

mod detail;
mod doing;
mod report;
mod row;
mod terms;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use jiff::Timestamp;
use serde::{Serialize, Serializer};

pub(super) use detail::PATH as ONE_PATH;
pub(super) use doing::Doing;
pub(super) use report::{PATH as REPORT_PATH, Reports, report};

use self::row::{ProblemShown, Row};
use super::reply::{self, Failure};
use super::{Api, PluginsSummary};
use crate::batch::Numbers;
use crate::export;
use crate::filter::FilterSummary;
use crate::plugin::Record;

pub(super) const PATH: &str = "/plugins";

pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new().route(PATH, get(plugins)).merge(detail::route()).merge(report::route())
}

#[derive(Serialize)]
struct All<'a> {
    directory: Directory<'a>,
    /// By name.
    plugins: Vec<Row<'a>>,
}

/// The plugin directory.
#[derive(Serialize)]
struct Directory<'a> {
    /// `null`: there is none.
    path: Option<String>,
    problem: Option<ProblemShown<'a>>,
}

async fn plugins(State(api): State<Arc<Api>>) -> Response {
    let known = Known::ask(&api);
    let PluginsSummary { directory, directory_problem, records: _ } = &known.plugins;
    let all = All {
        directory: Directory {
            path: directory.as_ref().map(|path| path.display().to_string()),
            problem: directory_problem.as_ref().map(ProblemShown::of),
        },
        plugins: known.each().map(|one| Row::of(&one)).collect(),
    };
    reply::document(StatusCode::OK, &all)
}

/// All that is known of plugins at one moment.
pub(super) struct Known {
    pub(super) plugins: PluginsSummary,
    exporters: Vec<export::Summary>,
    filters: Vec<FilterSummary>,
}

/// All that is known of one plugin.
pub(super) struct One<'a> {
    pub(super) name: &'a str,
    pub(super) record: &'a Record,
    /// What it has done as an exporter; `None`: it does not run as one.
    pub(super) exporter: Option<&'a export::Summary>,
    /// What it has done as a filter; `None`: it does not run as one, and nothing waits for it.
    pub(super) filter: Option<&'a FilterSummary>,
}

impl Known {
    pub(super) fn ask(api: &Api) -> Known {
        Known {
            plugins: api.state.pipeline.plugins(),
            exporters: api.state.pipeline.exporters().exporters,
            filters: api.state.pipeline.filters().filters,
        }
    }

    /// By name.
    pub(super) fn each(&self) -> impl Iterator<Item = One<'_>> {
        self.plugins.records.iter().map(|(name, record)| One {
            name,
            record,
            exporter: self.exporters.iter().find(|exporter| exporter.name == *name),
            filter: self.filters.iter().find(|filter| filter.name == *name),
        })
    }

    fn one(&self, name: &str) -> Result<One<'_>, Failure> {
        let missing = || Failure::NoSuchPlugin(name.to_owned(), self.plugins.records.keys().cloned().collect());
        self.each().find(|one| one.name == name).ok_or_else(missing)
    }
}

impl<'a> One<'a> {
    /// Why traces wait for it, else what went wrong last: with traces, or with another call into it.
    fn last_error(&self) -> Option<Cow<'a, str>> {
        let filters = |filter: &'a FilterSummary| filter.holding.as_deref().or(filter.last_error.as_deref());
        let of_traces = self.exporter.and_then(export::Summary::trouble).or(self.filter.and_then(filters));
        of_traces.map(Cow::Borrowed).or_else(|| Some(Cow::Owned(self.record.counters.last_failure()?.reason)))
    }

    /// Calls that failed, with traces or for something else, and starts that did.
    pub(super) fn failures(&self) -> u64 {
        let with_traces = self.exporter.map(|exporter| exporter.failures).or(self.filter.map(|filter| filter.failures));
        with_traces.unwrap_or(0) + self.record.counters.failures_beside()
    }

    /// The longest that traces waited because it was being replaced.
    pub(super) fn longest_swap(&self) -> Option<Duration> {
        self.exporter.and_then(|exporter| exporter.longest_swap).or(self.filter.and_then(|filter| filter.longest_swap))
    }

    /// Its own counters and gauges.
    pub(super) fn numbers(&self) -> Option<&'a Numbers> {
        self.exporter.map(|exporter| &exporter.numbers).or(self.filter.map(|filter| &filter.numbers))
    }
}

/// A plugin's own counters and gauges by name, as one object. Counters are whole numbers.
pub(super) struct OwnNumbers<'a>(pub(super) &'a Numbers);

impl Serialize for OwnNumbers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let Numbers { counters, gauges } = self.0;
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, count) in counters {
            map.serialize_entry(name, count)?;
        }
        for (name, value) in gauges {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// RFC 3339, to the millisecond.
fn time(at: std::time::SystemTime) -> String {
    // What lies outside of the years that it can write is not a time that a clock shows.
    Timestamp::try_from(at).map_or_else(|_| String::new(), |at| format!("{at:.3}"))
}

fn name(uri: &Uri, path: Result<Path<String>, PathRejection>) -> Result<String, Failure> {
    path.map(|Path(name)| name).map_err(|_| Failure::BadParameter {
        error: "bad parameter",
        parameter: "name".to_owned(),
        given: uri.path().to_owned(),
        expected: "a plugin's name in UTF-8, percent-encoded".to_owned(),
    })
}
