//! From WebAssembly to machine code: out of the cache, or compiled where it delays nothing else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
// The engine's component; ours is linked to the host besides.
use wasmtime::component::Component as Code;

use super::{Cache, Component, Engine};

/// Components of more bytes than this take seconds to compile. They wait for each other, and smaller ones do not wait for them.
const LARGE_BYTES: usize = 1 << 20;
/// What compiling adds to the niceness of its threads: beside a busy pipeline it gets about a tenth of a processor.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// Makes components of files. Clones share one engine, one cache and the order of compilations.
#[derive(Debug, Clone)]
pub struct Compiler {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    engine: Engine,
    cache: Option<Cache>,
    /// Whose turn it is to compile: one small component at a time, and one large.
    small: Mutex<()>,
    large: Mutex<()>,
}

/// Where the machine code of a component came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It was compiled.
    Compiled {
        /// How long that took, without waiting for others.
        took: Duration,
    },
    /// It was in the cache.
    Cached {
        /// How long reading and checking it took.
        took: Duration,
    },
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Compiled { took } => write!(f, "compiled in {} ms", took.as_millis()),
            Origin::Cached { took } => write!(f, "read from the cache in {} ms", took.as_millis()),
        }
    }
}

impl Compiler {
    /// Compiles for `engine`, and keeps what it compiled if there is a cache.
    pub fn new(engine: Engine, cache: Option<Cache>) -> Compiler {
        let (small, large) = (Mutex::new(()), Mutex::new(()));
        Compiler {
            shared: Arc::new(Shared { engine, cache, small, large }),
        }
    }

    /// The engine that it compiles for.
    pub fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    /// Makes a component of `wasm`, the exporter called `name`. Blocks for as long as that takes: up to a minute for a Python or JavaScript
    /// component that is not in the cache, so never on a thread that others wait for.
    ///
    /// # Errors
    /// Anything that keeps it from being an exporter of this host, in words for the operator.
    pub fn component(&self, name: &str, wasm: &[u8]) -> anyhow::Result<(Component, Origin)> {
        Component::compile(self, name, wasm)
    }

    /// The machine code of `wasm`.
    ///
    /// # Errors
    /// What the engine says about a component that is not valid, or no thread to compile on.
    pub(super) fn code(&self, wasm: &[u8]) -> anyhow::Result<(Code, Origin)> {
        let Shared { engine, cache, small, large } = &*self.shared;
        let cached = cache.as_ref().map(|cache| (cache, cache.key(wasm)));
        let load = || {
            let begun = Instant::now();
            let code = cached.and_then(|(cache, key)| cache.load(key))?;
            Some((code, Origin::Cached { took: begun.elapsed() }))
        };
        if let Some(found) = load() {
            return Ok(found);
        }
        let lane = if wasm.len() > LARGE_BYTES { large } else { small };
        let _turn = lane.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever had the turn before may have compiled the same.
        if let Some(found) = load() {
            return Ok(found);
        }
        let begun = Instant::now();
        let compiled = in_background(|| Code::new(&engine.wasmtime, wasm))?;
        let code = compiled.map_err(anyhow::Error::from).context("the component is not valid; is the file complete?")?;
        let took = begun.elapsed();
        if let Some((cache, key)) = cached {
            cache.store(key, &code);
        }
        Ok((code, Origin::Compiled { took }))
    }
}

/// Runs `work` on threads that give way to all others: at most half as many as there are processors, gone when it is done. The engine
/// compiles functions in parallel on the pool that it is called from.
///
/// # Errors
/// When there are no threads to be had, or the compiler gave up on its input.
fn in_background<T: Send>(work: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads((processors / 2).max(1))
        .thread_name(|at| format!("compile-{at}"))
        .start_handler(|_| give_way())
        .build()
        .context("no threads to compile on")?;
    catch_unwind(AssertUnwindSafe(|| pool.install(work))).ok().context("the compiler panicked, which is a fault of its own")
}

/// Lowers the priority of this thread. Elsewhere than on Linux it would be that of the process.
fn give_way() {
    #[cfg(target_os = "linux")]
    {
        // Relative to the process, so that a host that was started as a nice one stays at least as nice.
        let niced = rustix::process::nice(NICENESS);
        if let Err(error) = niced {
            tracing::debug!(%error, "compiling keeps the priority of everything else");
        }
    }
}

#[cfg(test)]
mod tests;
