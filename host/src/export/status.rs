//! What an exporter has done, for people.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crate::batch::Numbers;

/// Counted by an exporter's lanes, read by the API.
#[derive(Debug, Default)]
pub(super) struct Status {
    pub exported: AtomicU64,
    pub rejected: AtomicU64,
    pub dropped: AtomicU64,
    pub retries: AtomicU64,
    pub failures: AtomicU64,
    longest_swap_ns: AtomicU64,
    last_error: Mutex<Option<String>>,
    lanes: Mutex<Vec<Weak<LaneStatus>>>,
}

/// What one lane says of itself. Each has words of its own, lest one that works speak for one that is stuck; they are joined when they are read.
#[derive(Debug, Default)]
pub(super) struct LaneStatus {
    words: Mutex<Words>,
    numbers: Mutex<Numbers>,
}

#[derive(Debug, Default, Clone)]
struct Words {
    holding: Option<String>,
    broken: bool,
}

/// What one exporter has done since the start.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// The plugin's name.
    pub name: String,
    /// Whether a trace counts as exported only when this one has taken it.
    pub required: bool,
    /// Trace parts taken.
    pub exported: u64,
    /// Trace parts refused for good.
    pub rejected: u64,
    /// Trace parts that it was not given, because it is not required and could not keep up.
    pub dropped: u64,
    /// Times that something was offered again.
    pub retries: u64,
    /// Calls that failed: traps, time limits.
    pub failures: u64,
    /// Batches that wait for it.
    pub queued: usize,
    /// Instances that take them side by side.
    pub instances: usize,
    /// The longest that a lane of it took nothing because it was being replaced.
    pub longest_swap: Option<Duration>,
    /// Why it does not take what it is offered at the moment.
    pub holding: Option<String>,
    /// Whether it failed so often that it is only tried now and then.
    pub broken: bool,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// The plugin's own counters and gauges, those of all instances together.
    pub numbers: Numbers,
}

impl Summary {
    /// One lower-case word: `running`, `holding` while it does not take what it is offered, `broken` while it is only tried now and then.
    pub fn state(&self) -> &'static str {
        match self {
            Summary { broken: true, .. } => "broken",
            Summary { holding: Some(_), .. } => "holding",
            _ => "running",
        }
    }

    /// What went wrong, for people: what keeps it from taking traces now, or else what last did.
    pub fn trouble(&self) -> Option<&str> {
        self.holding.as_deref().or(self.last_error.as_deref())
    }
}

impl LaneStatus {
    /// Why the lane does not take what it is offered; `None`: it does. Returns whether it did before.
    pub fn hold(&self, reason: Option<String>) -> bool {
        std::mem::replace(&mut lock(&self.words).holding, reason).is_none()
    }

    pub fn set_broken(&self, broken: bool) {
        lock(&self.words).broken = broken;
    }

    pub fn set_numbers(&self, numbers: Numbers) {
        *lock(&self.numbers) = numbers;
    }
}

impl Status {
    /// Where a lane that begins is to write. It counts until it is dropped.
    pub fn join(&self) -> Arc<LaneStatus> {
        let own = Arc::default();
        let mut all = lock(&self.lanes);
        all.retain(|lane| lane.strong_count() > 0);
        all.push(Arc::downgrade(&own));
        own
    }

    /// Notes what went wrong, for people. Returns whether it is something else than before.
    pub fn note_error(&self, reason: &str) -> bool {
        let mut last = lock(&self.last_error);
        let news = last.as_deref() != Some(reason);
        if news {
            *last = Some(reason.to_owned());
        }
        news
    }

    /// Notes for how long a lane took nothing because its exporter was being replaced.
    pub fn note_swap(&self, took: Duration) {
        self.longest_swap_ns.fetch_max(took.as_nanos() as u64, Ordering::Relaxed);
    }

    fn lanes(&self) -> Vec<Arc<LaneStatus>> {
        lock(&self.lanes).iter().filter_map(Weak::upgrade).collect()
    }

    /// A copy; what the group knows besides is filled in there.
    pub fn summary(&self) -> Summary {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let lanes = self.lanes();
        let mut numbers = Numbers::default();
        lanes.iter().for_each(|lane| numbers.join(&lock(&lane.numbers)));
        let words: Vec<Words> = lanes.iter().map(|lane| lock(&lane.words).clone()).collect();
        Summary {
            exported: count(&self.exported),
            rejected: count(&self.rejected),
            dropped: count(&self.dropped),
            retries: count(&self.retries),
            failures: count(&self.failures),
            longest_swap: Some(Duration::from_nanos(count(&self.longest_swap_ns))).filter(|longest| !longest.is_zero()),
            holding: holding(&words),
            broken: words.iter().any(|words| words.broken),
            last_error: lock(&self.last_error).clone(),
            numbers,
            ..Summary::default()
        }
    }
}

/// What keeps lanes from taking traces: the first reason there is, and how many of several lanes are kept.
fn holding(lanes: &[Words]) -> Option<String> {
    let mut held = lanes.iter().filter_map(|words| words.holding.as_ref());
    let first = held.next()?;
    let count = 1 + held.count();
    Some(if lanes.len() == 1 { first.clone() } else { format!("{first} ({count} of {} instances)", lanes.len()) })
}

/// A thread that panicked with the lock has left whole values behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_that_works_does_not_speak_for_one_that_is_stuck() {
        let status = Status::default();
        let (stuck, works) = (status.join(), status.join());
        assert!(stuck.hold(Some("not now".into())));
        stuck.set_broken(true);
        works.hold(None);
        works.set_broken(false);
        let summary = status.summary();
        assert_eq!((summary.holding.as_deref(), summary.broken, summary.state()), (Some("not now (1 of 2 instances)"), true, "broken"));
        drop(stuck);
        assert_eq!((status.summary().holding, status.summary().state()), (None, "running"), "it has ended");
    }
}
