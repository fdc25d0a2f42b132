//! A plugin in short.

use std::borrow::Cow;

use serde::Serialize;

use super::{Doing, One, time};
use crate::plugin::{Moment, Problem, Record};

/// What both the list and the whole of one plugin begin with.
#[derive(Serialize)]
pub(super) struct Row<'a> {
    name: &'a str,
    /// `exporter` or `filter`; `null`: nothing of this name runs.
    kind: Option<&'static str>,
    /// See [`Doing`].
    state: &'static str,
    /// As the plugin says of itself.
    version: Option<&'a str>,
    /// The component's file, or `bundled NAME`.
    source: Option<&'a str>,
    /// SHA-256 of the component, hex.
    digest: Option<&'a str>,
    /// When it took over. RFC 3339, as all times here.
    loaded_at: Option<String>,
    /// Whether traces wait for it.
    required: Option<bool>,
    /// What is wrong with what was to be loaded last, or with what runs.
    problem: Option<ProblemShown<'a>>,
    /// What is being loaded under this name.
    loading: Option<LoadingShown>,
    /// Times that something was loaded in the place of something else.
    swaps: u64,
    /// The longest of these that traces waited for, milliseconds; `null`: there was none since what runs first began.
    longest_swap_ms: Option<f64>,
    failed_loads: u64,
    /// Trace parts that an exporter has taken.
    exported: u64,
    /// Calls that failed, with traces or for something else, and starts that did.
    failures: u64,
    last_error: Option<Cow<'a, str>>,
}

impl<'a> Row<'a> {
    pub fn of(one: &One<'a>) -> Self {
        let Record {
            loaded,
            loading,
            problem,
            swaps,
            failed_loads,
            history: _,
            counters: _,
        } = one.record;
        let loaded = loaded.as_ref();
        Row {
            name: one.name,
            kind: loaded.map(|loaded| loaded.kind.as_str()),
            state: Doing::of(one).as_str(),
            version: loaded.map(|loaded| loaded.about.version.as_str()),
            source: loaded.map(|loaded| loaded.source.as_str()),
            digest: loaded.map(|loaded| loaded.digest.as_str()),
            loaded_at: loaded.map(|loaded| time(loaded.at)),
            required: loaded.map(|loaded| loaded.manifest.required),
            problem: problem.as_ref().map(ProblemShown::of),
            loading: loading.map(|(moment, since)| LoadingShown {
                moment: moment.as_str(),
                since: time(since),
            }),
            swaps: *swaps,
            longest_swap_ms: one.longest_swap().map(|longest| longest.as_secs_f64() * 1e3),
            failed_loads: *failed_loads,
            exported: one.exporter.map_or(0, |exporter| exporter.exported),
            failures: one.failures(),
            last_error: one.last_error(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct ProblemShown<'a> {
    at: String,
    /// `reading`, `compiling`, `starting` or `swapping`; `null`: it was not met while loading.
    moment: Option<&'static str>,
    reason: &'a str,
}

impl<'a> ProblemShown<'a> {
    pub fn of(problem: &'a Problem) -> Self {
        let Problem { at, moment, reason } = problem;
        ProblemShown {
            at: time(*at),
            moment: moment.map(Moment::as_str),
            reason,
        }
    }
}

#[derive(Serialize)]
struct LoadingShown {
    /// As in a problem.
    moment: &'static str,
    since: String,
}
