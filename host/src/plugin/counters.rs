//! What is counted of one plugin, over all of its instances.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::limits::Limit;
use super::log_budget::LogBudget;

/// Different denials that are remembered of one plugin.
const DENIALS_MAX: usize = 64;

/// Counters of one plugin name; they outlive instances and swaps.
#[derive(Debug, Default)]
pub struct Counters {
    limits: [AtomicU64; Limit::ALL.len()],
    denials: Mutex<BTreeMap<Denial, u64>>,
    calls: AtomicU64,
    call_nanos: AtomicU64,
    failures_beside: AtomicU64,
    last_failure: Mutex<Option<Failed>>,
    memory_bytes: AtomicU64,
    /// Here, so that an instance that ends itself does not begin with a fresh one.
    log_budget: Mutex<LogBudget>,
}

/// What ended an instance, or kept one from starting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// When.
    pub at: SystemTime,
    /// Which call, and why, for people.
    pub reason: String,
}

/// Something that a plugin asked for and was not granted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Denial {
    /// What it asked for, for people: `HTTP to api.example.com:443`.
    pub what: String,
    /// The line of its `.toml` that would grant it: `http = ["api.example.com:443"]`. Empty when nothing can.
    pub grant: String,
}

impl Counters {
    /// A limit was run into.
    pub fn hit(&self, limit: Limit) {
        self.limits[limit as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often each limit was run into.
    pub fn hits(&self) -> impl Iterator<Item = (Limit, u64)> {
        Limit::ALL.into_iter().zip(self.limits.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    /// Something was denied. Returns whether it was the first time, so that one log line tells of it.
    pub fn deny(&self, denial: Denial) -> bool {
        let mut denials = self.denials.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = denials.get_mut(&denial) {
            *count += 1;
            return false;
        }
        let first = denials.len() < DENIALS_MAX;
        let other = Denial {
            what: "other things".into(),
            grant: String::new(),
        };
        *denials.entry(if first { denial } else { other }).or_default() += 1;
        first
    }

    /// What was denied, and how often.
    pub fn denials(&self) -> BTreeMap<Denial, u64> {
        self.denials.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A call into the guest took this long.
    pub fn called(&self, took: Duration) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.call_nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Calls into the guest, and their time together.
    pub fn calls(&self) -> (u64, Duration) {
        (self.calls.load(Ordering::Relaxed), Duration::from_nanos(self.call_nanos.load(Ordering::Relaxed)))
    }

    /// A call that offered traces ended its instance. Who offered them counts it.
    pub(super) fn failed(&self, reason: &str) {
        *self.last_failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(Failed {
            at: SystemTime::now(),
            reason: reason.to_owned(),
        });
    }

    /// A start, or a call that offered no traces, failed. Nobody else counts it.
    pub(super) fn failed_beside(&self, reason: &str) {
        self.failures_beside.fetch_add(1, Ordering::Relaxed);
        self.failed(reason);
    }

    /// Failures that no stage knows of: of starts in place of an instance that has ended, of `flush`, `snapshot`, `report` and `restore`.
    pub fn failures_beside(&self) -> u64 {
        self.failures_beside.load(Ordering::Relaxed)
    }

    /// What ended an instance last.
    pub fn last_failure(&self) -> Option<Failed> {
        self.last_failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The linear memory of all instances together, bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.memory_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn memory_grew(&self, bytes: usize) {
        self.memory_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn memory_freed(&self, bytes: usize) {
        self.memory_bytes.fetch_sub(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn log_budget(&self) -> MutexGuard<'_, LogBudget> {
        self.log_budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
