//! Compiled components on disk, so that a restart compiles nothing.
//!
//! An entry is one file, `<engine>-<component>.compiled`. Its name and its head hold the sha256 of the component and of everything that
//! shapes its machine code: this file format, and what the engine says itself (its version, settings and processor features). So a
//! changed component, another host or another machine looks for other entries, and finds none.
//!
//! # What is trusted
//! Machine code that is loaded runs with all that this process may do; nothing checks it. Whoever can make us load an entry has the
//! host. What stands in the way:
//!
//! - **Other users**: the directory and the entry must belong to the user whom we run as, the directory must not be writable by others, the
//!   entry must be ours alone, and neither may be a symbolic link. Only we can have written it then.
//! - **Time between check and use**: owner and rights are those of the open file, and it is read once, checked in memory, and those very
//!   bytes are loaded. It is not mapped: a file that changes later would change running code.
//! - **Damage**, such as a full disk, a crash while writing or a flipped bit: the head has the length and the sha256 of the code. Nothing is
//!   synced to disk, since an entry cut short by a crash is found out and costs one compilation.
//! - **Plugins**: one with write access to this directory could leave the sandbox by writing an entry. [`Cache::lies_in`] tells whether a
//!   directory about to be granted holds the cache; then either must go elsewhere.
//!
//! There is no key and no signature. A process of our own user could read the key just as it can write the entry (or change the program,
//! or attach a debugger), and everybody else is kept out by owner and rights: a key would protect from nobody.
//!
//! Whatever is wrong costs one line in the log and one compilation, never a start.

mod entry;
mod place;
mod sweep;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

// The engine's component; ours is linked to the host besides.
use wasmtime::component::Component as Code;

use super::Engine;
use entry::{Digest, HEAD_BYTES};
use place::Place;

/// All entries together. A Python or JavaScript component has about 37 MB, one in Rust 0.2 to 2 MB.
const MAX_BYTES: u64 = 1 << 30;

/// The compiled components of one engine, in a directory.
pub struct Cache {
    place: Place,
    engine: wasmtime::Engine,
    engine_id: Digest,
    max_bytes: u64,
    /// Whether it has been said that the directory cannot be used; what stays wrong is said once.
    complained: AtomicBool,
}

/// Which component an entry is of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key(Digest);

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Cache {
    /// A cache in `dir`, which is made when it is missing. Removes what other versions left there and nobody uses.
    pub fn open(dir: PathBuf, engine: &Engine) -> Cache {
        Cache::bounded(dir, engine, MAX_BYTES)
    }

    fn bounded(dir: PathBuf, engine: &Engine, max_bytes: u64) -> Cache {
        let engine_id = entry::engine_id(&engine.wasmtime);
        let cache = Cache {
            place: Place::new(dir),
            engine: engine.wasmtime.clone(),
            engine_id,
            max_bytes,
            complained: AtomicBool::new(false),
        };
        if cache.is_usable() {
            sweep::sweep(&cache.place, &cache.engine_id, cache.max_bytes);
        }
        cache
    }

    /// Whether `granted`, a directory that a plugin would be allowed to write, holds the cache in `dir`.
    pub fn lies_in(dir: &Path, granted: &Path) -> bool {
        place::real_path(dir).starts_with(place::real_path(granted))
    }

    pub(super) fn key(&self, wasm: &[u8]) -> Key {
        Key(entry::sha256(&[wasm]))
    }

    /// The machine code of a component, if it is there and can be believed.
    pub(super) fn load(&self, key: Key) -> Option<Code> {
        if !self.is_usable() {
            return None;
        }
        let name = entry::name(&self.engine_id, &key.0);
        let refused = |reason: String| {
            let path = self.place.path(&name);
            tracing::warn!("the compiled plugin in {} is not used: {reason}; it is compiled anew", path.display());
            // It may be that only reading is possible; then it stays, and is refused again by the next start.
            self.place.remove(&name);
        };
        let file = self.place.read(&name, self.max_bytes).map_err(refused).ok()??;
        let code = entry::code(&file, &self.engine_id, &key.0).map_err(|reason| refused(reason.to_owned())).ok()?;
        #[expect(unsafe_code, reason = "the engine cannot check machine code; see the head of this module for what is checked instead")]
        // SAFETY: these bytes are what `store` got from the same version of wasmtime with the same settings, for the same component: the head
        // says so, and the code has the sha256 that the head has. They are ours in memory, so they stay as they were checked. That nobody
        // else made both head and code is what owner and rights of the file say.
        let loaded = unsafe { Code::deserialize(&self.engine, code) };
        loaded.map_err(|error| refused(format!("the engine refuses it: {error:#}"))).ok()
    }

    /// Keeps the machine code of a component, if that is possible.
    pub(super) fn store(&self, key: Key, code: &Code) {
        if !self.is_usable() {
            return;
        }
        let written = code.serialize().map_err(|error| format!("{error:#}")).and_then(|code| self.write(key, &code));
        if let Err(reason) = written {
            self.complain(&reason);
        }
    }

    fn write(&self, key: Key, code: &[u8]) -> Result<(), String> {
        let bytes = (HEAD_BYTES + code.len()) as u64;
        let Some(room) = self.max_bytes.checked_sub(bytes) else {
            return Err(format!("an entry would have {bytes} bytes, more than all may have together ({})", self.max_bytes));
        };
        sweep::sweep(&self.place, &self.engine_id, room);
        let head = entry::head(&self.engine_id, &key.0, code);
        self.place.write(&entry::name(&self.engine_id, &key.0), &[&head, code]).map_err(|error| error.to_string())
    }

    fn is_usable(&self) -> bool {
        self.place.check().map_err(|reason| self.complain(&reason)).is_ok()
    }

    fn complain(&self, reason: &str) {
        if !self.complained.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "compiled plugins are not kept in {}: {reason}; they are compiled again at each start. MESHTRACE_CACHE_DIR takes another directory, or off",
                self.place.dir().display()
            );
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) use tests::empty_component;
