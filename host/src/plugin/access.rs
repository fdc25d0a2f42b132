//! What a plugin was denied, in words, with the line that would grant it.

use std::collections::HashMap;
use std::sync::Arc;

use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;
use wasmtime_wasi::p2::{FsError, FsResult};

use super::text::{head, visible};
use super::{Counters, Denial, DirGrant, Setup};

/// Bytes of a path or a name that are shown.
const NAME_BYTES: usize = 256;
/// Bytes of a place that are remembered: a guest may go down from handle to handle for ever.
const PLACE_BYTES: usize = 1024;

/// One instance's access to what is outside of it.
pub(super) struct Access {
    plugin: Arc<str>,
    counters: Arc<Counters>,
    dirs: Vec<DirGrant>,
    has_environment: bool,
    /// What the guest calls the directories and files that it holds, by handle. Handles are few, and are used again.
    held: HashMap<u32, String>,
}

impl Access {
    pub fn new(setup: &Setup) -> Access {
        Access {
            plugin: Arc::clone(&setup.name),
            counters: Arc::clone(&setup.counters),
            dirs: setup.grants.dirs.clone(),
            has_environment: !setup.grants.env.is_empty(),
            held: HashMap::new(),
        }
    }

    fn deny(&self, what: String, grant: String) {
        let denial = Denial { what, grant };
        let Denial { what, grant } = &denial;
        let told = if grant.is_empty() {
            format!("{what} was denied; nothing grants it")
        } else {
            format!("{what} was denied; what grants it: {grant}")
        };
        if self.counters.deny(denial) {
            tracing::info!(plugin = &*self.plugin, "{told}");
        }
    }

    /// The guest asks for its environment, which comes as a whole: what it looks for in it cannot be seen.
    pub fn asks_for_environment(&self) {
        if !self.has_environment {
            self.deny("the environment".into(), "env = [\"NAME\"]".into());
        }
    }

    /// The guest asks which directories it has: languages do before the first file is opened.
    pub fn asks_for_directories(&self) {
        if self.dirs.is_empty() {
            self.deny("files".into(), "dirs = [{ path = \"/on/this/host\" }]".into());
        }
    }

    /// The guest wants a socket, or the address of a name. Nothing grants that: `http` is the way out.
    pub fn asks_for_network(&self, what: &str) {
        self.deny(visible(head(what, NAME_BYTES)), String::new());
    }

    /// The guest was given this directory or file.
    pub fn holds(&mut self, handle: u32, place: String) {
        self.held.insert(handle, place);
    }

    /// What the guest would call `path` in the directory that it holds as `handle`.
    pub fn place(&self, handle: u32, path: &str) -> String {
        let dir = self.held.get(&handle).map_or("", String::as_str);
        let path = visible(head(path, NAME_BYTES));
        let place = if path.starts_with('/') { path } else { format!("{}/{path}", dir.trim_end_matches('/')) };
        if place.len() > PLACE_BYTES { format!("{}…", head(&place, PLACE_BYTES)) } else { place }
    }

    /// What the guest gets for what it tried at `place`.
    pub fn settle<T>(&self, result: FsResult<T>, place: &str, writes: bool) -> wasmtime::Result<Result<T, ErrorCode>> {
        let code = match result {
            Ok(done) => return Ok(Ok(done)),
            Err(error) => FsError::downcast(error)?,
        };
        if code == ErrorCode::NotPermitted {
            match self.dirs.iter().find(|dir| !dir.write && place.starts_with(&dir.guest)).filter(|_| writes) {
                Some(DirGrant { host, guest, .. }) => {
                    self.deny(format!("writing to {place}"), format!("dirs = [{{ path = {host:?}, as = {guest:?}, access = \"write\" }}]"));
                }
                None => self.deny(format!("{place}, which leads out of its directory"), String::new()),
            }
        }
        Ok(Err(code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_remembered_up_to_its_bound_however_deep_it_is() {
        let mut access = Access {
            plugin: "p".into(),
            counters: Arc::default(),
            dirs: Vec::new(),
            has_environment: false,
            held: HashMap::from([(1, "/out".to_owned())]),
        };
        assert_eq!(access.place(1, "a/b"), "/out/a/b");
        for _ in 0..1_000 {
            let place = access.place(1, "./././.");
            access.holds(1, place);
        }
        let place = access.place(1, &"x".repeat(1_000));
        assert!(place.starts_with("/out/./.") && place.ends_with('…') && place.len() <= PLACE_BYTES + '…'.len_utf8(), "{place}");
        let hidden = access.place(1, &format!("/{}", "\u{202e}".repeat(1_000)));
        assert!(hidden.len() <= PLACE_BYTES + '…'.len_utf8(), "{hidden}");
    }
}
