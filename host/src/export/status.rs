//! What an exporter has done, for people.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::batch::Numbers;

/// Counted by an exporter's lanes, read by the API.
#[derive(Debug, Default)]
pub(super) struct Status {
    pub exported: AtomicU64,
    pub rejected: AtomicU64,
    pub dropped: AtomicU64,
    pub retries: AtomicU64,
    pub failures: AtomicU64,
    pub exported_at_burial: AtomicU64,
    words: Mutex<Words>,
    numbers: Mutex<Vec<Weak<Mutex<Numbers>>>>,
}

#[derive(Debug, Default)]
struct Words {
    holding: Option<String>,
    broken: bool,
    last_error: Option<String>,
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

impl Status {
    fn words<T>(&self, change: impl FnOnce(&mut Words) -> T) -> T {
        change(&mut self.words.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Why it does not take what it is offered; `None`: it does. Returns whether it did before.
    pub fn hold(&self, reason: Option<String>) -> bool {
        self.words(|words| {
            if reason.is_some() {
                words.last_error.clone_from(&reason);
            } else {
                words.broken = false;
            }
            std::mem::replace(&mut words.holding, reason).is_none()
        })
    }

    pub fn set_broken(&self, broken: bool) {
        self.words(|words| words.broken = broken);
    }

    /// Where an instance that joins is to write its numbers. They count until it is dropped.
    pub fn join(&self) -> Arc<Mutex<Numbers>> {
        let own = Arc::default();
        let mut all = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|numbers| numbers.strong_count() > 0);
        all.push(Arc::downgrade(&own));
        own
    }

    fn numbers(&self) -> Numbers {
        let living: Vec<_> = {
            let all = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
            all.iter().filter_map(Weak::upgrade).collect()
        };
        let mut sum = Numbers::default();
        for numbers in living {
            sum.join(&numbers.lock().unwrap_or_else(PoisonError::into_inner));
        }
        sum
    }

    /// A copy; what the group knows besides is filled in there.
    pub fn summary(&self) -> Summary {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let numbers = self.numbers();
        self.words(|words| Summary {
            exported: count(&self.exported),
            rejected: count(&self.rejected),
            dropped: count(&self.dropped),
            retries: count(&self.retries),
            failures: count(&self.failures),
            holding: words.holding.clone(),
            broken: words.broken,
            last_error: words.last_error.clone(),
            numbers,
            ..Summary::default()
        })
    }
}
