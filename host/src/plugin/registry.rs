//! What is known of every plugin, for people: what runs, since when, what it may do, what became of the last attempt to load it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::manifest::Manifest;
use super::{About, Counters, Grants, Kind, Origin};
use crate::filter::OnFailure;

/// Events that are kept of one plugin.
const HISTORY: usize = 100;
/// Plugins that have gone and are remembered, with their counters.
const GONE_MAX: usize = 100;

/// What runs under a name.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What it is.
    pub kind: Kind,
    /// What a filter's failure means.
    pub on_failure: OnFailure,
    /// What it says about itself.
    pub about: About,
    /// Where its component came from.
    pub source: String,
    /// Where its machine code came from.
    pub origin: Origin,
    /// SHA-256 of the component, hex.
    pub digest: String,
    /// Size of the component, bytes.
    pub bytes: usize,
    /// On which terms it runs.
    pub manifest: Manifest,
    /// What it may do.
    pub grants: Grants,
    /// When it took over.
    pub at: SystemTime,
}

/// What an attempt to load has come to so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The files are read.
    Reading,
    /// The component is compiled, or found in the cache.
    Compiling,
    /// Instances are made, and their `init` runs.
    Starting,
    /// The new one takes over from the old.
    Swapping,
}

impl Moment {
    /// One lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Moment::Reading => "reading",
            Moment::Compiling => "compiling",
            Moment::Starting => "starting",
            Moment::Swapping => "swapping",
        }
    }
}

/// Something that could not be done, and is not done yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// When it was met.
    pub at: SystemTime,
    /// At which moment of loading; `None`: apart from loading.
    pub moment: Option<Moment>,
    /// Why, for people.
    pub reason: String,
}

/// What happened to a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Counts all events of this host from 1: their order.
    pub number: u64,
    /// When.
    pub at: SystemTime,
    /// `loaded`, `replaced`, `failed`, `removed`, `kept` or `returned`.
    pub what: &'static str,
    /// The component's SHA-256, hex; empty when it was not read.
    pub digest: String,
    /// How long it took from the first look to the end.
    pub took: Duration,
    /// Why it failed, or why it was kept.
    pub reason: Option<String>,
}

/// All that is known under one name.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// What runs; `None`: nothing.
    pub loaded: Option<Loaded>,
    /// What is being loaded, and since when.
    pub loading: Option<(Moment, SystemTime)>,
    /// What is wrong with what was to be loaded last, or with what runs.
    pub problem: Option<Problem>,
    /// The last events, the latest last.
    pub history: VecDeque<Event>,
    /// How often something was loaded in the place of something else.
    pub swaps: u64,
    /// How often loading failed.
    pub failed_loads: u64,
    /// What is counted over all instances.
    pub counters: Arc<Counters>,
}

/// The plugins, by name.
#[derive(Debug, Default)]
pub struct Registry {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    records: BTreeMap<String, Record>,
    events: u64,
    directory: Option<Problem>,
}

impl Registry {
    /// Everything, by name.
    pub fn records(&self) -> BTreeMap<String, Record> {
        self.lock().records.clone()
    }

    /// Whether something runs under this name.
    pub(super) fn runs(&self, name: &str) -> bool {
        self.lock().records.get(name).is_some_and(|record| record.loaded.is_some())
    }

    /// What is wrong with the plugin directory, if anything.
    pub fn directory_problem(&self) -> Option<Problem> {
        self.lock().directory.clone()
    }

    /// The counters of the plugin called `name`.
    pub(super) fn counters(&self, name: &str) -> Arc<Counters> {
        Arc::clone(&self.lock().records.entry(name.to_owned()).or_default().counters)
    }

    /// The directory can be read, or why not. Returns whether that is news.
    pub(super) fn set_directory(&self, reason: Option<String>) -> bool {
        let mut inner = self.lock();
        let news = inner.directory.as_ref().map(|problem| &problem.reason) != reason.as_ref();
        if news {
            inner.directory = reason.map(|reason| Problem {
                at: SystemTime::now(),
                moment: None,
                reason,
            });
        }
        news
    }

    /// Loading has come to this moment.
    pub(super) fn loading(&self, name: &str, moment: Moment) {
        self.change(name, |record| {
            let since = record.loading.map_or_else(SystemTime::now, |(_, since)| since);
            record.loading = Some((moment, since));
        });
    }

    /// What was loaded runs now. Returns what it replaced, if anything.
    pub(super) fn loaded(&self, name: &str, loaded: Loaded, took: Duration) -> Option<Kind> {
        let digest = loaded.digest.clone();
        let before = self.change(name, |record| {
            record.loading = None;
            record.problem = None;
            let before = record.loaded.replace(loaded).map(|before| before.kind);
            record.swaps += u64::from(before.is_some());
            before
        });
        self.event(name, if before.is_some() { "replaced" } else { "loaded" }, digest, took, None);
        before
    }

    /// It could not be loaded; what ran before runs on.
    pub(super) fn failed(&self, name: &str, moment: Moment, digest: String, reason: &str, took: Duration) {
        self.change(name, |record| {
            record.loading = None;
            record.failed_loads += 1;
            record.problem = Some(Problem {
                at: SystemTime::now(),
                moment: Some(moment),
                reason: reason.to_owned(),
            });
        });
        self.event(name, "failed", digest, took, Some(reason.to_owned()));
    }

    /// What defines it has gone, but it is kept. Returns what was wrong before.
    pub(super) fn kept(&self, name: &str, reason: &str) -> Option<Problem> {
        let before = self.change(name, |record| {
            record.problem.replace(Problem {
                at: SystemTime::now(),
                moment: None,
                reason: reason.to_owned(),
            })
        });
        self.event(name, "kept", String::new(), Duration::ZERO, Some(reason.to_owned()));
        before
    }

    /// What defines it is back as it was, and so is what was wrong `before`, if anything was.
    pub(super) fn returned(&self, name: &str, before: Option<Problem>) {
        self.change(name, |record| record.problem = before);
        self.event(name, "returned", String::new(), Duration::ZERO, None);
    }

    /// It runs no more.
    pub(super) fn removed(&self, name: &str, reason: &str) {
        self.change(name, |record| {
            record.loaded = None;
            record.loading = None;
            record.problem = None;
        });
        self.event(name, "removed", String::new(), Duration::ZERO, Some(reason.to_owned()));
        self.forget_some();
    }

    /// Names come and go, and somebody may make many: what has gone longest is forgotten.
    fn forget_some(&self) {
        let mut inner = self.lock();
        let last = |record: &Record| record.history.back().map_or(0, |event| event.number);
        let mut gone: Vec<(u64, String)> = {
            let idle = inner.records.iter().filter(|(_, record)| record.loaded.is_none() && record.loading.is_none());
            idle.map(|(name, record)| (last(record), name.clone())).collect()
        };
        gone.sort_unstable();
        let surplus = gone.len().saturating_sub(GONE_MAX);
        for (_, name) in gone.into_iter().take(surplus) {
            inner.records.remove(&name);
        }
    }

    fn event(&self, name: &str, what: &'static str, digest: String, took: Duration, reason: Option<String>) {
        let mut inner = self.lock();
        inner.events += 1;
        let event = Event {
            number: inner.events,
            at: SystemTime::now(),
            what,
            digest,
            took,
            reason,
        };
        let history = &mut inner.records.entry(name.to_owned()).or_default().history;
        history.push_back(event);
        if history.len() > HISTORY {
            history.pop_front();
        }
    }

    fn change<T>(&self, name: &str, change: impl FnOnce(&mut Record) -> T) -> T {
        change(self.lock().records.entry(name.to_owned()).or_default())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
