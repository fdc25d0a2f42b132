//! The part of the status that is about filters.

use serde::Serialize;

use crate::api::FiltersSummary;
use crate::api::plugins::OwnNumbers;
use crate::filter::{Counts, FilterSummary, ReasonCount};

#[derive(Serialize)]
pub(super) struct Filters<'a> {
    kept: u64,
    dropped: u64,
    late_dropped: u64,
    dead: u64,
    remembered: u64,
    plugins: Vec<Filter<'a>>,
}

impl<'a> Filters<'a> {
    pub(super) fn of(summary: &'a FiltersSummary) -> Self {
        let Counts {
            kept,
            dropped,
            late_dropped,
            dead,
            remembered,
        } = summary.counts;
        Filters {
            kept,
            dropped,
            late_dropped,
            dead,
            remembered,
            plugins: summary.filters.iter().map(Filter::of).collect(),
        }
    }
}

#[derive(Serialize)]
struct Filter<'a> {
    name: &'a str,
    state: &'static str,
    order: i64,
    on_failure: &'static str,
    calls: u64,
    failures: u64,
    passed: u64,
    kept: u64,
    dropped: u64,
    undecided: u64,
    dead: u64,
    edits: u64,
    refused_edits: u64,
    swaps: u64,
    reasons: Vec<Reason<'a>>,
    holding: Option<&'a str>,
    last_error: Option<&'a str>,
    /// The plugin's own counters and gauges.
    metrics: OwnNumbers<'a>,
}

/// What a filter kept and dropped for one reason.
#[derive(Serialize)]
pub(in crate::api) struct Reason<'a> {
    /// `null`: it gave none.
    reason: Option<&'a str>,
    kept: u64,
    dropped: u64,
}

impl<'a> Reason<'a> {
    pub(in crate::api) fn of(count: &'a ReasonCount) -> Self {
        let ReasonCount { reason, kept, dropped } = count;
        Reason {
            reason: reason.as_deref(),
            kept: *kept,
            dropped: *dropped,
        }
    }
}

impl<'a> Filter<'a> {
    fn of(summary: &'a FilterSummary) -> Self {
        let FilterSummary {
            name,
            state,
            order,
            on_failure,
            calls,
            failures,
            passed,
            kept,
            dropped,
            undecided,
            dead,
            edits,
            refused_edits,
            swaps,
            // Of one plugin: its page has it.
            longest_swap: _,
            reasons,
            holding,
            last_error,
            numbers,
        } = summary;
        Filter {
            name,
            state,
            order: *order,
            on_failure: on_failure.as_str(),
            calls: *calls,
            failures: *failures,
            passed: *passed,
            kept: *kept,
            dropped: *dropped,
            undecided: *undecided,
            dead: *dead,
            edits: *edits,
            refused_edits: *refused_edits,
            swaps: *swaps,
            reasons: reasons.iter().map(Reason::of).collect(),
            holding: holding.as_deref(),
            last_error: last_error.as_deref(),
            metrics: OwnNumbers(numbers),
        }
    }
}
