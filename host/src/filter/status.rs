//! What a filter has done, for people.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::OnFailure;
pub use super::reasons::ReasonCount;
use super::reasons::Reasons;
use crate::batch::Numbers;

/// Written by the stage once per call, read by the API. Stays when a filter is replaced by another of its name.
#[derive(Debug)]
pub(super) struct FilterStatus {
    pub name: Arc<str>,
    pub calls: AtomicU64,
    pub failures: AtomicU64,
    pub passed: AtomicU64,
    pub undecided: AtomicU64,
    pub dead: AtomicU64,
    pub edits: AtomicU64,
    pub refused_edits: AtomicU64,
    pub swaps: AtomicU64,
    longest_swap_ns: AtomicU64,
    words: Mutex<Words>,
    reasons: Mutex<Reasons>,
    numbers: Mutex<Numbers>,
}

#[derive(Debug, Clone)]
pub(super) struct Words {
    pub order: i64,
    pub on_failure: OnFailure,
    /// Why there is no filter.
    pub missing: Option<String>,
    /// Why it is not asked, or nothing gets past it.
    pub holding: Option<String>,
    /// Why traces pass it undecided.
    pub failing: Option<String>,
    pub last_error: Option<String>,
}

/// A copy of a filter's status.
#[derive(Debug, Clone)]
pub struct FilterSummary {
    /// Its name.
    pub name: String,
    /// `running`, `missing` (there is none: it has not been started), `holding` (traces wait for it) or `failing` (traces pass it undecided).
    pub state: &'static str,
    /// Its place: lower ones come first; of equal ones the name decides.
    pub order: i64,
    /// What happens to traces that it cannot decide on.
    pub on_failure: OnFailure,
    /// Calls of the filter since the start.
    pub calls: u64,
    /// Calls that gave no decision.
    pub failures: u64,
    /// Trace parts that it had no opinion on; late parts among them, as what it says of those is ignored.
    pub passed: u64,
    /// Traces that it wanted kept.
    pub kept: u64,
    /// Traces that it dropped.
    pub dropped: u64,
    /// Trace parts that passed it without a decision, because it failed.
    pub undecided: u64,
    /// Trace parts that made it fail, and became dead letters.
    pub dead: u64,
    /// Edits made.
    pub edits: u64,
    /// Attributes that were not added, because their span had too many.
    pub refused_edits: u64,
    /// Times that it was replaced by another of its name.
    pub swaps: u64,
    /// The longest that nothing passed because it was being replaced.
    pub longest_swap: Option<Duration>,
    /// What was kept and dropped, by reason.
    pub reasons: Vec<ReasonCount>,
    /// Why traces wait for it, or pass it undecided, at the moment.
    pub holding: Option<String>,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// Its own counters and gauges.
    pub numbers: Numbers,
}

impl FilterSummary {
    /// Whether traces are not to be shown before it has decided on them: everything has to pass it, be it there or not, or it changes what passes.
    pub fn protects(&self) -> bool {
        self.on_failure != OnFailure::Pass || self.edits > 0
    }
}

impl FilterStatus {
    pub fn new(name: Arc<str>, order: i64, on_failure: OnFailure, missing: Option<String>) -> FilterStatus {
        FilterStatus {
            calls: AtomicU64::default(),
            failures: AtomicU64::default(),
            passed: AtomicU64::default(),
            undecided: AtomicU64::default(),
            dead: AtomicU64::default(),
            edits: AtomicU64::default(),
            refused_edits: AtomicU64::default(),
            swaps: AtomicU64::default(),
            longest_swap_ns: AtomicU64::default(),
            words: Mutex::new(Words {
                order,
                on_failure,
                last_error: missing.clone(),
                missing,
                holding: None,
                failing: None,
            }),
            reasons: Mutex::new(Reasons::new(Arc::clone(&name))),
            numbers: Mutex::default(),
            name,
        }
    }

    pub fn count(counter: &AtomicU64, more: usize) {
        counter.fetch_add(more as u64, Ordering::Relaxed);
    }

    /// Notes that it was replaced, and for how long nothing passed meanwhile.
    pub fn note_swap(&self, took: Duration) {
        FilterStatus::count(&self.swaps, 1);
        self.longest_swap_ns.fetch_max(took.as_nanos() as u64, Ordering::Relaxed);
    }

    pub fn words(&self) -> MutexGuard<'_, Words> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn reasons(&self) -> MutexGuard<'_, Reasons> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_numbers(&self, numbers: Numbers) {
        *self.numbers.lock().unwrap_or_else(PoisonError::into_inner) = numbers;
    }

    pub fn summary(&self) -> FilterSummary {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Words {
            order,
            on_failure,
            missing,
            holding,
            failing,
            last_error,
        } = self.words().clone();
        let state = match (&missing, &holding, &failing) {
            (Some(_), ..) => "missing",
            (_, Some(_), _) => "holding",
            (_, _, Some(_)) => "failing",
            _ => "running",
        };
        let reasons = self.reasons().counts();
        FilterSummary {
            name: self.name.to_string(),
            state,
            order,
            on_failure,
            calls: count(&self.calls),
            failures: count(&self.failures),
            passed: count(&self.passed),
            kept: reasons.iter().map(|reason| reason.kept).sum(),
            dropped: reasons.iter().map(|reason| reason.dropped).sum(),
            undecided: count(&self.undecided),
            dead: count(&self.dead),
            edits: count(&self.edits),
            refused_edits: count(&self.refused_edits),
            swaps: count(&self.swaps),
            longest_swap: Some(Duration::from_nanos(count(&self.longest_swap_ns))).filter(|longest| !longest.is_zero()),
            reasons,
            holding: holding.or(failing),
            last_error,
            numbers: self.numbers.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
