//! Looks at a component without letting it do anything: for `meshtrace plugin check`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::bail;
use tokio::runtime::Handle as Runtime;

use super::running::Running;
use super::{About, Cache, Compiler, Counters, Found, Grants, Kind, Manifest, Settings, Setup, Terms, component};

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
    /// On which terms it would start.
    pub terms: Terms,
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
/// granted, and checks its config. It is not initialised. Of the `guarded` directories none may be written by plugins.
///
/// # Errors
/// Why this host does not take it, in words for the operator.
pub fn check(
    compiler: &Compiler,
    runtime: &Runtime,
    guarded: &[PathBuf],
    settings: &Settings,
    name: &str,
    found: &Found,
) -> anyhow::Result<Checked> {
    let manifest = found.manifest.clone().map_err(anyhow::Error::msg)?;
    let terms = Terms::new(name, &manifest, &found.source, settings)?;
    if !terms.granted_by_settings {
        guard(name, &terms.grants, guarded)?;
    }
    let counters: Arc<Counters> = Arc::default();
    let wasm = found.source.read(&manifest.limits, &counters)?;
    let (component, _) = compiler.component(name, &wasm)?;
    let setup = Setup {
        name: name.into(),
        config: terms.config.clone(),
        grants: Grants::default(),
        limits: manifest.limits.clone(),
        counters,
        runtime: runtime.clone(),
    };
    let about = Running::describe(&component, &setup)?;
    fits(name, &manifest, &about, component.kind())?;
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
        terms,
    })
}

/// A plugin that could write where plugins, their `.toml` or their compiled code lie could grant itself everything.
///
/// # Errors
/// It is granted to write there.
pub(super) fn guard(name: &str, grants: &Grants, guarded: &[PathBuf]) -> anyhow::Result<()> {
    let Some((dir, guarded)) = writes_into(grants, guarded).next() else { return Ok(()) };
    let (dir, guarded) = (dir.display(), guarded.display());
    bail!(
        "plugin {name:?}: it is to write in {dir}, where {guarded} lies: whoever writes there decides what plugins run and what they may do; choose another directory"
    )
}

/// Granted directories to write in which one of the `guarded` lies.
pub(super) fn writes_into<'a>(grants: &'a Grants, guarded: &'a [PathBuf]) -> impl Iterator<Item = (&'a Path, &'a Path)> {
    let writable = grants.dirs.iter().filter(|dir| dir.write).map(|dir| dir.host.as_path());
    writable.filter_map(|dir| Some((dir, guarded.iter().find(|guarded| Cache::lies_in(guarded, dir))?.as_path())))
}

/// Whether the plugin called `name` can run on these terms. What it would not go by is refused, lest somebody relies on it.
///
/// # Errors
/// Which term it is, and why not.
pub(super) fn fits(name: &str, manifest: &Manifest, about: &About, kind: Kind) -> anyhow::Result<()> {
    let plain = Manifest::default();
    let Manifest {
        order,
        on_failure,
        max_traces,
        instances,
        queue,
        ..
    } = manifest;
    let wrong = match kind {
        Kind::Exporter if *order != plain.order => format!("order = {order}: this is an exporter, and only filters have an order"),
        Kind::Exporter if let Some(on_failure) = on_failure => format!(
            "on-failure = {:?}: this is an exporter, and only filters have that; required = false lets traces go on without it",
            on_failure.as_str()
        ),
        Kind::Exporter if *instances > 1 && !about.parallel => {
            format!("instances = {instances}: the plugin says that only one of it may run")
        }
        Kind::Filter if *instances > 1 => format!("instances = {instances}: filters decide in order, one at a time"),
        Kind::Filter if *queue != plain.queue => format!("queue = {queue}: this is a filter, and only exporters have a queue"),
        Kind::Filter if *max_traces != plain.max_traces => format!("max-traces = {max_traces}: this is a filter, which gets whole batches"),
        Kind::Exporter | Kind::Filter => return Ok(()),
    };
    bail!("plugin {name:?}: {wrong}")
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

    #[test]
    fn terms_that_a_plugin_would_not_go_by_are_refused() {
        let about = |parallel| About {
            name: "x".into(),
            version: "1".into(),
            config_schema: None,
            parallel,
        };
        for (kind, toml, refused) in [
            (Kind::Exporter, "", None),
            (Kind::Exporter, "queue = 8\nmax-traces = 3\nrequired = false", None),
            (Kind::Exporter, "order = 3", Some("order = 3: this is an exporter, and only filters have an order")),
            (
                Kind::Exporter,
                "on-failure = \"hold\"",
                Some(
                    "on-failure = \"hold\": this is an exporter, and only filters have that; required = false lets traces go on without it",
                ),
            ),
            (Kind::Exporter, "instances = 2", Some("instances = 2: the plugin says that only one of it may run")),
            (Kind::Filter, "order = -3\non-failure = \"pass\"\nrequired = false", None),
            (Kind::Filter, "instances = 2", Some("instances = 2: filters decide in order, one at a time")),
            (Kind::Filter, "queue = 8", Some("queue = 8: this is a filter, and only exporters have a queue")),
            (Kind::Filter, "max-traces = 3", Some("max-traces = 3: this is a filter, which gets whole batches")),
        ] {
            let manifest = Manifest::parse(toml).expect(toml);
            let said = fits("x", &manifest, &about(false), kind).err().map(|error| error.to_string());
            assert_eq!(said, refused.map(|refused| format!("plugin \"x\": {refused}")), "{toml}");
        }
        let many = Manifest::parse("instances = 2").expect("it is understood");
        assert!(fits("x", &many, &about(true), Kind::Exporter).is_ok());
    }
}
