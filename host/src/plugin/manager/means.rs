//! What the manager works with.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::runtime::Handle as Runtime;

use crate::plugin::{Library, Registry, Settings};
use crate::{export, filter};

/// What the manager works with.
pub struct Means {
    /// The plugin directory.
    pub library: Library,
    /// Where compiled code is kept, if anywhere.
    pub cache_dir: Option<PathBuf>,
    /// Plugins that run whatever lies there.
    pub selected: BTreeSet<String>,
    /// What plugins get by name.
    pub settings: Settings,
    /// Told of everything.
    pub registry: Arc<Registry>,
    /// Where exporters run.
    pub exporters: export::Handle,
    /// Where filters run.
    pub filters: filter::Handle,
    /// What runs waiting of guests.
    pub runtime: Runtime,
}
