//! What an instance is made from, beside its component.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::text::Reader;
use super::{Counters, Grants, Limits};

/// What one plugin is given: the same for its first instance and for all that replace it.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The plugin's name.
    pub name: Arc<str>,
    /// What `init` gets: a JSON object.
    pub config: String,
    /// What it may do.
    pub grants: Grants,
    /// How much of everything.
    pub limits: Limits,
    /// Where it is counted.
    pub counters: Arc<Counters>,
    /// Where its waiting is done: timers, sockets.
    pub runtime: Handle,
}

impl Setup {
    /// Makes the plugin's texts fit to be read.
    pub(super) fn reader(&self) -> Reader<'_> {
        Reader {
            limits: &self.limits,
            counters: &self.counters,
        }
    }
}
