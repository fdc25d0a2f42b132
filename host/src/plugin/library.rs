//! The plugins there are: those bundled with the host, and what lies in the plugin directory, which goes before bundled ones of the same name.
//!
//! An instance is named by its `NAME.toml`, or else by its `NAME.wasm`. A component that some `.toml` names is an instance of its own only if
//! it has a `.toml` of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;

use super::manifest::{self, Manifest};
use super::{Counters, Limit, Limits};

/// Components that the host carries. They are ordinary plugins: whoever reads their source learns how to write one.
pub struct Bundled;

impl Bundled {
    const ALL: [(&'static str, &'static [u8]); 6] = [
        ("console", include_bytes!(concat!(env!("OUT_DIR"), "/console.wasm"))),
        ("json", include_bytes!(concat!(env!("OUT_DIR"), "/json.wasm"))),
        ("otlp", include_bytes!(concat!(env!("OUT_DIR"), "/otlp.wasm"))),
        ("redact", include_bytes!(concat!(env!("OUT_DIR"), "/redact.wasm"))),
        ("sampling", include_bytes!(concat!(env!("OUT_DIR"), "/sampling.wasm"))),
        ("stats", include_bytes!(concat!(env!("OUT_DIR"), "/stats.wasm"))),
    ];

    /// The names of the bundled plugins.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().map(|(name, _)| *name)
    }

    /// The bundled component called `name`.
    pub(super) fn bytes(name: &str) -> Option<&'static [u8]> {
        Self::ALL.iter().find(|(own, _)| *own == name).map(|(_, bytes)| *bytes)
    }
}

/// A state of a component's file is loaded when it has lasted this long. One that is not whole is refused.
const SETTLES: Duration = Duration::from_millis(300);
/// The same for a `.toml`, of which the first lines may well be understood by themselves.
const TOML_SETTLES: Duration = Duration::from_secs(1);

/// What tells one state of a file from another without reading it. A file that a symbolic link leads to is looked at, not the link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    path: PathBuf,
    bytes: u64,
    file: (u64, u64),
    changed: (i64, i64),
    /// When the content was last written, as far as the file system tells.
    written: Option<SystemTime>,
}

impl Stamp {
    fn of(path: &Path, metadata: &Metadata) -> Stamp {
        Stamp {
            path: path.to_owned(),
            bytes: metadata.len(),
            file: (metadata.dev(), metadata.ino()),
            // Of the inode, since a copy may keep the time of the content.
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            written: metadata.modified().ok(),
        }
    }

    /// Whether nothing has been written to it for so long: a file that was finished elsewhere and moved here.
    fn is_older_than(&self, age: Duration) -> bool {
        self.written.and_then(|written| written.elapsed().ok()).is_some_and(|own| own >= age)
    }
}

/// What tells a directory from another that has its name later. A number is given again, so when it was made counts too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    file: (u64, u64),
    made: Option<SystemTime>,
}

impl Identity {
    /// Of the directory that has this name now, whichever link leads there; `None` when there is none.
    pub fn of(dir: &Path) -> Option<Identity> {
        let metadata = std::fs::metadata(dir).ok()?;
        Some(Identity {
            file: (metadata.dev(), metadata.ino()),
            made: metadata.created().ok(),
        })
    }
}

/// Where an instance's component is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Within the host.
    Bundled(String),
    /// In the plugin directory.
    File(Stamp),
    /// Nowhere, and where it was looked for.
    Missing(String),
}

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

/// The files that may define instances, by name. Hidden files, such as editors and mounts leave behind, are none; nor are names that are not UTF-8.
fn files(dir: &Path) -> io::Result<BTreeMap<String, Stamp>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let stem = name.strip_suffix(".wasm").or_else(|| name.strip_suffix(".toml")).unwrap_or_default();
        if stem.is_empty() || name.starts_with('.') {
            continue;
        }
        // A link that leads nowhere, or a file that has just gone, is as good as none.
        let Ok(metadata) = std::fs::metadata(&path) else { continue };
        if metadata.is_file() {
            files.insert(name.to_owned(), Stamp::of(&path, &metadata));
        }
    }
    Ok(files)
}

fn read_manifest(toml: &Stamp) -> Result<Manifest, String> {
    let wrong = |why: String| format!("{}: {why}", toml.path.display());
    if toml.bytes > manifest::MAX_BYTES {
        return Err(wrong(format!("it has {} bytes; at most {} are read", toml.bytes, manifest::MAX_BYTES)));
    }
    let text = std::fs::read_to_string(&toml.path).map_err(|error| wrong(format!("it cannot be read: {error}")))?;
    Manifest::parse(&text).map_err(|error| wrong(format!("{error:#}")))
}

/// Where the component of the instance `name` is.
fn source(name: &str, component: Option<&str>, files: &BTreeMap<String, Stamp>) -> Source {
    let file = component.map_or_else(|| format!("{name}.wasm"), str::to_owned);
    if let Some(stamp) = files.get(&file) {
        return Source::File(stamp.clone());
    }
    let bundled = component.unwrap_or(name);
    if Bundled::bytes(bundled).is_some() {
        return Source::Bundled(bundled.to_owned());
    }
    let looked = if component.is_some() { "component names it" } else { "component would name another" };
    Source::Missing(format!("there is neither a file {file} in the plugin directory nor a bundled plugin {bundled:?} ({looked})"))
}

impl Source {
    /// The component's bytes.
    ///
    /// # Errors
    /// Why they cannot be had.
    pub fn read(&self, limits: &Limits, counters: &Counters) -> anyhow::Result<std::borrow::Cow<'static, [u8]>> {
        match self {
            Source::Bundled(name) => Ok(Bundled::bytes(name).with_context(|| format!("there is no bundled plugin {name:?}"))?.into()),
            Source::Missing(why) => Err(anyhow::anyhow!("{why}")),
            Source::File(stamp) => {
                // Looked at again: a file that grows is not to fill the memory.
                let bytes = std::fs::metadata(&stamp.path).with_context(|| format!("{} cannot be read", stamp.path.display()))?.len();
                if bytes > limits.component_bytes as u64 {
                    counters.hit(Limit::ComponentBytes);
                    let limit = limits.words(Limit::ComponentBytes);
                    anyhow::bail!("{} has {bytes} bytes, more than its limit of {limit}", stamp.path.display());
                }
                Ok(std::fs::read(&stamp.path).with_context(|| format!("{} cannot be read", stamp.path.display()))?.into())
            }
        }
    }

    /// For people.
    pub fn describe(&self) -> String {
        match self {
            Source::Bundled(name) => format!("bundled {name}"),
            Source::File(stamp) => stamp.path.display().to_string(),
            Source::Missing(_) => "missing".into(),
        }
    }
}

#[cfg(test)]
mod tests;
