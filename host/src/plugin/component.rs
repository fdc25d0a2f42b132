//! From a file's bytes to a component that can be started.

use anyhow::{Context, anyhow, bail};
use sha2::{Digest, Sha256};
use wasmtime::component::{HasSelf, InstancePre, Linker};

use super::bindings::Exporter;
use super::guest::Exports;
use super::guest_state::GuestState;
use super::{Compiler, Engine, Origin, surface, wasi};

/// The beginning of a core module and of a component: the same magic number, another version.
const MAGIC: &[u8] = b"\0asm";
const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// The SHA-256 of a file's bytes, hex.
pub(super) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a plugin is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It takes traces.
    Exporter,
    /// It decides on traces.
    Filter,
}

impl Kind {
    /// One lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Exporter => "exporter",
            Kind::Filter => "filter",
        }
    }
}

/// A compiled component, linked to the host and checked against the contract. Starting an instance of it takes microseconds.
#[derive(Clone)]
pub struct Component {
    pub(super) engine: Engine,
    pub(super) pre: InstancePre<GuestState>,
    pub(super) exports: Exports,
}

impl std::fmt::Debug for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Component").field("kind", &self.kind()).finish_non_exhaustive()
    }
}

impl Component {
    /// Makes a component of `wasm`, the plugin called `name`; see [`Compiler::component`].
    ///
    /// # Errors
    /// Anything that keeps it from being a plugin of this host, in words for the operator.
    pub(super) fn compile(compiler: &Compiler, name: &str, wasm: &[u8]) -> anyhow::Result<(Component, Origin)> {
        if !wasm.starts_with(MAGIC) {
            bail!("plugin {name:?}: this is no WebAssembly file; expected a component, as built with --target wasm32-wasip2");
        }
        if wasm.starts_with(CORE_MODULE) {
            bail!(
                "plugin {name:?}: this is a core module; expected a component. Build with --target wasm32-wasip2, or make a component of it with wasm-tools component new"
            );
        }
        let (code, origin) = compiler.code(wasm).with_context(|| format!("plugin {name:?}"))?;
        Ok((Component::link(compiler.engine(), name, &code)?, origin))
    }

    /// Checks `component`, the plugin called `name`, against the contract and links it to the host.
    ///
    /// # Errors
    /// It is none of this host's plugins, or it needs what this host does not have.
    pub(super) fn link(engine: &Engine, name: &str, component: &wasmtime::component::Component) -> anyhow::Result<Component> {
        let ty = component.component_type();
        if let Some(missing) = surface::missing(&ty, &engine.wasmtime) {
            bail!("plugin {name:?} does not fit this host: {missing}");
        }
        let kind = kind(&ty, &engine.wasmtime).map_err(|wrong| anyhow!("plugin {name:?}: {wrong}"))?;
        let linker = linker(engine)?;
        let pre = linker
            .instantiate_pre(component)
            .map_err(anyhow::Error::from)
            .with_context(|| format!("plugin {name:?} needs something that this host does not offer"))?;
        let exports = Exports::find(&pre, kind)
            .map_err(anyhow::Error::from)
            .with_context(|| format!("plugin {name:?}: what it exports is not what the contract says"))?;
        Ok(Component { engine: engine.clone(), pre, exports })
    }

    /// What it is for.
    pub fn kind(&self) -> Kind {
        self.exports.kind()
    }
}

pub(super) fn linker(engine: &Engine) -> anyhow::Result<Linker<GuestState>> {
    let mut linker = Linker::new(&engine.wasmtime);
    let wasi = wasi::link(&mut linker);
    let http = wasi.and_then(|()| wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker));
    // Filters import what exporters do.
    let linked = http.and_then(|()| Exporter::add_to_linker::<_, HasSelf<GuestState>>(&mut linker, |state| state));
    linked.map_err(anyhow::Error::from).context("the host's own functions cannot be linked")?;
    Ok(linker)
}

/// What the exports make of it, or what is wrong with them.
fn kind(ty: &wasmtime::component::types::Component, engine: &wasmtime::Engine) -> Result<Kind, String> {
    let exports: Vec<String> = ty.exports(engine).map(|(name, _)| name.to_owned()).collect();
    let has = |interface: &str| exports.iter().any(|name| name.starts_with(&format!("meshtrace:plugin/{interface}@")));
    match (has("trace-exporter"), has("trace-filter")) {
        (true, false) => Ok(Kind::Exporter),
        (false, true) => Ok(Kind::Filter),
        (true, true) => Err("it exports both trace-exporter and trace-filter; a plugin is one of them".into()),
        (false, false) => Err(format!("it exports {exports:?}; expected meshtrace:plugin/trace-exporter or meshtrace:plugin/trace-filter")),
    }
}
