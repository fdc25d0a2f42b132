//! `meshtrace plugin check`: what a plugin is and wants, and whether this host takes it.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::cli::{print, runtime};
use crate::config::ExporterConfig;
use crate::exporters;
use crate::plugin::{Bundled, Checked, Compiler, DirGrant, Engine, Found, Grants, HttpGrant, Library, Manifest, Need, Source, check};

/// Prints what it finds out.
///
/// # Errors
/// Why this host does not take the plugin.
pub(super) fn run(which: &str, library: &mut Library, config: &ExporterConfig) -> anyhow::Result<()> {
    let (name, found) = find(which, library)?;
    let runtime = runtime()?;
    let guarded: Vec<PathBuf> = [&config.plugin_dir, &config.cache_dir].into_iter().flatten().cloned().collect();
    let settings = exporters::settings(config);
    let checked = check(&Compiler::new(Engine::new()?, None), runtime.handle(), &guarded, &settings, &name, &found)?;
    let manifest = found.manifest.unwrap_or_default();
    let has_toml = found.toml.is_some();
    print(&describe(&name, &found.source, has_toml.then_some(&manifest), &checked))?;
    if let Some(dir) = missing_dir(&manifest) {
        bail!("plugin {name:?}: the directory {} is granted and does not exist here", dir.display());
    }
    print("this host takes it; its init has not been run\n")
}

/// The plugin that is meant. A file is looked at as it would be in the plugin directory: with the `.toml` of its name.
fn find(which: &str, library: &mut Library) -> anyhow::Result<(String, Found)> {
    let path = Path::new(which);
    let is_file = which.contains('/') || [".wasm", ".toml"].iter().any(|suffix| which.ends_with(suffix));
    if !is_file {
        let mut found = library.look()?;
        let names = Library::names(&found).into_iter().collect::<Vec<_>>().join(", ");
        let bundled = Bundled::names().any(|own| own == which);
        let own = found.remove(which).or_else(|| bundled.then(|| Found::bundled(which)));
        return Ok((which.to_owned(), own.with_context(|| format!("there is no plugin {which:?}; expected a file, or one of {names}"))?));
    }
    let name = path.file_stem().and_then(|stem| stem.to_str()).with_context(|| format!("{which}: expected a file name in UTF-8"))?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::metadata(path).with_context(|| format!("{which} cannot be read"))?;
    let own = Library::new(Some(dir)).look()?.remove(name);
    // A component that is in other instances' service is looked at by itself.
    let found = own.map_or_else(|| Found::file(path), Ok)?;
    Ok((name.to_owned(), found))
}

fn missing_dir(manifest: &Manifest) -> Option<&Path> {
    let dirs = manifest.grants.iter().flat_map(|grants| &grants.dirs);
    dirs.map(|dir| dir.host.as_path()).find(|path| !path.is_dir())
}

/// What is printed. Without a `manifest` the plugin has no `.toml`.
fn describe(name: &str, source: &Source, manifest: Option<&Manifest>, checked: &Checked) -> String {
    let Checked {
        kind,
        about,
        bytes,
        digest,
        reports,
        has_state,
        needs,
        terms,
    } = checked;
    let optional: Vec<&str> = [("report", *reports), ("state", *has_state)].iter().filter(|(_, has)| *has).map(|(name, _)| *name).collect();
    let optional = if optional.is_empty() { "neither report nor state".to_owned() } else { optional.join(" and ") };
    let by_settings = terms.told_by.as_ref().map_or_else(|| "from the settings".to_owned(), |setting| format!("from {setting}"));
    let config = match (manifest.map(|manifest| manifest.config.is_some()), &about.config_schema) {
        (Some(true), Some(_)) => "as its schema says",
        (Some(true), None) => "given; it has no schema, so only its init can tell whether it is right",
        _ if terms.config != "{}" => &by_settings,
        (Some(false), _) => "none in its .toml",
        (None, _) => "none, as it has no .toml",
    };
    let mut text = String::new();
    for (key, value) in [
        ("name", name.to_owned()),
        ("kind", kind.as_str().to_owned()),
        ("describes itself as", format!("{} {}", about.name, about.version)),
        ("component", format!("{}, {bytes} bytes", source.describe())),
        ("sha256", digest.clone()),
        ("exports besides", optional),
        ("side by side", if about.parallel { "yes" } else { "no, one instance only" }.to_owned()),
        ("config", config.to_owned()),
    ] {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{key:<20} {value}");
    }
    let _ = writeln!(
        text,
        "{:<20} {}",
        "may use",
        if needs.is_empty() { "nothing that has to be granted" } else { "(it imports this, and may never call it)" }
    );
    for need in needs {
        let _ = writeln!(text, "  {:<24} {}", need.as_str(), granted(*need, &terms.grants));
    }
    if terms.granted_by_settings && terms.grants != Grants::default() {
        let _ = writeln!(text, "{:<20} {by_settings}", "grants");
    }
    if terms.withheld != Grants::default() {
        let lines = terms.withheld.lines().join(", ");
        let _ = writeln!(text, "{:<20} {lines} (the settings grant this to the bundled {name} only)", "not granted");
    }
    text
}

/// What is granted of it, or how it would be.
fn granted(need: Need, grants: &Grants) -> String {
    let dir = |dir: &DirGrant| format!("{} as {} to {}", dir.host.display(), dir.guest, if dir.write { "write" } else { "read" });
    let given: Vec<String> = match need {
        Need::Environment => grants.env.clone(),
        Need::Files => grants.dirs.iter().map(dir).collect(),
        Need::Http => grants.http.iter().map(HttpGrant::authority).collect(),
        Need::Stdout => grants.stdout.then(|| "the host's".to_owned()).into_iter().collect(),
        Need::Sockets => Vec::new(),
    };
    match need.grant() {
        _ if !given.is_empty() => format!("granted: {}", given.join(", ")),
        Some(line) if need == Need::Stdout => format!("goes to the log; not so with {line}"),
        Some(line) => format!("denied; granted by {line}"),
        None => "denied, whatever is granted".to_owned(),
    }
}
