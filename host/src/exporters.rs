//! Which plugins run, and with what: from configuration to started exporters.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use serde_json::json;
use tokio::runtime::Handle;

use crate::config::ExporterConfig;
use crate::export::{Worker, WorkerStatus};
use crate::plugin::{Bundled, Component, Counters, DirGrant, Engine, Grants, Instance, Kind, Library, Limits, Setup};

/// What the json exporter calls its directory.
const JSON_GUEST_DIR: &str = "/out";

/// Starts every exporter that `config` wants.
///
/// # Errors
/// The first that cannot be started: a name that is not there, a component that does not fit, what its `init` says.
pub fn start(config: &ExporterConfig, runtime: &Handle) -> anyhow::Result<Vec<Worker>> {
    let library = Library::open(config.plugin_dir.as_deref())?;
    let names = selected(config, &library)?;
    let engine = Engine::new()?;
    let mut workers = Vec::new();
    for name in names {
        let component = Component::compile(&engine, &name, &library.read(&name)?)?;
        if component.kind() != Kind::Exporter {
            bail!("plugin {name:?}: this is a filter; this version of meshtrace runs exporters only");
        }
        let (settings, grants) = settings(config, &library, &name)?;
        let setup = Setup {
            name: name.as_str().into(),
            config: settings,
            grants,
            limits: Limits::default(),
            counters: Arc::<Counters>::default(),
            runtime: runtime.clone(),
        };
        let started = Instance::start(component, setup);
        // The plugin knows its directory by another name than who configured it.
        let exporter = if name == "json" { started.with_context(|| json_variable(config))? } else { started? };
        tracing::info!(plugin = name, "exporter started");
        workers.push(Worker {
            name,
            exporter: Box::new(exporter),
            status: Arc::new(WorkerStatus::default()),
        });
    }
    Ok(workers)
}

/// Where the json exporter will write, if it is among those selected.
pub fn json_dir(config: &ExporterConfig) -> Option<PathBuf> {
    let library = Library::open(config.plugin_dir.as_deref()).ok()?;
    let runs = selected(config, &library).ok()?.iter().any(|name| name == "json");
    runs.then(|| config.json_dir.clone())
}

/// The exporters to run. What lies in the plugin directory always runs: dropping a file in is how it is chosen, removing it how it is not.
fn selected(config: &ExporterConfig, library: &Library) -> anyhow::Result<Vec<String>> {
    let mut names: BTreeSet<String> = match config.kind.as_str() {
        "none" => BTreeSet::new(),
        "multi" => ["console", "json", "stats"].map(str::to_owned).into(),
        list => list.split(',').map(|name| name.trim().to_owned()).collect(),
    };
    let known = library.names();
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        bail!(
            "TRACE_EXPORTER_TYPE={}: there is no plugin {unknown:?}; expected none, multi, or a comma list of {}",
            config.kind,
            known.join(", ")
        );
    }
    if config.stats {
        names.insert("stats".into());
    }
    names.extend(library.dropped_in().map(str::to_owned));
    Ok(names.into_iter().collect())
}

/// Config and grants. Bundled plugins get theirs from the documented settings; others get nothing.
fn settings(config: &ExporterConfig, library: &Library, name: &str) -> anyhow::Result<(String, Grants)> {
    let replaced = library.dropped_in().any(|own| own == name);
    if replaced && !Bundled::names().any(|own| own == name) {
        return Ok(("{}".into(), Grants::default()));
    }
    match name {
        "console" => Ok((json!({ "pretty": config.pretty }).to_string(), Grants { stdout: true, ..Grants::default() })),
        "json" => json_settings(config),
        _ => Ok(("{}".into(), Grants::default())),
    }
}

fn json_variable(config: &ExporterConfig) -> String {
    format!("TRACE_JSON_OUTPUT_DIR={}", config.json_dir.display())
}

fn json_settings(config: &ExporterConfig) -> anyhow::Result<(String, Grants)> {
    let dir = &config.json_dir;
    std::fs::create_dir_all(dir).with_context(|| format!("{}: the directory cannot be made", json_variable(config)))?;
    let why = if config.json_dir_is_default { "the default; TRACE_JSON_OUTPUT_DIR chooses another" } else { "TRACE_JSON_OUTPUT_DIR" };
    tracing::info!(dir = %dir.display(), mode = config.json_mode, "JSON is written here ({why})");
    let settings = json!({
        "dir": JSON_GUEST_DIR,
        "mode": config.json_mode,
        "max_bytes": config.json_max_bytes,
        "max_files": config.json_max_files,
    });
    Ok((
        settings.to_string(),
        Grants {
            dirs: vec![DirGrant {
                host: dir.clone(),
                guest: JSON_GUEST_DIR.into(),
                write: true,
            }],
            ..Grants::default()
        },
    ))
}
