//! One running component: the exporter that the export stage sees.
//!
//! A trap ends the instance, and only it: the next call starts a new one, with the state that was last kept.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use wasmtime::Store;

use super::bindings::Exporter as ExporterBindings;
use super::bindings::exports::meshtrace::plugin::trace_exporter;
use super::bindings::meshtrace::plugin::types;
use super::bindings::reporting::Reporting;
use super::bindings::stateful::Stateful;
use super::engine::TICK;
use super::guest_state::GuestState;
use super::{Component, Grants, Limits};
use crate::batch::{Resident, TraceBatch};
use crate::export::{Exporter, Outcome, RowOutcome};

/// How often the state of a plugin that has one is kept: a trap costs no more than this.
const KEEP_EVERY: Duration = Duration::from_secs(5);

/// A component that runs, or will with its next call.
pub struct Instance {
    component: Component,
    config: String,
    grants: Grants,
    limits: Limits,
    running: Option<Running>,
    kept: Option<Vec<u8>>,
    kept_at: Instant,
}

struct Running {
    store: Store<GuestState>,
    exporter: ExporterBindings,
    report: Option<Reporting>,
    state: Option<Stateful>,
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance").field("component", &self.component).finish_non_exhaustive()
    }
}

impl Instance {
    /// Starts an instance with `config`, a JSON object.
    ///
    /// # Errors
    /// What `init` says, or how it failed.
    pub fn start(component: Component, config: String, grants: Grants, limits: Limits) -> anyhow::Result<Instance> {
        let mut instance = Instance {
            component,
            config,
            grants,
            limits,
            running: None,
            kept: None,
            kept_at: Instant::now(),
        };
        instance.running = Some(instance.begin()?);
        Ok(instance)
    }

    fn begin(&self) -> anyhow::Result<Running> {
        let Component { name, engine, pre } = &self.component;
        let state = GuestState::new(Arc::clone(name), self.grants.context(name)?, &self.limits);
        let mut store = Store::new(&engine.wasmtime, state);
        store.limiter(|state| &mut state.limiter);
        self.arm(&mut store);
        let failed = |moment: &str| format!("plugin {name:?} failed in {moment}");
        let instance = pre.instantiate(&mut store).map_err(anyhow::Error::from).with_context(|| failed("starting"))?;
        let exporter = ExporterBindings::new(&mut store, &instance).map_err(anyhow::Error::from).with_context(|| failed("starting"))?;
        let report = Reporting::new(&mut store, &instance).ok();
        let state = Stateful::new(&mut store, &instance).ok();
        let calls = exporter.meshtrace_plugin_trace_exporter();
        self.arm(&mut store);
        let about = calls.call_describe(&mut store).map_err(anyhow::Error::from).with_context(|| failed("describe"))?;
        self.arm(&mut store);
        let begun = calls.call_init(&mut store, &self.config).map_err(anyhow::Error::from).with_context(|| failed("init"))?;
        begun.map_err(|reason| anyhow::anyhow!("plugin {name:?} refused to start: {reason}"))?;
        tracing::debug!(plugin = %name, described_as = about.name, version = about.version, "plugin started");
        let mut running = Running { store, exporter, report, state };
        self.restore(&mut running);
        Ok(running)
    }

    /// Gives the call that follows its time.
    fn arm(&self, store: &mut Store<GuestState>) {
        let ticks = self.limits.call_time.as_nanos().div_ceil(TICK.as_nanos()) + 1;
        store.set_epoch_deadline(u64::try_from(ticks).unwrap_or(u64::MAX));
    }

    fn restore(&self, running: &mut Running) {
        let (Some(kept), Some(state)) = (&self.kept, &running.state) else { return };
        self.arm(&mut running.store);
        match state.meshtrace_plugin_state().call_restore(&mut running.store, kept) {
            Ok(Ok(())) => {}
            Ok(Err(reason)) => {
                tracing::warn!(plugin = %self.component.name, reason, "the plugin did not take its earlier state; it begins anew")
            }
            Err(error) => tracing::warn!(plugin = %self.component.name, error = explain(&error), "restoring the plugin's state failed"),
        }
    }

    /// Runs `call` on the running instance, which is started first if the last one ended. A call that fails ends the instance.
    fn call<T>(&mut self, moment: &str, call: impl FnOnce(&mut Running) -> wasmtime::Result<T>) -> Result<T, CallError> {
        let mut running = match self.running.take() {
            Some(running) => running,
            None => self.begin().map_err(|error| CallError::NotStarted(format!("{error:#}")))?,
        };
        self.arm(&mut running.store);
        let result = call(&mut running);
        running.store.data_mut().batch = None;
        match result {
            Ok(value) => {
                self.running = Some(running);
                Ok(value)
            }
            Err(error) => {
                tracing::debug!(plugin = %self.component.name, moment, ?error, "a call failed");
                Err(CallError::Failed(format!("{moment}: {}", explain(&error))))
            }
        }
    }

    /// Keeps the plugin's state, if it has one and some time has passed.
    fn keep(&mut self) {
        let has_state = self.running.as_ref().is_some_and(|running| running.state.is_some());
        if !has_state || self.kept_at.elapsed() < KEEP_EVERY {
            return;
        }
        self.kept_at = Instant::now();
        let snapshot = self.call("snapshot", |running| match &running.state {
            Some(state) => state.meshtrace_plugin_state().call_snapshot(&mut running.store).map(Some),
            None => Ok(None),
        });
        match snapshot {
            Ok(snapshot) => self.kept = snapshot,
            Err(error) => tracing::warn!(plugin = %self.component.name, error = error.text(), "keeping the plugin's state failed"),
        }
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

/// A failed call in words: the innermost cause, without the stack.
fn explain(error: &wasmtime::Error) -> String {
    if let Some(trap) = error.downcast_ref::<wasmtime::Trap>() {
        return match trap {
            wasmtime::Trap::Interrupt => "it ran longer than a call may".into(),
            wasmtime::Trap::UnreachableCodeReached => "it panicked or aborted (its log may say why)".into(),
            other => format!("it trapped: {other}"),
        };
    }
    error.root_cause().to_string()
}

impl Exporter for Instance {
    fn export(&mut self, batch: &Arc<TraceBatch>) -> Outcome {
        let batch = Arc::clone(batch);
        let rows = batch.traces().len();
        let outcome = self.call("export-batch", move |running| {
            running.store.data_mut().batch = Some(batch);
            running.exporter.meshtrace_plugin_trace_exporter().call_export_batch(&mut running.store)
        });
        match outcome {
            Ok(outcome) => {
                self.keep();
                convert(outcome, rows)
            }
            Err(CallError::NotStarted(reason)) => Outcome::NotStarted(reason),
            Err(CallError::Failed(reason)) => Outcome::Failed(reason),
        }
    }
}

impl Resident for Instance {
    fn numbers(&self) -> BTreeMap<String, f64> {
        self.running.as_ref().map(|running| running.store.data().numbers()).unwrap_or_default()
    }

    fn flush(&mut self) -> Result<(), String> {
        if self.running.is_none() {
            return Ok(());
        }
        self.call("flush", |running| running.exporter.meshtrace_plugin_trace_exporter().call_flush(&mut running.store))
            .map_err(CallError::text)?
    }

    fn report(&mut self) -> Result<Option<String>, String> {
        let report = self.call("report", |running| match &running.report {
            Some(report) => report.meshtrace_plugin_report().call_report(&mut running.store).map(Some),
            None => Ok(None),
        });
        report.map_err(CallError::text)?.transpose()
    }
}

/// The guest's answer, with what makes no sense in it taken for what it most likely means.
fn convert(outcome: trace_exporter::Outcome, rows: usize) -> Outcome {
    let pause = |ms: u32| Some(Duration::from_millis(ms.into())).filter(|pause| !pause.is_zero());
    match outcome {
        types::Outcome::Delivered => Outcome::Delivered,
        types::Outcome::Retry(ms) => Outcome::Retry {
            after: pause(ms),
            reason: "the plugin asked to be offered it again".into(),
        },
        types::Outcome::Rejected(reason) => Outcome::Rejected(reason),
        types::Outcome::Partial(left) => {
            if let Some(wrong) = left.iter().find(|row| row.trace as usize >= rows) {
                // Which trace was meant cannot be known, so nothing of the answer can be believed.
                return Outcome::Failed(format!("export-batch answered about trace row {}, the batch has {rows}", wrong.trace));
            }
            let mut seen = vec![false; rows];
            if let Some(twice) = left.iter().find(|row| std::mem::replace(&mut seen[row.trace as usize], true)) {
                return Outcome::Failed(format!("export-batch answered twice about trace row {}", twice.trace));
            }
            let row = |row: types::RowOutcome| RowOutcome {
                row: row.trace as usize,
                retry_after: row.retry_after_ms.map(|ms| Duration::from_millis(ms.into())),
                reason: row.reason,
            };
            Outcome::Partial(left.into_iter().map(row).collect())
        }
    }
}
