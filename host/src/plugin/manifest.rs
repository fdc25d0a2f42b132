//! `NAME.toml`: what an instance is, what it may do, and on which terms it runs. Every key is described in `docs/PLUGINS.md`.

#[cfg(any(test, feature = "fuzz"))]
mod fuzz;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;

use super::{DirGrant, Grants, HttpGrant, Limits};
use crate::filter::OnFailure;
use crate::go_duration;

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Permissions {
    #[serde(default)]
    stdout: bool,
    #[serde(default)]
    env: Vec<String>,
    #[serde(default)]
    http: Vec<HttpEntry>,
    #[serde(default)]
    dirs: Vec<DirEntry>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected \"host:port\" or { host = \"host:port\", private = true }")]
enum HttpEntry {
    Short(String),
    Long(HttpLong),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HttpLong {
    host: String,
    #[serde(default)]
    private: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DirEntry {
    path: PathBuf,
    r#as: Option<String>,
    #[serde(default)]
    access: Access,
}

#[derive(Deserialize, Default, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Access {
    #[default]
    Read,
    Write,
}

/// A number, or a text with a unit.
#[derive(Deserialize, Debug)]
#[serde(untagged, expecting = "expected a whole number or a text")]
enum Amount {
    Number(u64),
    Text(String),
}

impl Manifest {
    /// Understands the text of `NAME.toml`.
    ///
    /// # Errors
    /// What is not understood: the key, what was given, what is allowed.
    pub fn parse(text: &str) -> anyhow::Result<Manifest> {
        let file: File = toml::from_str(text)?;
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

impl Permissions {
    fn grants(self) -> anyhow::Result<Grants> {
        let Permissions { stdout, env, http, dirs } = self;
        if let Some(wrong) = env.iter().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
            bail!("permissions.env has {wrong:?}: expected the name of an environment variable");
        }
        Ok(Grants {
            stdout,
            env,
            http: http.into_iter().map(HttpEntry::grant).collect::<anyhow::Result<_>>()?,
            dirs: dirs.into_iter().map(DirEntry::grant).collect::<anyhow::Result<_>>()?,
        })
    }
}

impl HttpEntry {
    fn grant(self) -> anyhow::Result<HttpGrant> {
        let (text, private) = match self {
            HttpEntry::Short(text) => (text, false),
            HttpEntry::Long(HttpLong { host, private }) => (host, private),
        };
        HttpGrant::parse(&text, private).with_context(|| format!("permissions.http has {text:?}"))
    }
}

impl DirEntry {
    fn grant(self) -> anyhow::Result<DirGrant> {
        let DirEntry { path, r#as, access } = self;
        if !path.is_absolute() {
            bail!("permissions.dirs has the path {}: expected an absolute path", path.display());
        }
        let guest = match r#as {
            Some(guest) if guest.starts_with('/') => guest,
            Some(guest) => bail!("permissions.dirs has as = {guest:?}: expected an absolute path, as the plugin is to see it"),
            None => path.to_str().context("permissions.dirs has a path that is not UTF-8: give it another name with `as`")?.to_owned(),
        };
        Ok(DirGrant {
            host: path,
            guest,
            write: access == Access::Write,
        })
    }
}

macro_rules! limit_table {
    ($($field:ident: $read:ident),* $(,)?) => {
        #[derive(Deserialize, Default)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        struct LimitTable { $($field: Option<Amount>),* }

        impl LimitTable {
            fn limits(self) -> anyhow::Result<Limits> {
                let plain = Limits::default();
                Ok(Limits { $($field: match self.$field {
                    Some(amount) => $read(&amount).map_err(|expected| {
                        let key = stringify!($field).replace('_', "-");
                        let given = match amount { Amount::Number(number) => number.to_string(), Amount::Text(text) => format!("{text:?}") };
                        anyhow::anyhow!("limits.{key} = {given}: expected {expected}")
                    })?,
                    None => plain.$field,
                }),* })
            }
        }
    };
}

limit_table!(
    component_bytes: bytes,
    call_time: time,
    init_time: time,
    memory_bytes: bytes,
    table_elements: count,
    instances: count,
    log_bytes_per_second: bytes,
    log_message_bytes: bytes,
    result_bytes: bytes,
    text_bytes: bytes,
    handles: count,
    http_connections: count,
    http_time: time,
    http_request_bytes: bytes,
    http_response_bytes: bytes,
);

fn time(amount: &Amount) -> Result<Duration, &'static str> {
    const EXPECTED: &str = "a Go duration from 10ms to 24h, such as \"500ms\" or \"5s\"";
    let Amount::Text(text) = amount else { return Err(EXPECTED) };
    let range = Duration::from_millis(10)..=Duration::from_secs(24 * 3_600);
    go_duration::parse(text).ok().filter(|time| range.contains(time)).ok_or(EXPECTED)
}

fn count(amount: &Amount) -> Result<usize, &'static str> {
    match amount {
        Amount::Number(number) if (1..=u64::from(u32::MAX)).contains(number) => Ok(*number as usize),
        _ => Err("a whole number from 1 to 4294967295"),
    }
}

fn bytes(amount: &Amount) -> Result<usize, &'static str> {
    const EXPECTED: &str = "bytes, at least 1: a whole number, or a text such as \"64KiB\", \"256MiB\" or \"1GiB\"";
    let number = match amount {
        Amount::Number(number) => Some(*number),
        Amount::Text(text) => {
            let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("B", 0)];
            let parsed = |(unit, bits): (&str, u32)| text.strip_suffix(unit)?.trim().parse::<u64>().ok()?.checked_mul(1 << bits);
            units.into_iter().find_map(parsed)
        }
    };
    number.filter(|number| (1..=1 << 40).contains(number)).map(|number| number as usize).ok_or(EXPECTED)
}

#[cfg(test)]
mod documents;
#[cfg(test)]
mod tests;
