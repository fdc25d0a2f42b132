//! From a definition to something that runs: read, compiled, started beside what runs under the name, and put in its place.

mod given;
mod place;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use tokio::runtime::Handle as Runtime;

pub use self::given::{Given, Settings, Terms};
use self::place::default_on_failure;
use super::library::Found;
use super::manifest::Manifest;
use super::registry::{Loaded, Moment, Registry};
use super::{Compiler, Instance, Kind, Setup, check, component};
use crate::export::{self, Exporter, Member};
use crate::filter::{self, Filter, Slot};

/// What a swap may take beyond what the plugins' limits allow their calls.
const SWAP_MARGIN: Duration = Duration::from_secs(10);

/// Loads plugins, for the manager.
pub(super) struct Loader {
    pub compiler: Compiler,
    /// Where no plugin may write: whoever can changes what runs, and what it may do.
    pub guarded: Vec<PathBuf>,
    pub registry: Arc<Registry>,
    pub exporters: export::Handle,
    pub filters: filter::Handle,
    pub settings: Settings,
    pub runtime: Runtime,
}

/// Something that could not be loaded.
pub(super) struct Failure {
    pub moment: Moment,
    pub digest: String,
    pub error: anyhow::Error,
}

/// Instances that are ready to take over.
struct Prepared {
    instances: Vec<Instance>,
    loaded: Loaded,
}

impl Loader {
    /// Loads what `found` defines under `name`. What runs there runs on until the new one has taken over.
    pub async fn load(self: &Arc<Self>, name: &str, found: Found) -> Result<Kind, Failure> {
        let begin = Instant::now();
        let result = self.try_load(name, found.clone(), begin).await;
        if let Err(failure) = &result {
            let reason = format!("{:#}", failure.error);
            tracing::error!(plugin = name, moment = failure.moment.as_str(), reason, "the plugin could not be loaded");
            self.registry.failed(name, failure.moment, failure.digest.clone(), &reason, begin.elapsed());
            self.hold_place(name, &found, &reason).await;
        }
        result
    }

    async fn try_load(self: &Arc<Self>, name: &str, found: Found, begin: Instant) -> Result<Kind, Failure> {
        let (loader, own) = (Arc::clone(self), name.to_owned());
        // Compiling and starting take the processor for a while; nobody else waits for that.
        let prepared = tokio::task::spawn_blocking(move || loader.prepare(&own, found)).await;
        let Prepared { instances, loaded } = prepared.unwrap_or_else(|fault| {
            let error = anyhow::anyhow!("loading ended by a fault of this program: {fault}");
            Err(Failure {
                moment: Moment::Starting,
                digest: String::new(),
                error,
            })
        })?;
        self.registry.loading(name, Moment::Swapping);
        let (kind, origin, digest, version) = (loaded.kind, loaded.origin, loaded.digest.clone(), loaded.about.version.clone());
        self.put(name, instances, &loaded).await.map_err(|reason| Failure {
            moment: Moment::Swapping,
            digest,
            error: anyhow::anyhow!(reason),
        })?;
        let before = self.registry.loaded(name, loaded, begin.elapsed());
        match kind {
            // It has become something else.
            Kind::Filter if before == Some(Kind::Exporter) => self.exporters.remove(name),
            Kind::Exporter => self.give_up_place(name).await,
            Kind::Filter => {}
        }
        tracing::info!(
            plugin = name,
            version,
            kind = kind.as_str(),
            took_ms = begin.elapsed().as_millis() as u64,
            "plugin loaded, {origin}"
        );
        Ok(kind)
    }

    /// Lets instances take over in the stage that they are for.
    async fn put(&self, name: &str, instances: Vec<Instance>, loaded: &Loaded) -> Result<(), String> {
        let Manifest { required, queue, max_traces, order, .. } = loaded.manifest;
        let within = self.swap_within(name, &loaded.manifest);
        match loaded.kind {
            Kind::Exporter => {
                let member = Member {
                    name: name.to_owned(),
                    exporters: instances.into_iter().map(|instance| Box::new(instance) as Box<dyn Exporter>).collect(),
                    terms: export::Terms { required, queue, max_traces },
                    within,
                };
                self.exporters.put(member).await
            }
            Kind::Filter => {
                let slot = Slot {
                    name: name.to_owned(),
                    order,
                    on_failure: loaded.on_failure,
                    filter: instances.into_iter().next().map(|instance| Box::new(instance) as Box<dyn Filter>).ok_or_else(String::new),
                    within,
                };
                self.filters.put(slot).await
            }
        }
    }

    /// How long a successor waits for its predecessor: a call of that may take as long as it may, and restoring the state too.
    fn swap_within(&self, name: &str, manifest: &Manifest) -> Duration {
        let records = self.registry.records();
        let running = records.get(name).and_then(|record| record.loaded.as_ref()).map(|loaded| loaded.manifest.limits.call_time);
        let call_time = running.unwrap_or_default().max(manifest.limits.call_time);
        call_time + manifest.limits.init_time + SWAP_MARGIN
    }

    /// Everything up to instances that are ready to take over. Takes time.
    fn prepare(&self, name: &str, found: Found) -> Result<Prepared, Failure> {
        let mut digest = String::new();
        let mut moment = Moment::Reading;
        let prepared = self.try_prepare(name, found, &mut moment, &mut digest);
        prepared.map_err(|error| Failure { moment, digest, error })
    }

    fn try_prepare(&self, name: &str, found: Found, moment: &mut Moment, digest: &mut String) -> anyhow::Result<Prepared> {
        let mut reached = |at: Moment| {
            *moment = at;
            self.registry.loading(name, at);
        };
        reached(Moment::Reading);
        let manifest = found.manifest.map_err(anyhow::Error::msg)?;
        let wasm = found.source.read(&manifest.limits, &self.registry.counters(name))?;
        digest.push_str(&component::digest(&wasm));
        reached(Moment::Compiling);
        let (component, origin) = self.compiler.component(name, &wasm)?;
        reached(Moment::Starting);
        let terms = Terms::new(name, &manifest, &found.source, &self.settings)?;
        terms.prepare(name)?;
        self.check(name, &terms)?;
        let Terms { config, grants, told_by, .. } = terms;
        let setup = Setup {
            name: name.into(),
            config,
            grants: grants.clone(),
            limits: manifest.limits.clone(),
            counters: self.registry.counters(name),
            runtime: self.runtime.clone(),
        };
        let started = Instance::start(component.clone(), setup.clone());
        let first = match told_by {
            Some(setting) => started.context(setting)?,
            None => started?,
        };
        let about = first.about().clone();
        check::fits(name, &manifest, &about, component.kind())?;
        let others = (1..manifest.instances).map(|_| Instance::start(component.clone(), setup.clone()));
        let instances: Vec<Instance> = std::iter::once(Ok(first)).chain(others).collect::<anyhow::Result<_>>()?;
        let loaded = Loaded {
            kind: component.kind(),
            on_failure: manifest.on_failure.unwrap_or_else(|| default_on_failure(&found.source)),
            about,
            source: found.source.describe(),
            origin,
            digest: digest.clone(),
            bytes: wasm.len(),
            manifest,
            grants,
            at: SystemTime::now(),
        };
        Ok(Prepared { instances, loaded })
    }
}

impl Loader {
    /// A plugin that could write where plugins, their `.toml` or their compiled code lie could grant itself everything. One that comes with the host
    /// and is told by the documented settings where to write is trusted not to.
    fn check(&self, name: &str, terms: &Terms) -> anyhow::Result<()> {
        if !terms.granted_by_settings {
            return check::guard(name, &terms.grants, &self.guarded);
        }
        for (dir, guarded) in check::writes_into(&terms.grants, &self.guarded) {
            let (dir, guarded) = (dir.display(), guarded.display());
            tracing::warn!(
                plugin = name,
                "it writes in {dir}, where {guarded} lies, which decides what plugins run; better choose another directory"
            );
        }
        Ok(())
    }
}

/// Whether the host can do without what `found` defines.
pub(super) fn is_required(found: &Found) -> bool {
    found.manifest.as_ref().map_or(true, |manifest: &Manifest| manifest.required)
}
