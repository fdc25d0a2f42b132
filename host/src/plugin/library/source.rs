//! Where components come from.

use std::collections::BTreeMap;

use anyhow::Context;
use memchr::memmem;

use super::files::{Stamp, read_at_most};
use crate::plugin::{Counters, Limit, Limits};

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

    /// The names of those that are exporters; the others are filters.
    pub fn exporters() -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().filter(|(_, wasm)| !exports_a_filter(wasm)).map(|(name, _)| *name)
    }

    /// The bundled component called `name`.
    pub(in crate::plugin) fn bytes(name: &str) -> Option<&'static [u8]> {
        Self::ALL.iter().find(|(own, _)| *own == name).map(|(_, bytes)| *bytes)
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

/// Where the component of the instance `name` is.
pub(super) fn source(name: &str, component: Option<&str>, files: &BTreeMap<String, Stamp>) -> Source {
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

/// What a filter exports, whichever version of the contract it was built for. A component has its exports' names in it as they are.
const FILTER: &[u8] = b"meshtrace:plugin/trace-filter@";

fn exports_a_filter(wasm: &[u8]) -> bool {
    memmem::find(wasm, FILTER).is_some()
}

impl Source {
    /// Whether it may be a filter: looked at without compiling it, so something else may look like one. Reads the file.
    pub fn may_be_filter(&self, limits: &Limits) -> bool {
        // What cannot be read is none, and is told and counted when it is loaded.
        self.read(limits, &Counters::default()).is_ok_and(|wasm| exports_a_filter(&wasm))
    }

    /// The component's bytes.
    ///
    /// # Errors
    /// Why they cannot be had.
    pub fn read(&self, limits: &Limits, counters: &Counters) -> anyhow::Result<std::borrow::Cow<'static, [u8]>> {
        match self {
            Source::Bundled(name) => Ok(Bundled::bytes(name).with_context(|| format!("there is no bundled plugin {name:?}"))?.into()),
            Source::Missing(why) => Err(anyhow::anyhow!("{why}")),
            Source::File(stamp) => {
                let (path, max) = (stamp.path.display(), limits.component_bytes as u64);
                let unreadable = || format!("{path} cannot be read");
                let refused = |bytes: &str| {
                    counters.hit(Limit::ComponentBytes);
                    anyhow::anyhow!("{path} has {bytes}, more than its limit of {}", limits.words(Limit::ComponentBytes))
                };
                let bytes = std::fs::metadata(&stamp.path).with_context(unreadable)?.len();
                if bytes > max {
                    return Err(refused(&format!("{bytes} bytes")));
                }
                let read = read_at_most(&stamp.path, max).with_context(unreadable)?;
                Ok(read.ok_or_else(|| refused("bytes without end"))?.into())
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
