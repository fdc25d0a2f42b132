//! The plugins there are: those bundled with the host, and what lies in the plugin directory, which goes before bundled ones of the same name.
//!
//! An instance is named by its `NAME.toml`, or else by its `NAME.wasm`. A component that some `.toml` names is an instance of its own only if
//! it has a `.toml` of its own.

mod files;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;

pub(super) use self::files::Identity;
pub use self::files::Stamp;
use self::files::{files, read_at_most};
use self::source::source;
pub use self::source::{Bundled, Source};
use super::manifest::{self, Manifest};

/// A state of a component's file is loaded when it has lasted this long. One that is not whole is refused.
const SETTLES: Duration = Duration::from_millis(300);
/// The same for a `.toml`, of which the first lines may well be understood by themselves.
const TOML_SETTLES: Duration = Duration::from_secs(1);

/// An instance as the plugin directory defines it.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Its `.toml`, if it has one.
    pub toml: Option<Stamp>,
    /// What that says, or what is wrong with it.
    pub manifest: Result<Manifest, String>,
    /// Its component.
    pub source: Source,
}

impl Found {
    /// A bundled plugin, as it is where the plugin directory says nothing about it.
    pub fn bundled(name: &str) -> Found {
        Found {
            toml: None,
            manifest: Ok(Manifest::default()),
            source: Source::Bundled(name.to_owned()),
        }
    }

    /// The component in this file, wherever it lies, without a `.toml`.
    ///
    /// # Errors
    /// Why the file cannot be looked at.
    pub fn file(path: &Path) -> anyhow::Result<Found> {
        let metadata = std::fs::metadata(path).with_context(|| format!("{} cannot be read", path.display()))?;
        Ok(Found {
            toml: None,
            manifest: Ok(Manifest::default()),
            source: Source::File(Stamp::of(path, &metadata)),
        })
    }

    /// Whether it may be a filter, see [`Source::may_be_filter`].
    pub(super) fn may_be_filter(&self) -> bool {
        self.manifest.as_ref().is_ok_and(|manifest| self.source.may_be_filter(&manifest.limits))
    }

    /// Whether a file that defines this is missing in what `now` defines the same name.
    pub(super) fn has_lost(&self, now: &Found) -> bool {
        let is_in_directory = |found: &Found| found.toml.is_some() || matches!(found.source, Source::File(_));
        self.toml.is_some() && now.toml.is_none() || is_in_directory(self) && !is_in_directory(now)
    }

    /// Whether each of its files has been as it is for long enough: it is known to have `lasted`, or to have been written that long ago.
    pub(super) fn has_settled(&self, lasted: Duration) -> bool {
        let component = match &self.source {
            Source::File(stamp) => Some(stamp),
            Source::Bundled(_) | Source::Missing(_) => None,
        };
        let settled = |stamp: &Stamp, time: Duration| lasted >= time || stamp.is_older_than(time);
        component.is_none_or(|stamp| settled(stamp, SETTLES)) && self.toml.as_ref().is_none_or(|stamp| settled(stamp, TOML_SETTLES))
    }
}

/// What a manifest said when it was read. It is not parsed at every look.
#[derive(Debug, Clone)]
struct Read {
    stamp: Stamp,
    /// When the file was first seen like this.
    first: Instant,
    /// Whether the stamp can no longer stand for something else that was written in the same moment.
    certain: bool,
    manifest: Result<Manifest, String>,
}

/// File systems may give two writes within this time one stamp.
const TICK: Duration = Duration::from_secs(1);

/// The plugin directory.
#[derive(Debug, Clone, Default)]
pub struct Library {
    dir: Option<PathBuf>,
    /// Which directory that was when it was last looked at.
    identity: Option<Identity>,
    /// The manifests as they were last read.
    read: BTreeMap<String, Read>,
    /// The manifests as they were last understood, lest a broken one makes its component look like an instance of its own.
    understood: BTreeMap<String, Manifest>,
}

impl Library {
    /// The library with this plugin directory, if any.
    pub fn new(dir: Option<&Path>) -> Library {
        Library {
            dir: dir.map(Path::to_owned),
            ..Library::default()
        }
    }

    /// The directory.
    pub fn dir(&self) -> Option<&Path> {
        self.dir.as_deref()
    }

    /// Which directory it was at the last look.
    pub(super) fn identity(&self) -> Option<Identity> {
        self.identity.clone()
    }

    /// What the directory defines, by instance name; empty when there is none.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn look(&mut self) -> anyhow::Result<BTreeMap<String, Found>> {
        let Some(dir) = self.dir.clone() else { return Ok(BTreeMap::new()) };
        self.identity = Identity::of(&dir);
        let files = files(&dir).with_context(|| format!("MESHTRACE_PLUGIN_DIR={}: the directory cannot be read", dir.display()))?;
        let mut found = BTreeMap::new();
        let mut used = BTreeSet::new();
        for (file, toml) in &files {
            let Some(name) = file.strip_suffix(".toml") else { continue };
            let manifest = self.manifest(name, toml);
            if let Ok(manifest) = &manifest {
                self.understood.insert(name.to_owned(), manifest.clone());
            }
            let component = self.understood.get(name).and_then(|manifest| manifest.component.clone());
            used.extend(component.clone());
            let source = source(name, component.as_deref(), &files);
            found.insert(
                name.to_owned(),
                Found {
                    toml: Some(toml.clone()),
                    manifest,
                    source,
                },
            );
        }
        self.understood.retain(|name, _| found.contains_key(name));
        self.read.retain(|name, _| found.contains_key(name));
        for (file, stamp) in &files {
            let Some(name) = file.strip_suffix(".wasm").filter(|_| !used.contains(file)) else { continue };
            found.entry(name.to_owned()).or_insert_with(|| Found {
                toml: None,
                manifest: Ok(Manifest::default()),
                source: Source::File(stamp.clone()),
            });
        }
        Ok(found)
    }

    fn manifest(&mut self, name: &str, toml: &Stamp) -> Result<Manifest, String> {
        let known = self.read.get(name).filter(|read| read.stamp == *toml);
        if let Some(read) = known.filter(|read| read.certain) {
            return read.manifest.clone();
        }
        let first = known.map_or_else(Instant::now, |read| read.first);
        let read = Read {
            stamp: toml.clone(),
            first,
            certain: first.elapsed() >= TICK,
            manifest: read_manifest(toml),
        };
        self.read.entry(name.to_owned()).insert_entry(read).get().manifest.clone()
    }

    /// All names: bundled ones and those in the directory, each once.
    pub fn names(found: &BTreeMap<String, Found>) -> BTreeSet<String> {
        Bundled::names().map(str::to_owned).chain(found.keys().cloned()).collect()
    }
}

fn read_manifest(toml: &Stamp) -> Result<Manifest, String> {
    let wrong = |why: String| format!("{}: {why}", toml.path.display());
    let unreadable = |error: &dyn std::fmt::Display| wrong(format!("it cannot be read: {error}"));
    let bytes = read_at_most(&toml.path, manifest::MAX_BYTES).map_err(|error| unreadable(&error))?;
    let bytes = bytes.ok_or_else(|| wrong(format!("it has more than {} bytes, and no more are read", manifest::MAX_BYTES)))?;
    let text = String::from_utf8(bytes).map_err(|error| unreadable(&error))?;
    Manifest::parse(&text).map_err(|error| wrong(format!("{error:#}")))
}

#[cfg(test)]
mod tests;
