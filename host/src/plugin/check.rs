//! Looks at a component without letting it do anything: for `meshtrace plugin check`.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::bail;
use tokio::runtime::Handle as Runtime;

use super::running::Running;
use super::{About, Compiler, Counters, Found, Grants, Kind, Manifest, Setup, component};

/// What a component is, and what it would like to do.
#[derive(Debug)]
pub struct Checked {
    /// What it is for.
    pub kind: Kind,
    /// What it says about itself.
    pub about: About,
    /// Size, bytes.
    pub bytes: usize,
    /// SHA-256, hex.
    pub digest: String,
    /// Whether it can report what it has seen.
    pub reports: bool,
    /// Whether it has a state that its successor takes over.
    pub has_state: bool,
    /// What it imports that is denied unless granted. Toolchains import what is never called.
    pub needs: BTreeSet<Need>,
}

/// Something that a plugin has to be granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Environment variables.
    Environment,
    /// Directories.
    Files,
    /// HTTP requests.
    Http,
    /// The host's standard output.
    Stdout,
    /// Network sockets, which nothing grants.
    Sockets,
}

impl Need {
    fn of(import: &str) -> Option<Need> {
        let (interface, _) = import.split_once('@').unwrap_or((import, ""));
        let (package, name) = interface.split_once('/')?;
        match (package, name) {
            ("wasi:cli", "environment") => Some(Need::Environment),
            ("wasi:cli", "stdout") => Some(Need::Stdout),
            ("wasi:filesystem", _) => Some(Need::Files),
            ("wasi:http", "outgoing-handler") => Some(Need::Http),
            ("wasi:sockets", _) => Some(Need::Sockets),
            _ => None,
        }
    }

    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Need::Environment => "environment variables",
            Need::Files => "files",
            Need::Http => "HTTP requests",
            Need::Stdout => "standard output",
            Need::Sockets => "network sockets",
        }
    }

    /// The line of `[permissions]` that grants it.
    pub fn grant(self) -> Option<&'static str> {
        match self {
            Need::Environment => Some("env = [\"NAME\"]"),
            Need::Files => Some("dirs = [{ path = \"/on/this/host\" }]"),
            Need::Http => Some("http = [\"host:port\"]"),
            Need::Stdout => Some("stdout = true"),
            Need::Sockets => None,
        }
    }
}

/// Looks at the component that `found` defines under `name`: compiles it, checks it against the contract, asks it to describe itself, with nothing
/// granted, and checks its config. It is not initialised.
///
/// # Errors
/// Why this host does not take it, in words for the operator.
pub fn check(compiler: &Compiler, runtime: &Runtime, name: &str, found: &Found) -> anyhow::Result<Checked> {
    let manifest = found.manifest.clone().map_err(anyhow::Error::msg)?;
    let counters: Arc<Counters> = Arc::default();
    let wasm = found.source.read(&manifest.limits, &counters)?;
    let (component, _) = compiler.component(name, &wasm)?;
    let setup = Setup {
        name: name.into(),
        config: manifest.config.clone().unwrap_or_else(|| "{}".into()),
        grants: Grants::default(),
        limits: manifest.limits.clone(),
        counters,
        runtime: runtime.clone(),
    };
    let about = Running::describe(&component, &setup)?;
    fits(&manifest, &about, component.kind())?;
    let imports = component.pre.component().component_type();
    let imports = imports.imports(&compiler.engine().wasmtime);
    Ok(Checked {
        kind: component.kind(),
        about,
        bytes: wasm.len(),
        digest: component::digest(&wasm),
        reports: component.exports.has_report(),
        has_state: component.exports.has_state(),
        needs: imports.filter_map(|(name, _)| Need::of(name)).collect(),
    })
}

/// Whether a plugin of this kind can run on these terms.
///
/// # Errors
/// Which term it is, and why not.
pub(super) fn fits(manifest: &Manifest, about: &About, kind: Kind) -> anyhow::Result<()> {
    let instances = manifest.instances;
    if instances > 1 && kind == Kind::Filter {
        bail!("instances = {instances}: filters decide in order, one at a time");
    }
    if instances > 1 && !about.parallel {
        bail!("instances = {instances}: the plugin says that only one of it may run");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_told_by_what_has_to_be_granted() {
        for (import, need) in [
            ("wasi:cli/environment@0.2.3", Some(Need::Environment)),
            ("wasi:cli/stdout@0.2.12", Some(Need::Stdout)),
            ("wasi:cli/stderr@0.2.12", None),
            ("wasi:cli/terminal-stdout@0.2.0", None),
            ("wasi:filesystem/preopens@0.2.0", Some(Need::Files)),
            ("wasi:http/outgoing-handler@0.2.0", Some(Need::Http)),
            ("wasi:http/types@0.2.0", None),
            ("wasi:sockets/tcp", Some(Need::Sockets)),
            ("wasi:clocks/monotonic-clock@0.2.0", None),
            ("meshtrace:plugin/traces@0.1.0", None),
            ("odd", None),
        ] {
            assert_eq!(Need::of(import), need, "{import}");
        }
    }
}
