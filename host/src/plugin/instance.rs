//! One plugin as the stages see it: an exporter or a filter.
//!
//! A call that fails ends the instance, and only it: the next call starts a new one, with the state that was last kept.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::Store;

use super::guest::Guest;
use super::guest_state::GuestState;
use super::running::{Moment, Running};
use super::{About, Component, Setup, convert};
use crate::batch::{Numbers, Resident, TraceBatch};
use crate::export::{Exporter, Outcome};
use crate::filter::{Decisions, Filter};

/// How often the state of a plugin that has one is kept: a trap costs no more than this.
const KEEP_EVERY: Duration = Duration::from_secs(5);

/// A component that runs, or will with its next call. Its calls block the thread, which must not be one that runs async tasks.
pub struct Instance {
    component: Component,
    setup: Setup,
    about: About,
    running: Option<Running>,
    kept: Option<Vec<u8>>,
    kept_at: Instant,
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance").field("name", &self.setup.name).field("component", &self.component).finish_non_exhaustive()
    }
}

impl Instance {
    /// Starts an instance.
    ///
    /// # Errors
    /// What `init` says, or how it failed.
    pub fn start(component: Component, setup: Setup) -> anyhow::Result<Instance> {
        let running = Running::start(&component, &setup)?;
        let about = running.about.clone();
        tracing::debug!(plugin = %setup.name, described_as = about.name, version = about.version, "plugin started");
        Ok(Instance {
            component,
            setup,
            about,
            running: Some(running),
            kept: None,
            kept_at: Instant::now(),
        })
    }

    /// What the plugin says about itself.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// A new instance in place of one that has ended.
    fn begin(&mut self) -> Result<Running, String> {
        let start = |instance: &Instance| Running::start(&instance.component, &instance.setup).map_err(|error| format!("{error:#}"));
        let running = start(self)?;
        let Some(kept) = self.kept.take() else { return Ok(running) };
        match self.give(running, &kept) {
            Ok((running, taken)) => {
                self.kept = Some(kept).filter(|_| taken);
                Ok(running)
            }
            Err(reason) => {
                tracing::warn!(plugin = %self.setup.name, reason, "the plugin fails with its earlier state; it begins anew");
                start(self)
            }
        }
    }

    /// Gives `running` an earlier state. Returns whether it was taken.
    fn give(&self, running: Running, state: &[u8]) -> Result<(Running, bool), String> {
        let (running, said) = running.call(&self.setup, Moment::Restore, async |guest, store| guest.restore(store, state).await)?;
        if let Some(Err(reason)) = &said {
            let reason = self.setup.reader().read(reason.clone());
            tracing::warn!(plugin = %self.setup.name, reason, "the plugin did not take its earlier state; it begins anew");
        }
        Ok((running, matches!(said, Some(Ok(())))))
    }

    /// Calls the running instance, which is started first if the last one ended. A call that fails ends the instance.
    fn call<T>(
        &mut self,
        moment: Moment,
        call: impl AsyncFnOnce(&Guest, &mut Store<GuestState>) -> wasmtime::Result<T>,
    ) -> Result<T, CallError> {
        let running = match self.running.take() {
            Some(running) => running,
            None => self.begin().map_err(CallError::NotStarted)?,
        };
        let (running, value) = running.call(&self.setup, moment, call).map_err(CallError::Failed)?;
        self.running = Some(running);
        Ok(value)
    }

    /// Calls it for something else than traces. That it could not be started for that is counted as well.
    fn ask<T>(
        &mut self,
        name: &'static str,
        call: impl AsyncFnOnce(&Guest, &mut Store<GuestState>) -> wasmtime::Result<T>,
    ) -> Result<T, String> {
        self.call(Moment::Beside(name), call).map_err(|error| match error {
            CallError::NotStarted(reason) => {
                self.setup.counters.failed_beside(&reason);
                reason
            }
            CallError::Failed(reason) => reason,
        })
    }

    /// Keeps the plugin's state, if it has one and some time has passed.
    fn keep(&mut self) {
        let has_state = self.running.as_ref().is_some_and(Running::has_state);
        if !has_state || self.kept_at.elapsed() < KEEP_EVERY {
            return;
        }
        self.kept_at = Instant::now();
        if let Err(reason) = self.take_state() {
            tracing::warn!(plugin = %self.setup.name, reason, "keeping the plugin's state failed");
        }
    }

    fn take_state(&mut self) -> Result<(), String> {
        self.kept = self.ask("snapshot", async |guest, store| guest.snapshot(store).await)?;
        Ok(())
    }
}

enum CallError {
    /// There was no instance to call, and starting one failed.
    NotStarted(String),
    /// The call trapped or ran out of time.
    Failed(String),
}

impl CallError {
    fn text(self) -> String {
        match self {
            CallError::NotStarted(text) | CallError::Failed(text) => text,
        }
    }
}

impl Exporter for Instance {
    fn export(&mut self, batch: &Arc<TraceBatch>) -> Outcome {
        let rows = batch.traces().len();
        let batch = Arc::clone(batch);
        let outcome = self.call(Moment::Traces("export-batch"), async |guest, store| {
            store.data_mut().batch = Some(batch);
            guest.export_batch(store).await
        });
        match outcome {
            Ok(outcome) => {
                self.keep();
                convert::outcome(outcome, rows, self.setup.reader())
            }
            Err(CallError::NotStarted(reason)) => {
                self.setup.counters.failed_beside(&reason);
                Outcome::NotStarted(reason)
            }
            Err(CallError::Failed(reason)) => Outcome::Failed(reason),
        }
    }
}

impl Filter for Instance {
    fn decide(&mut self, batch: &Arc<TraceBatch>) -> Result<Decisions, String> {
        let given = Arc::clone(batch);
        let decided = self.call(Moment::Traces("decide"), async |guest, store| {
            store.data_mut().batch = Some(given);
            guest.decide(store).await
        });
        let decisions = decided.map_err(CallError::text)?.map_err(|reason| format!("decide: {}", self.setup.reader().read(reason)))?;
        self.keep();
        convert::decisions(decisions, batch, self.setup.reader()).map_err(|wrong| format!("decide: {wrong}"))
    }
}

impl Resident for Instance {
    fn numbers(&self) -> Numbers {
        self.running.as_ref().map(|running| running.store.data().numbers()).unwrap_or_default()
    }

    fn flush(&mut self) -> Result<(), String> {
        if self.running.is_none() {
            return Ok(());
        }
        let said = self.ask("flush", async |guest, store| guest.flush(store).await)?;
        said.map_err(|reason| self.setup.reader().read(reason))
    }

    fn report(&mut self) -> Result<Option<String>, String> {
        let said = self.ask("report", async |guest, store| guest.report(store).await)?;
        said.transpose().map_err(|reason| self.setup.reader().read(reason))
    }

    /// As of now; of an instance that has ended, or fails when it is asked, as it was kept last.
    fn snapshot(&mut self) -> Result<Option<Vec<u8>>, String> {
        if self.running.is_some()
            && let Err(reason) = self.take_state()
        {
            if self.kept.is_none() {
                return Err(reason);
            }
            tracing::warn!(plugin = %self.setup.name, reason, "the plugin fails when it is asked for its state; what was kept last stands in for it");
        }
        Ok(self.kept.clone())
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), String> {
        let running = match self.running.take() {
            Some(running) => running,
            None => self.begin()?,
        };
        let (running, taken) = self.give(running, snapshot)?;
        self.running = Some(running);
        self.kept = taken.then(|| snapshot.to_vec());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
