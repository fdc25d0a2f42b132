//! The plugins there are: those bundled with the host, and `*.wasm` in the plugin directory, which go before bundled ones of the same name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Components that the host carries. They are ordinary plugins: whoever reads their source learns how to write one.
pub struct Bundled;

impl Bundled {
    const ALL: [(&'static str, &'static [u8]); 3] = [
        ("console", include_bytes!(concat!(env!("OUT_DIR"), "/console.wasm"))),
        ("json", include_bytes!(concat!(env!("OUT_DIR"), "/json.wasm"))),
        ("stats", include_bytes!(concat!(env!("OUT_DIR"), "/stats.wasm"))),
    ];

    /// The names of the bundled plugins.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().map(|(name, _)| *name)
    }
}

/// Names, and where to find each.
#[derive(Debug)]
pub struct Library {
    files: BTreeMap<String, PathBuf>,
}

impl Library {
    /// Looks through the plugin directory, if there is one.
    ///
    /// # Errors
    /// A directory that was asked for and cannot be read.
    pub fn open(dir: Option<&Path>) -> anyhow::Result<Library> {
        let mut files = BTreeMap::new();
        if let Some(dir) = dir {
            let read = || format!("MESHTRACE_PLUGIN_DIR={}: the directory cannot be read", dir.display());
            for entry in std::fs::read_dir(dir).with_context(read)? {
                let path = entry.with_context(read)?.path();
                let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
                let is_plugin = path.extension().is_some_and(|extension| extension == "wasm") && !name.is_empty() && !name.starts_with('.');
                if is_plugin && path.is_file() {
                    files.insert(name.to_owned(), path);
                }
            }
        }
        Ok(Library { files })
    }

    /// The names of the plugins in the directory.
    pub fn dropped_in(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// All names, each once.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Bundled::names().map(str::to_owned).chain(self.files.keys().cloned()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// The bytes of the plugin called `name`.
    ///
    /// # Errors
    /// No such plugin, or a file that cannot be read.
    pub fn read(&self, name: &str) -> anyhow::Result<std::borrow::Cow<'static, [u8]>> {
        if let Some(path) = self.files.get(name) {
            let bytes = std::fs::read(path).with_context(|| format!("plugin {name:?}: {} cannot be read", path.display()))?;
            return Ok(bytes.into());
        }
        let bundled = Bundled::ALL.iter().find(|(own, _)| *own == name).map(|(_, bytes)| (*bytes).into());
        bundled.with_context(|| format!("there is no plugin {name:?}; there are {}", self.names().join(", ")))
    }
}
