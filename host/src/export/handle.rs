//! What others may do with the stage: ask it, and change which exporters run.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::Member;
use super::delivery::Delivered;
use super::group::{Group, Means};
use super::status::Summary;

/// Asks the stage, and changes which exporters run.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub means: Means,
    pub delivered: Arc<Delivered>,
    groups: Mutex<Vec<Arc<Group>>>,
}

impl Shared {
    pub fn new(means: Means) -> Shared {
        Shared {
            means,
            delivered: Arc::default(),
            groups: Mutex::default(),
        }
    }

    /// Those that run now, in order of their coming.
    pub fn groups(&self) -> Vec<Arc<Group>> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Group>>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, name: &str) -> Option<Arc<Group>> {
        self.lock().iter().find(|group| group.name == name).cloned()
    }
}

impl Handle {
    /// Lets an exporter run, from the next batch on. If one of its name runs already, this one takes over between two batches: with its state,
    /// with what waits for it and with what it has not been able to deliver.
    ///
    /// # Errors
    /// Why it cannot take over, or could not in time; then its predecessor keeps running. Or that the system has no thread for it.
    pub async fn put(&self, member: Member) -> Result<(), String> {
        let Member { name, exporters, terms, within } = member;
        let means = &self.shared.means;
        let no_thread = |error: std::io::Error| format!("there is no thread for the exporter: {error}");
        if let Some(group) = self.shared.find(&name) {
            let more = group.swap(exporters, within).await?;
            group.set_terms(terms);
            return group.start(more, means).map_err(no_thread);
        }
        let group = Arc::new(Group::new(name, terms));
        group.start(exporters, means).map_err(no_thread)?;
        self.shared.lock().push(group);
        Ok(())
    }

    /// Takes the exporter called `name` out: it is offered what waits for it once more, flushed, and dropped. Traces no longer wait for it.
    pub fn remove(&self, name: &str) {
        let gone = {
            let mut groups = self.shared.lock();
            groups.iter().position(|group| group.name == name).map(|at| groups.remove(at))
        };
        if let Some(group) = gone {
            group.leave();
        }
    }

    /// Traces and late parts that every exporter has taken which they wait for. Never falls, whichever exporters come and go.
    pub fn delivered(&self) -> u64 {
        self.delivered_traces() + self.shared.delivered.late_parts.load(Ordering::Relaxed)
    }

    /// Likewise the traces alone.
    pub fn delivered_traces(&self) -> u64 {
        self.shared.delivered.traces.load(Ordering::Relaxed)
    }

    /// What each exporter has done, by name.
    pub fn summaries(&self) -> Vec<Summary> {
        let mut all: Vec<Summary> = self.shared.groups().iter().map(|group| group.summary()).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// The report of the exporter called `name`; `None` when there is no such exporter or it has no report.
    ///
    /// # Errors
    /// What the exporter says, or that it does not answer now.
    pub async fn report(&self, name: &str) -> Result<Option<String>, String> {
        match self.shared.find(name) {
            Some(group) => group.report().await,
            None => Ok(None),
        }
    }

    /// From `until` on, exporters are offered nothing more, neither again nor for the first time; it stays with the log.
    pub fn end_patience_at(&self, until: Instant) {
        self.shared.means.patience.end_at(until);
    }
}
