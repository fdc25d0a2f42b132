//! How others ask the stage, and change its filters while it runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::recent::{Known, Recent};
use super::status::{FilterStatus, FilterSummary};
use super::{OnFailure, Slot};
use crate::model::TraceId;
use crate::patience::Patience;

/// A filter that is asked for its report has this long.
const REPORT_PATIENCE: Duration = Duration::from_secs(2);

/// Asks the stage.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) shared: Arc<Shared>,
}

/// What the stage is asked to do, between two batches.
pub(super) enum Command {
    /// Once it is told that this has begun, nobody gives it up; before that whoever asked may have.
    Put(Slot, oneshot::Sender<()>, oneshot::Sender<Result<(), String>>),
    Missing(String, String, oneshot::Sender<Result<(), String>>),
    Remove(String, oneshot::Sender<Result<(), String>>),
    Report(String, oneshot::Sender<Result<Option<String>, String>>),
}

/// What is read without asking the stage's thread.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// In the order of the filters.
    pub filters: Mutex<Vec<Arc<FilterStatus>>>,
    pub recent: Mutex<Recent>,
    pub patience: Patience,
    pub kept: AtomicU64,
    pub dropped: AtomicU64,
    pub late_dropped: AtomicU64,
    pub dead: AtomicU64,
    pub remembered: AtomicU64,
}

/// What has become of traces since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Trace parts handed on to the exporters.
    pub kept: u64,
    /// Traces that a filter dropped.
    pub dropped: u64,
    /// Late parts of dropped traces, dropped as well.
    pub late_dropped: u64,
    /// Trace parts that became dead letters, because a filter fails with them.
    pub dead: u64,
    /// Ids of dropped traces that are remembered for late parts now.
    pub remembered: u64,
}

impl Handle {
    /// Puts a filter in its place: a new one, or instead of the one with its name, whose state it takes over. Done between two batches, also while
    /// traces wait for the old one; they are offered to the new one at once.
    ///
    /// # Errors
    /// It did not take over the state, or could not in time, and the old one goes on as before; or the stage has ended.
    pub async fn put(&self, slot: Slot) -> Result<(), String> {
        let (name, within) = (slot.name.clone(), slot.within);
        let ((begins, mut begun), (answer, asked)) = (oneshot::channel(), oneshot::channel());
        let beginning = async {
            self.commands.send(Command::Put(slot, begins, answer)).await.map_err(|_| ended())?;
            (&mut begun).await.map_err(|_| ended())
        };
        match tokio::time::timeout(within, beginning).await {
            Ok(begun) => begun?,
            Err(_) => {
                // It may have begun just now.
                begun.close();
                if begun.try_recv().is_err() {
                    let within = within.as_secs_f64();
                    return Err(format!("the filters came to no end of a call within {within} s, so {name:?} was not put in its place"));
                }
            }
        }
        asked.await.map_err(|_| ended())?
    }

    /// Takes the filter called `name` away, but keeps its place: traces wait there, or pass, as its `on_failure` says, until another is put.
    ///
    /// # Errors
    /// There is no place of that name, or the stage has ended.
    pub async fn missing(&self, name: &str, why: &str) -> Result<(), String> {
        self.ask(|answer| Command::Missing(name.to_owned(), why.to_owned(), answer)).await?
    }

    /// Takes the filter called `name` away with its place. What waits for it goes on without.
    ///
    /// # Errors
    /// There is no filter of that name, or the stage has ended.
    pub async fn remove(&self, name: &str) -> Result<(), String> {
        self.ask(|answer| Command::Remove(name.to_owned(), answer)).await?
    }

    /// The report of the filter called `name`; `None` when there is no such filter or it has no report.
    ///
    /// # Errors
    /// What the filter says, or that it does not answer now.
    pub async fn report(&self, name: &str) -> Result<Option<String>, String> {
        if !self.shared.filters().iter().any(|filter| *filter.name == *name) {
            return Ok(None);
        }
        let asked = self.ask(|answer| Command::Report(name.to_owned(), answer));
        match tokio::time::timeout(REPORT_PATIENCE, asked).await {
            Ok(report) => report?,
            Err(_) => Err(format!("the filter {name:?} is busy and did not answer within {} s", REPORT_PATIENCE.as_secs())),
        }
    }

    /// What each filter has done, in their order.
    pub fn summaries(&self) -> Vec<FilterSummary> {
        self.shared.filters().iter().map(|filter| filter.summary()).collect()
    }

    /// What has become of traces.
    pub fn counts(&self) -> Counts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Shared {
            kept,
            dropped,
            late_dropped,
            dead,
            remembered,
            ..
        } = &*self.shared;
        Counts {
            kept: count(kept),
            dropped: count(dropped),
            late_dropped: count(late_dropped),
            dead: count(dead),
            remembered: count(remembered),
        }
    }

    /// What was decided about the trace with this id, if that is one of the last 10,000 decisions. None is noted while there are no filters.
    pub fn decision(&self, id: &TraceId) -> Option<Known> {
        self.shared.recent().get(id).cloned()
    }

    /// From `until` on, filters that fail are not tried any more; what waits for them stays with the log.
    pub fn end_patience_at(&self, until: Instant) {
        self.shared.patience.end_at(until);
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, String> {
        let (answer, asked) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| ended())?;
        asked.await.map_err(|_| ended())
    }
}

fn ended() -> String {
    "the filters have ended, as the host is stopping".to_owned()
}

impl Shared {
    pub fn filters(&self) -> MutexGuard<'_, Vec<Arc<FilterStatus>>> {
        self.filters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The words for a place that is not there.
pub(super) fn no_such(name: &str, names: &[Arc<FilterStatus>]) -> String {
    let names: Vec<&str> = names.iter().map(|filter| &*filter.name).collect();
    let there = if names.is_empty() { "there are none".to_owned() } else { format!("there are {}", names.join(", ")) };
    format!("there is no filter {name:?}; {there}")
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (what, name) = match self {
            Command::Put(slot, ..) => ("Put", &slot.name),
            Command::Missing(name, ..) => ("Missing", name),
            Command::Remove(name, _) => ("Remove", name),
            Command::Report(name, _) => ("Report", name),
        };
        f.debug_tuple(what).field(name).finish()
    }
}

impl Slot {
    /// A place without a filter, and why there is none.
    pub fn missing(name: &str, order: i64, on_failure: OnFailure, why: &str) -> Slot {
        Slot {
            name: name.to_owned(),
            order,
            on_failure,
            filter: Err(why.to_owned()),
            within: Slot::WITHIN,
        }
    }
}
