//! `NAME.toml`: what an instance is, what it may do, and on which terms it runs. Every key is described in `docs/PLUGINS.md`.

#[cfg(any(test, feature = "fuzz"))]
mod fuzz;

mod limits;
mod permissions;

use std::path::Path;

use anyhow::{Context, anyhow, bail};
use serde::Deserialize;

use self::limits::LimitTable;
use self::permissions::Permissions;
use super::{Grants, Limits};
use crate::filter::OnFailure;
use crate::toml_error;

#[cfg(any(test, feature = "fuzz"))]
pub use fuzz::plugin_toml as fuzz_plugin_toml;

/// The largest such file, in bytes.
pub(super) const MAX_BYTES: u64 = 1024 * 1024;
/// Traces in one call, at most: no batch has more.
const MAX_TRACES: usize = 512;
/// Instances side by side, at most.
const MAX_INSTANCES: usize = 32;
/// Batches that wait, at most.
const MAX_QUEUE: usize = 64;

/// What a `NAME.toml` says; everything has a default.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The component: a file beside this one, or the name of a bundled plugin. `None`: `NAME.wasm`, or else the bundled plugin of this name.
    pub component: Option<String>,
    /// Whether it runs at all. True.
    pub enabled: bool,
    /// Exporters: whether a trace waits for it. True.
    pub required: bool,
    /// Filters run in this order, then by name. 0.
    pub order: i64,
    /// Filters: what their failure means. `None`: the plugin's default.
    pub on_failure: Option<OnFailure>,
    /// Traces in one call, 1 to 512. 512.
    pub max_traces: usize,
    /// Instances that take batches side by side, 1 to 32. 1.
    pub instances: usize,
    /// Batches that may wait for an exporter, 1 to 64. 4.
    pub queue: usize,
    /// Its config, a JSON object as text; `None` when the file has none.
    pub config: Option<String>,
    /// What it may do; `None` when the file says nothing about it.
    pub grants: Option<Grants>,
    /// How much it may use.
    pub limits: Limits,
}

impl Default for Manifest {
    fn default() -> Self {
        Manifest {
            component: None,
            enabled: true,
            required: true,
            order: 0,
            on_failure: None,
            max_traces: MAX_TRACES,
            instances: 1,
            queue: 4,
            config: None,
            grants: None,
            limits: Limits::default(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    component: Option<String>,
    enabled: Option<bool>,
    required: Option<bool>,
    order: Option<i64>,
    on_failure: Option<Failing>,
    max_traces: Option<usize>,
    instances: Option<usize>,
    queue: Option<usize>,
    config: Option<toml::Table>,
    permissions: Option<Permissions>,
    limits: Option<LimitTable>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Failing {
    Pass,
    Hold,
    DeadLetter,
}

impl From<Failing> for OnFailure {
    fn from(failing: Failing) -> OnFailure {
        match failing {
            Failing::Pass => OnFailure::Pass,
            Failing::Hold => OnFailure::Hold,
            Failing::DeadLetter => OnFailure::DeadLetter,
        }
    }
}

impl Manifest {
    /// Understands the text of `NAME.toml`.
    ///
    /// # Errors
    /// What is not understood: the key, what was given, what is allowed.
    pub fn parse(text: &str) -> anyhow::Result<Manifest> {
        let file: File = toml::from_str(text).map_err(|error| anyhow!(toml_error::told(text, &error)))?;
        let plain = Manifest::default();
        let within = |key: &str, given: Option<usize>, default: usize, max: usize| match given {
            Some(given) if !(1..=max).contains(&given) => bail!("{key} = {given}: expected a whole number from 1 to {max}"),
            given => Ok(given.unwrap_or(default)),
        };
        Ok(Manifest {
            enabled: file.enabled.unwrap_or(plain.enabled),
            required: file.required.unwrap_or(plain.required),
            order: file.order.unwrap_or(plain.order),
            on_failure: file.on_failure.map(OnFailure::from),
            max_traces: within("max-traces", file.max_traces, plain.max_traces, MAX_TRACES)?,
            instances: within("instances", file.instances, plain.instances, MAX_INSTANCES)?,
            queue: within("queue", file.queue, plain.queue, MAX_QUEUE)?,
            config: file.config.map(|table| json(toml::Value::Table(table)).map(|value| value.to_string())).transpose()?,
            grants: file.permissions.map(Permissions::grants).transpose()?,
            limits: file.limits.unwrap_or_default().limits()?,
            component: file.component.map(component).transpose()?,
        })
    }
}

/// A file name, so that nothing outside the directory is ever loaded; or the name of a bundled plugin.
fn component(name: String) -> anyhow::Result<String> {
    let plain = !name.is_empty() && Path::new(&name).file_name().is_some_and(|own| own == name.as_str()) && !name.starts_with('.');
    if plain {
        return Ok(name);
    }
    bail!(
        "component = {name:?}: expected the name of a file in the plugin directory, such as \"other.wasm\", or of a bundled plugin, such as \"otlp\""
    )
}

/// TOML to JSON, where both have the same.
fn json(value: toml::Value) -> anyhow::Result<serde_json::Value> {
    Ok(match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => {
            serde_json::Number::from_f64(number).with_context(|| format!("config: {number} is no number in JSON"))?.into()
        }
        toml::Value::Boolean(value) => value.into(),
        // As text, which is how JSON has times.
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(values) => values.into_iter().map(json).collect::<anyhow::Result<Vec<_>>>()?.into(),
        toml::Value::Table(table) => {
            let pairs = table.into_iter().map(|(key, value)| Ok((key, json(value)?)));
            serde_json::Value::Object(pairs.collect::<anyhow::Result<_>>()?)
        }
    })
}

#[cfg(test)]
mod documents;
#[cfg(test)]
mod tests;
