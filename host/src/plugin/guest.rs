//! What can be called in a guest: the calls of its kind, and the optional ones.

use wasmtime::component::{Instance, InstancePre};
use wasmtime::{Result, Store};

use super::Kind;
use super::bindings::filtering::{Filter, FilterIndices};
use super::bindings::meshtrace::plugin::types::{Decisions, Description, Outcome};
use super::bindings::reporting::{Reporting, ReportingIndices};
use super::bindings::stateful::{Stateful, StatefulIndices};
use super::bindings::{Exporter, ExporterIndices};
use super::guest_state::GuestState;

/// Where a component's exports are.
#[derive(Clone)]
pub(super) struct Exports {
    main: MainIndices,
    report: Option<ReportingIndices>,
    state: Option<StatefulIndices>,
}

#[derive(Clone)]
enum MainIndices {
    Exporter(ExporterIndices),
    Filter(FilterIndices),
}

impl Exports {
    /// Looks for the exports of a plugin of this kind.
    pub fn find(pre: &InstancePre<GuestState>, kind: Kind) -> Result<Exports> {
        let main = match kind {
            Kind::Exporter => MainIndices::Exporter(ExporterIndices::new(pre)?),
            Kind::Filter => MainIndices::Filter(FilterIndices::new(pre)?),
        };
        Ok(Exports {
            main,
            report: ReportingIndices::new(pre).ok(),
            state: StatefulIndices::new(pre).ok(),
        })
    }

    pub fn kind(&self) -> Kind {
        match self.main {
            MainIndices::Exporter(_) => Kind::Exporter,
            MainIndices::Filter(_) => Kind::Filter,
        }
    }

    pub fn has_report(&self) -> bool {
        self.report.is_some()
    }

    pub fn has_state(&self) -> bool {
        self.state.is_some()
    }

    /// The exports of `instance`, as something to call.
    pub fn load(&self, store: &mut Store<GuestState>, instance: &Instance) -> Result<Guest> {
        let main = match &self.main {
            MainIndices::Exporter(indices) => Main::Exporter(indices.load(&mut *store, instance)?),
            MainIndices::Filter(indices) => Main::Filter(indices.load(&mut *store, instance)?),
        };
        Ok(Guest {
            main,
            report: self.report.as_ref().map(|indices| indices.load(&mut *store, instance)).transpose()?,
            state: self.state.as_ref().map(|indices| indices.load(&mut *store, instance)).transpose()?,
        })
    }
}

/// The calls of one instance. Each fails with a trap, or with what a host function of ours said.
pub(super) struct Guest {
    main: Main,
    report: Option<Reporting>,
    state: Option<Stateful>,
}

enum Main {
    Exporter(Exporter),
    Filter(Filter),
}

type Said<T> = std::result::Result<T, String>;

impl Guest {
    pub async fn describe(&self, store: &mut Store<GuestState>) -> Result<Description> {
        match &self.main {
            Main::Exporter(calls) => calls.meshtrace_plugin_trace_exporter().call_describe(store).await,
            Main::Filter(calls) => calls.meshtrace_plugin_trace_filter().call_describe(store).await,
        }
    }

    pub async fn init(&self, store: &mut Store<GuestState>, config: &str) -> Result<Said<()>> {
        match &self.main {
            Main::Exporter(calls) => calls.meshtrace_plugin_trace_exporter().call_init(store, config).await,
            Main::Filter(calls) => calls.meshtrace_plugin_trace_filter().call_init(store, config).await,
        }
    }

    pub async fn flush(&self, store: &mut Store<GuestState>) -> Result<Said<()>> {
        match &self.main {
            Main::Exporter(calls) => calls.meshtrace_plugin_trace_exporter().call_flush(store).await,
            Main::Filter(calls) => calls.meshtrace_plugin_trace_filter().call_flush(store).await,
        }
    }

    pub async fn export_batch(&self, store: &mut Store<GuestState>) -> Result<Outcome> {
        match &self.main {
            Main::Exporter(calls) => calls.meshtrace_plugin_trace_exporter().call_export_batch(store).await,
            Main::Filter(_) => Err(wasmtime::Error::msg("a filter exports nothing")),
        }
    }

    pub async fn decide(&self, store: &mut Store<GuestState>) -> Result<Said<Decisions>> {
        match &self.main {
            Main::Exporter(_) => Err(wasmtime::Error::msg("an exporter decides nothing")),
            Main::Filter(calls) => calls.meshtrace_plugin_trace_filter().call_decide(store).await,
        }
    }

    /// `None` when it has no report to give.
    pub async fn report(&self, store: &mut Store<GuestState>) -> Result<Option<Said<String>>> {
        match &self.report {
            Some(calls) => calls.meshtrace_plugin_report().call_report(store).await.map(Some),
            None => Ok(None),
        }
    }

    pub fn has_state(&self) -> bool {
        self.state.is_some()
    }

    /// `None` when it has no state.
    pub async fn snapshot(&self, store: &mut Store<GuestState>) -> Result<Option<Vec<u8>>> {
        match &self.state {
            Some(calls) => calls.meshtrace_plugin_state().call_snapshot(store).await.map(Some),
            None => Ok(None),
        }
    }

    /// `None` when it has no state.
    pub async fn restore(&self, store: &mut Store<GuestState>, snapshot: &[u8]) -> Result<Option<Said<()>>> {
        match &self.state {
            Some(calls) => calls.meshtrace_plugin_state().call_restore(store, snapshot).await.map(Some),
            None => Ok(None),
        }
    }
}
