//! Keeps what runs in step with the plugin directory: whatever is put there, changed or taken away takes effect while traces flow.
//!
//! A state of a file is loaded when it has not changed for a moment, so a slow copy is not read half; if it was after all, the plugin
//! that runs is not touched, and the next state is loaded in its turn. What vanishes is taken out only when it stays away, and not at all while
//! its `.toml` is there, or while the directory itself is away. One that was replaced, or lost everything at once, is doubted for a while.

mod directory;
mod means;
mod slot;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::directory::Directory;
pub use self::means::Means;
use self::slot::{Absence, Slot, Step};
use super::library::{Bundled, Found, Library, Source};
use super::loader::{Failure, Loader, is_required};
use super::manifest::Manifest;
use super::watch::Watch;
use super::{Cache, Compiler, Engine, Kind};

/// While something is about to settle, it is looked at this often.
const SOON: Duration = Duration::from_millis(100);
/// One notice seldom comes alone: this long after one it is looked.
const TOGETHER: Duration = Duration::from_millis(20);

/// Keeps what runs in step with the plugin directory.
pub struct Manager {
    library: Library,
    selected: BTreeSet<String>,
    /// Those that are not to run, as their `.toml` says.
    switched_off: BTreeSet<String>,
    directory: Directory,
    /// The state of the directory at the last look.
    state: u64,
    loader: Arc<Loader>,
    slots: BTreeMap<String, Slot>,
    jobs: JoinSet<(String, Done)>,
}

impl std::fmt::Debug for Manager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Manager").field("library", &self.library).finish_non_exhaustive()
    }
}

/// What a job came to.
enum Done {
    Loaded(Result<Kind, Failure>),
    Gone {
        /// Whether traces wait where a filter was.
        place_left: bool,
    },
}

impl Manager {
    /// A manager that has loaded nothing yet.
    ///
    /// # Errors
    /// This machine cannot run plugins.
    pub fn new(means: Means) -> anyhow::Result<Manager> {
        let Means {
            library,
            cache_dir,
            selected,
            settings,
            registry,
            exporters,
            filters,
            runtime,
        } = means;
        let engine = Engine::new()?;
        let guarded = library.dir().map(Path::to_owned).into_iter().chain(cache_dir.clone()).collect();
        let cache = cache_dir.map(|dir| Cache::open(dir, &engine));
        let loader = Loader {
            compiler: Compiler::new(engine, cache),
            guarded,
            registry,
            exporters,
            filters,
            settings,
            runtime,
        };
        Ok(Manager {
            library,
            selected,
            switched_off: BTreeSet::new(),
            directory: Directory::default(),
            state: 0,
            loader: Arc::new(loader),
            slots: BTreeMap::new(),
            jobs: JoinSet::new(),
        })
    }

    /// Begins to load everything there is. Returns when all runs that the host cannot do without: whatever is `required`, and filters, since traces that
    /// come before one have passed it. The rest is loaded while traces flow, so that nobody waits for a large component that is compiled.
    ///
    /// # Errors
    /// The directory cannot be read, or something cannot be loaded that is `required`.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        let found = self.defined().await?;
        let required: BTreeSet<String> = found.iter().filter(|(_, found)| is_required(found)).map(|(name, _)| name.clone()).collect();
        let optional: Vec<(String, Found)> =
            found.iter().filter(|(name, _)| !required.contains(*name)).map(|(name, found)| (name.clone(), found.clone())).collect();
        // Looks into files.
        let filters = tokio::task::spawn_blocking(move || {
            optional.into_iter().filter(|(_, found)| found.may_be_filter()).map(|(name, _)| name).collect()
        });
        let filters: BTreeSet<String> = filters.await.context("looking for filters failed")?;
        let mut awaited = &required | &filters;
        for (name, found) in found {
            self.begin(name, found);
        }
        let mut failed = BTreeMap::new();
        while !awaited.is_empty()
            && let Some(done) = self.jobs.join_next().await
        {
            let Ok((name, result)) = done else { continue };
            awaited.remove(&name);
            if let Err(failure) = self.done(&name, result)
                && required.contains(&name)
            {
                failed.insert(name, failure.error);
            }
        }
        failed.into_values().next().map_or(Ok(()), Err)
    }

    /// Follows the directory until `stop`.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let Some(mut watch) = self.library.dir().map(Watch::new) else { return };
        loop {
            let unsettled = self.look().await;
            let mut told_to_stop = false;
            tokio::select! {
                stopped = stop.changed() => told_to_stop = stopped.is_err() || *stop.borrow(),
                Some(done) = self.jobs.join_next() => {
                    if let Ok((name, result)) = done {
                        drop(self.done(&name, result));
                    }
                }
                () = watch.something() => tokio::time::sleep(TOGETHER).await,
                () = tokio::time::sleep(SOON), if unsettled => {}
            }
            if told_to_stop {
                return;
            }
        }
    }

    /// What is to run: what the directory defines, and what is selected besides.
    async fn defined(&mut self) -> anyhow::Result<BTreeMap<String, Found>> {
        let mut library = self.library.clone();
        // Beside the flow: a directory may lie on a network mount that takes its time.
        let looked = tokio::task::spawn_blocking(move || (library.look(), library)).await;
        let (found, library) = looked.context("looking at the plugin directory failed")?;
        self.library = library;
        let mut found = found?;
        let now = Instant::now();
        self.state = self.directory.looked_at(self.library.identity(), found.len(), now);
        // What was switched off does not run because the file that says so may be missing.
        let was_off = std::mem::take(&mut self.switched_off);
        self.switched_off.extend(was_off.into_iter().filter(|name| !found.contains_key(name) && self.directory.is_doubted(now)));
        for name in &self.selected {
            let source = if Bundled::names().any(|own| own == name) {
                Source::Bundled(name.clone())
            } else {
                Source::Missing(format!(
                    "TRACE_EXPORTER_TYPE names {name:?}, and there is neither a file {name}.wasm nor a bundled plugin of that name"
                ))
            };
            found.entry(name.clone()).or_insert_with(|| Found {
                toml: None,
                manifest: Ok(Manifest::default()),
                source,
            });
        }
        found.retain(|name, found| {
            if found.manifest.as_ref().is_ok_and(|manifest| !manifest.enabled) {
                self.switched_off.insert(name.clone());
            }
            !self.switched_off.contains(name)
        });
        Ok(found)
    }

    /// Looks at the directory and begins what is to be done. Returns whether something has yet to settle.
    async fn look(&mut self) -> bool {
        let found = match self.defined().await {
            Ok(found) => found,
            Err(error) => {
                self.directory.is_away();
                self.slots.values_mut().for_each(Slot::overlook);
                self.tell_of_directory(Some(format!("{error:#}; what runs runs on")));
                return false;
            }
        };
        let mut steps: Vec<Step> = found.iter().map(|(name, found)| self.look_at(name, found)).collect();
        let places: BTreeSet<String> = self.loader.places().into_iter().collect();
        let absent: BTreeSet<String> = self.slots.keys().chain(&places).filter(|name| !found.contains_key(*name)).cloned().collect();
        steps.extend(absent.iter().map(|name| self.miss(name, places.contains(name))));
        self.tell_of_directory(steps.contains(&Step::Doubt).then(Directory::missing));
        steps.contains(&Step::Wait)
    }

    /// Says what is wrong with the directory, once; `None`: nothing is.
    fn tell_of_directory(&self, reason: Option<String>) {
        let (dir, news) = (self.library.dir().unwrap_or(Path::new("")).display(), self.loader.registry.set_directory(reason.clone()));
        match reason {
            Some(reason) if news => tracing::error!(reason, "the plugin directory is away"),
            None if news => tracing::info!(%dir, "the plugin directory is back"),
            _ => {}
        }
    }

    /// Does what is to be done about `found`: begins to load it if it is new and has settled.
    fn look_at(&mut self, name: &str, found: &Found) -> Step {
        let slot = self.slots.entry(name.to_owned()).or_default();
        let step = slot.look(found, self.state, Instant::now());
        match &step {
            Step::Load => self.begin(name.to_owned(), found.clone()),
            Step::Keep(why) => {
                tracing::error!(plugin = name, why, "the component of a plugin is gone; what runs runs on");
                slot.keep(self.loader.registry.kept(name, &format!("{why}; what runs runs on")));
            }
            Step::Return(before) => {
                tracing::info!(plugin = name, "the component of a plugin is back as it was");
                self.loader.registry.returned(name, before.clone());
            }
            Step::Nothing | Step::Wait | Step::Doubt | Step::TakeOut | Step::Forget => {}
        }
        step
    }

    /// Does what is to be done about a name that nothing defines: takes out what runs there, when that has stayed away.
    fn miss(&mut self, name: &str, has_place: bool) -> Step {
        let slot = self.slots.entry(name.to_owned()).or_default();
        let meant = self.switched_off.contains(name);
        let step = slot.miss(Absence { directory: self.state, meant, has_place }, Instant::now());
        match step {
            Step::TakeOut => {
                let (name, running, loader) = (name.to_owned(), slot.end(), Arc::clone(&self.loader));
                self.jobs.spawn(async move {
                    let place_left = loader.take_out(&name, running, meant).await;
                    (name, Done::Gone { place_left })
                });
            }
            Step::Forget => drop(self.slots.remove(name)),
            Step::Nothing | Step::Wait | Step::Doubt | Step::Load | Step::Keep(_) | Step::Return(_) => {}
        }
        step
    }

    fn begin(&mut self, name: String, found: Found) {
        let slot = self.slots.entry(name.clone()).or_default();
        slot.begin(found.clone());
        let loader = Arc::clone(&self.loader);
        self.jobs.spawn(async move {
            let result = loader.load(&name, found).await;
            (name, Done::Loaded(result))
        });
    }

    /// Notes what a job came to; the failure is in the registry and in the log already.
    fn done(&mut self, name: &str, done: Done) -> Result<(), Failure> {
        let Some(slot) = self.slots.get_mut(name) else { return Ok(()) };
        match done {
            Done::Loaded(result) => {
                slot.loaded(result.as_ref().ok().copied());
                return result.map(drop);
            }
            // What traces wait for is not forgotten: it can still be switched off.
            Done::Gone { place_left: true } => *slot = Slot::default(),
            // If it has come back meanwhile, it is new.
            Done::Gone { place_left: false } => drop(self.slots.remove(name)),
        }
        Ok(())
    }
}
