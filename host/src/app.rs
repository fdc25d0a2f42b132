//! The composition root: the only file that knows every stage. It wires them once, waits, and takes them down from the head.

mod source;
mod stages;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::api::{self, ApiState, Pipeline};
use crate::budget::Budget;
use crate::config::{Config, ExporterConfig};
use crate::model::Leadership;
use crate::plugin::{Library, Manager, Means, Registry};
use crate::source::{Batch, Settlement, SourceState, SourceStatus};
use crate::store::Store;
use crate::tasks::Tasks;
use crate::{correlate, export, exporters, filter};
use source::SourceEnds;
pub use stages::Stages;

/// Batches of entries on their way to the correlator, at most.
const ENTRY_QUEUE: usize = 4;
/// Batches of decided traces on their way to the filters, at most.
const TRACE_QUEUE: usize = 4;
/// Batches of kept traces on their way to the exporters, at most.
const KEPT_QUEUE: usize = 4;
/// Settlements on their way back, at most.
const SETTLEMENT_QUEUE: usize = 1_024;
/// From the signal to the end, at most.
const DRAIN: Duration = Duration::from_secs(10);
/// From the signal until what failed is not tried again.
const PATIENCE: Duration = Duration::from_secs(7);

/// A running host.
pub struct App {
    tasks: Tasks,
    stop: watch::Sender<bool>,
    failures: mpsc::Receiver<anyhow::Error>,
    /// What the API sees of it.
    pub stages: Arc<Stages>,
    /// Where the API listens, as a URL without a path.
    pub api_url: String,
    /// Where the embedded listener listens, if that is the source.
    pub embedded_address: Option<std::net::SocketAddr>,
    /// Where the json exporter writes, if it runs.
    pub json_dir: Option<PathBuf>,
}

impl App {
    /// Starts everything that `config` wants. Plugins come before the source: one that traces would have to wait for and that cannot be loaded stops the
    /// start before anything has been read.
    ///
    /// # Errors
    /// What cannot be started, and why.
    pub async fn start(config: Config) -> anyhow::Result<App> {
        let Config {
            enabled,
            source,
            rules,
            max_queued_bytes,
            exporters,
            store,
            api,
            log: _,
        } = config;
        let tasks = Tasks::new(tokio::runtime::Handle::current());
        let (serving, listen, insecure_bind) = (api::Serving::new(&api)?, api.listen, api.insecure_bind);
        let listener =
            TcpListener::bind(listen).await.with_context(|| format!("MESHTRACE_LISTEN={listen}: the API cannot listen there"))?;
        let api_url = format!("{}://{}", serving.scheme(), listener.local_addr()?);
        let exporter_type = exporters.kind.clone();
        let store = Arc::new(Store::new(store));
        let budget = Arc::new(Budget::new(max_queued_bytes));
        let status = Arc::new(SourceStatus::default());
        let (stop, stopping) = watch::channel(false);
        let (failed, failures) = mpsc::channel(1);
        let (entries, input) = mpsc::channel(ENTRY_QUEUE);
        let (settlements, settlements_in) = mpsc::channel(SETTLEMENT_QUEUE);
        let Flow { correlate, filter, export } =
            start_flow(&tasks, rules, input, settlements, (&store, &budget), &status.leadership, &failed)?;
        let registry = Arc::new(Registry::default());
        let mut manager = start_manager(&exporters, &registry, &filter, &export)?;
        let ends = SourceEnds {
            out: entries,
            settlements: settlements_in,
            status: Arc::clone(&status),
            stop: stopping.clone(),
            failed,
            insecure_bind,
        };
        let stages = Arc::new(Stages {
            source: status,
            correlate,
            budget,
            filter,
            export,
            exporter_type,
            registry,
            plugin_dir: exporters.plugin_dir.clone(),
        });
        let state = ApiState {
            store,
            pipeline: Arc::clone(&stages) as Arc<dyn Pipeline>,
            enabled,
        };
        // From now on one may see what is being loaded; nothing is read before all of it runs.
        stages.source.set_state(SourceState::Starting);
        serve_api(&tasks, (listener, serving), state, stopping.clone());
        manager.start().await?;
        stages.source.set_state(if enabled { SourceState::Connecting } else { SourceState::Disabled });
        let json_dir = stages.has_loaded("json").then_some(exporters.json_dir);
        tasks.spawn("plugins", manager.run(stopping));
        let embedded_address = if enabled { source::start(&tasks, source, ends).await? } else { source::keep_idle(&tasks, &source, ends) };
        Ok(App {
            tasks,
            stop,
            failures,
            stages,
            api_url,
            embedded_address,
            json_dir,
        })
    }

    /// Waits until `signal`, or until something fails that stops the host.
    ///
    /// # Errors
    /// What failed.
    pub async fn run_until(&mut self, signal: impl Future<Output = ()>) -> anyhow::Result<()> {
        tokio::select! {
            () = signal => Ok(()),
            Some(error) = self.failures.recv() => Err(error),
        }
    }

    /// Takes the host down: reading stops, what is complete is exported and acknowledged, exporters are flushed; what is not complete stays with the log.
    ///
    /// # Errors
    /// Names what had not ended after ten seconds.
    pub async fn stop(self) -> anyhow::Result<()> {
        let App { tasks, stop, failures: _, stages, .. } = self;
        tracing::info!("stopping: what is complete is exported and acknowledged, the rest stays in the log");
        let until = Instant::now() + PATIENCE;
        stages.filter.end_patience_at(until);
        stages.export.end_patience_at(until);
        // Nobody listens any more if everything has ended already.
        let _ = stop.send(true);
        match tasks.ended(DRAIN).await {
            Ok(()) => Ok(()),
            Err(names) => Err(anyhow!("still running after {} s, left behind: {}", DRAIN.as_secs(), names.join(", "))),
        }
    }
}

/// The stages that traces flow through.
struct Flow {
    correlate: correlate::Handle,
    filter: filter::Handle,
    export: export::Handle,
}

/// Starts the stages from the entries to the exporters. They begin without plugins.
fn start_flow(
    tasks: &Tasks,
    rules: correlate::Rules,
    input: mpsc::Receiver<Batch>,
    settlements: mpsc::Sender<Settlement>,
    (store, budget): (&Arc<Store>, &Arc<Budget>),
    leadership: &Leadership,
    failed: &mpsc::Sender<anyhow::Error>,
) -> std::io::Result<Flow> {
    let (decided, decided_in) = mpsc::channel(TRACE_QUEUE);
    let (kept, kept_in) = mpsc::channel(KEPT_QUEUE);
    let remember = filter::Remember {
        keep_ms: rules.remember_ms.saturating_add(rules.max_age_ms),
        max: rules.max_remembered,
    };
    let filter = filter::Stage {
        input: decided_in,
        output: kept,
        settlements: settlements.clone(),
        store: Arc::clone(store),
        filters: Vec::new(),
        remember,
        leadership: leadership.clone(),
        failed: failed.clone(),
    };
    let export = export::Export {
        input: kept_in,
        settlements: settlements.clone(),
        leadership: leadership.clone(),
        failed: failed.clone(),
    };
    Ok(Flow {
        correlate: start_correlate(tasks, rules, input, decided, settlements, store, budget)?,
        filter: filter::run(filter, tasks)?,
        export: export::run(export, tasks),
    })
}

/// Starts the correlator on a thread of its own: it never waits for anything but its neighbours.
fn start_correlate(
    tasks: &Tasks,
    rules: correlate::Rules,
    input: mpsc::Receiver<Batch>,
    output: mpsc::Sender<Vec<correlate::Decided>>,
    settlements: mpsc::Sender<Settlement>,
    store: &Arc<Store>,
    budget: &Arc<Budget>,
) -> std::io::Result<correlate::Handle> {
    let (handle, questions) = correlate::Handle::new();
    let counters = Arc::clone(&handle.counters);
    let stage = correlate::Correlate {
        rules,
        input,
        output,
        settlements,
        budget: Arc::clone(budget),
        store: Arc::clone(store),
        questions,
        counters,
    };
    let runtime = tasks.runtime();
    tasks.spawn_thread("correlate".into(), move || runtime.block_on(correlate::run(stage)))?;
    Ok(handle)
}

/// A manager for the plugins that the settings and the plugin directory define; it has loaded nothing yet.
fn start_manager(
    config: &ExporterConfig,
    registry: &Arc<Registry>,
    filters: &filter::Handle,
    exporters: &export::Handle,
) -> anyhow::Result<Manager> {
    let mut library = Library::new(config.plugin_dir.as_deref());
    let dropped_in = library.look()?.into_keys().collect();
    let selected = exporters::selected(config, &dropped_in)?;
    Manager::new(Means {
        library,
        cache_dir: exporters::cache_dir(config, &selected),
        selected,
        settings: exporters::settings(config),
        registry: Arc::clone(registry),
        exporters: exporters.clone(),
        filters: filters.clone(),
        runtime: tokio::runtime::Handle::current(),
    })
}

fn serve_api(tasks: &Tasks, (listener, serving): (TcpListener, api::Serving), state: ApiState, mut stop: watch::Receiver<bool>) {
    tasks.spawn("api", async move {
        let stopped = async move {
            // An error means that the host is gone, which is a stop too.
            let _ = stop.wait_for(|stop| *stop).await;
        };
        api::serve(listener, serving, state, stopped).await;
    });
}
