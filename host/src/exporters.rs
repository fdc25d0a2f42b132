//! Which plugins the settings choose, and what each gets by its name where its `.toml` says nothing else.

mod otlp;

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::bail;
use serde_json::json;

use crate::config::ExporterConfig;
use crate::plugin::{Bundled, Cache, DirGrant, Given, Grants, Settings};

/// What the json exporter calls its directory.
const JSON_GUEST_DIR: &str = "/out";

/// The exporters that run whatever lies in the plugin directory. What lies there runs besides: dropping a file in is how it is chosen.
///
/// # Errors
/// A name that is neither a bundled exporter's nor among those `dropped_in`.
pub fn selected(config: &ExporterConfig, dropped_in: &BTreeSet<String>) -> anyhow::Result<BTreeSet<String>> {
    let mut names: BTreeSet<String> = match config.kind.as_str() {
        "none" => BTreeSet::new(),
        "multi" => ["console", "json", "stats"].map(str::to_owned).into(),
        list => list.split(',').map(|name| name.trim().to_owned()).collect(),
    };
    let exporter = |name: &str| Bundled::exporters().any(|own| own == name);
    let filter = |name: &str| Bundled::names().any(|own| own == name) && !exporter(name);
    if let Some(refused) = names.iter().find(|name| !dropped_in.contains(*name) && !exporter(name)) {
        let kind = &config.kind;
        if filter(refused) {
            bail!("TRACE_EXPORTER_TYPE={kind}: {refused} is a filter; put {refused}.toml into MESHTRACE_PLUGIN_DIR");
        }
        let dropped_in = dropped_in.iter().filter(|name| !filter(name)).cloned();
        let known: BTreeSet<String> = dropped_in.chain(Bundled::exporters().map(str::to_owned)).collect();
        bail!(
            "TRACE_EXPORTER_TYPE={kind}: there is no exporter {refused:?}; expected none, multi, or a comma list of {}",
            known.into_iter().collect::<Vec<_>>().join(", ")
        );
    }
    if config.stats {
        names.insert("stats".into());
    }
    Ok(names)
}

/// Config and grants of bundled plugins by name, as the documented settings have them; there are none for other names.
pub fn settings(config: &ExporterConfig) -> Settings {
    let config = config.clone();
    Box::new(move |name| match name {
        "console" => {
            let grants = Grants { stdout: true, ..Grants::default() };
            Ok(Given::new(json!({ "pretty": config.pretty }), grants))
        }
        "json" => Ok(json_settings(&config)),
        "otlp" => otlp::settings(&config.telemetry),
        _ => Ok(Given::new(json!({}), Grants::default())),
    })
}

/// Where compiled plugins are kept: nowhere if the json exporter may write there, for what lies there runs with all that the host may do.
pub fn cache_dir(config: &ExporterConfig, selected: &BTreeSet<String>) -> Option<PathBuf> {
    let dir = config.cache_dir.clone()?;
    if selected.contains("json") && Cache::lies_in(&dir, &config.json_dir) {
        tracing::warn!(
            "compiled plugins are not kept in {}: the json exporter may write there ({}), and could have code of its own run; they are compiled again at each start. MESHTRACE_CACHE_DIR takes another directory, or off",
            dir.display(),
            json_variable(config)
        );
        return None;
    }
    Some(dir)
}

fn json_variable(config: &ExporterConfig) -> String {
    format!("TRACE_JSON_OUTPUT_DIR={}", config.json_dir.display())
}

fn json_settings(config: &ExporterConfig) -> Given {
    let dir = &config.json_dir;
    let why = if config.json_dir_is_default { "the default; TRACE_JSON_OUTPUT_DIR chooses another" } else { "TRACE_JSON_OUTPUT_DIR" };
    let settings = json!({
        "dir": JSON_GUEST_DIR,
        "mode": config.json_mode,
        "max_bytes": config.json_max_bytes,
        "max_files": config.json_max_files,
    });
    let grants = Grants {
        dirs: vec![DirGrant {
            host: dir.clone(),
            guest: JSON_GUEST_DIR.into(),
            write: true,
        }],
        ..Grants::default()
    };
    Given {
        // The plugin knows its directory by another name than who configured it.
        told_by: Some(json_variable(config)),
        makes: Some(dir.clone()),
        note: Some(format!("JSON is written to {} ({why}), mode {:?}", dir.display(), config.json_mode)),
        ..Given::new(settings, grants)
    }
}
