//! One engine for all components, and the clock that ends calls which take too long.

use std::time::Duration;

use anyhow::Context;
use wasmtime::Config;

use super::limits::STACK_BYTES;

/// The engine's clock ticks this often; time limits of calls are rounded up to it.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// Compiles and runs components.
#[derive(Clone)]
pub struct Engine {
    pub(super) wasmtime: wasmtime::Engine,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine whose clock ticks as long as it lives.
    ///
    /// # Errors
    /// When this machine cannot run it, or has no thread for the clock.
    pub fn new() -> anyhow::Result<Engine> {
        let mut config = Config::new();
        config.wasm_component_model(true).epoch_interruption(true).max_wasm_stack(STACK_BYTES);
        let wasmtime =
            wasmtime::Engine::new(&config).map_err(anyhow::Error::from).context("the WebAssembly engine cannot run on this machine")?;
        let weak = wasmtime.weak();
        // Holds the engine weakly, so it ends by itself when the last component has gone.
        let clock = move || {
            while let Some(engine) = weak.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(TICK);
            }
        };
        drop(std::thread::Builder::new().name("plugin-clock".into()).spawn(clock).context("no thread for the plugins' clock")?);
        Ok(Engine { wasmtime })
    }
}
