//! From a file's bytes to a component that can be started.

use std::sync::Arc;

use anyhow::{Context, bail};
use wasmtime::component::{InstancePre, Linker};

use super::bindings::Exporter;
use super::guest_state::GuestState;
use super::{Compiler, Engine, Origin, surface};

/// The largest component file, in bytes.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// The beginning of a core module and of a component: the same magic number, another version.
const MAGIC: &[u8] = b"\0asm";
const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// A compiled component, linked to the host and checked against the contract. Starting an instance of it takes microseconds.
#[derive(Clone)]
pub struct Component {
    pub(super) name: Arc<str>,
    pub(super) engine: Engine,
    pub(super) pre: InstancePre<GuestState>,
}

impl std::fmt::Debug for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Component").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Component {
    /// Makes a component of `wasm`, the exporter called `name`; see [`Compiler::component`].
    ///
    /// # Errors
    /// Anything that keeps it from being an exporter of this host, in words for the operator.
    pub(super) fn compile(compiler: &Compiler, name: &str, wasm: &[u8]) -> anyhow::Result<(Component, Origin)> {
        let engine = compiler.engine();
        if wasm.len() > MAX_BYTES {
            bail!("plugin {name:?}: the file has {} bytes; at most {MAX_BYTES} are loaded", wasm.len());
        }
        if !wasm.starts_with(MAGIC) {
            bail!("plugin {name:?}: this is no WebAssembly file; expected a component, as built with --target wasm32-wasip2");
        }
        if wasm.starts_with(CORE_MODULE) {
            bail!(
                "plugin {name:?}: this is a core module; expected a component. Build with --target wasm32-wasip2, or make a component of it with wasm-tools component new"
            );
        }
        let (component, origin) = compiler.code(wasm).with_context(|| format!("plugin {name:?}"))?;
        let ty = component.component_type();
        if let Some(missing) = surface::missing(&ty, &engine.wasmtime) {
            bail!("plugin {name:?} does not fit this host: {missing}");
        }
        if let Some(wrong) = not_an_exporter(&ty, &engine.wasmtime) {
            bail!("plugin {name:?}: {wrong}");
        }
        let linker = linker(engine)?;
        let pre = linker
            .instantiate_pre(&component)
            .map_err(anyhow::Error::from)
            .with_context(|| format!("plugin {name:?} needs something that this host does not offer"))?;
        let component = Component {
            name: name.into(),
            engine: engine.clone(),
            pre,
        };
        Ok((component, origin))
    }
}

fn linker(engine: &Engine) -> anyhow::Result<Linker<GuestState>> {
    let mut linker = Linker::new(&engine.wasmtime);
    let wasi = wasmtime_wasi::p2::add_to_linker_sync(&mut linker);
    let linked = wasi.and_then(|()| Exporter::add_to_linker::<_, wasmtime::component::HasSelf<GuestState>>(&mut linker, |state| state));
    linked.map_err(anyhow::Error::from).context("the host's own functions cannot be linked")?;
    Ok(linker)
}

/// What is wrong with the exports, if anything.
fn not_an_exporter(ty: &wasmtime::component::types::Component, engine: &wasmtime::Engine) -> Option<String> {
    let exports: Vec<String> = ty.exports(engine).map(|(name, _)| name.to_owned()).collect();
    let has = |interface: &str| exports.iter().any(|name| name.starts_with(&format!("meshtrace:plugin/{interface}@")));
    if has("trace-exporter") {
        return None;
    }
    if has("trace-filter") {
        return Some("this is a filter; this version of meshtrace runs exporters only".into());
    }
    Some(format!("it exports {exports:?}; expected meshtrace:plugin/trace-exporter"))
}
