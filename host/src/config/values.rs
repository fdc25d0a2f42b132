//! Which value of a setting is in force, and where it came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};

use super::{SETTINGS, Setting};
use crate::toml_error;

/// Names the configuration file, as `--config` does.
pub const FILE_VARIABLE: &str = "MESHTRACE_CONFIG";

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// `meshtrace.toml`.
    File(PathBuf),
    /// The environment.
    Environment,
    /// The command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(path) => write!(f, "{}", path.display()),
            Origin::Environment => f.write_str("environment"),
            Origin::Flag => f.write_str("flag"),
        }
    }
}

/// What the values are taken from.
#[derive(Debug, Default)]
pub struct Sources {
    /// Defaults that go before those of the table.
    pub defaults: BTreeMap<&'static str, String>,
    /// The file, if there is one: its path and text.
    pub file: Option<(PathBuf, String)>,
    /// The environment.
    pub environment: BTreeMap<String, String>,
    /// Flags, by the setting's key.
    pub flags: BTreeMap<&'static str, String>,
}

impl Sources {
    /// Reads the configuration file. Without `path`, `meshtrace.toml` in the working directory is read if it is there.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn read_file(&mut self, path: Option<&Path>) -> anyhow::Result<()> {
        let (path, optional) = path.map_or((Path::new("meshtrace.toml"), true), |path| (path, false));
        match std::fs::read_to_string(path) {
            Ok(text) => self.file = Some((path.to_owned(), text)),
            Err(error) if optional && error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("the configuration file {} cannot be read", path.display())),
        }
        Ok(())
    }
}

/// One value per setting.
#[derive(Debug)]
pub struct Values {
    values: BTreeMap<&'static str, (String, Origin)>,
}

impl Values {
    /// The values in force.
    ///
    /// # Errors
    /// A file that is no TOML, and keys or `MESHTRACE_*` variables that are no settings.
    pub fn new(sources: Sources) -> anyhow::Result<Values> {
        let Sources { defaults, file, environment, flags } = sources;
        let file_values = match &file {
            Some((path, text)) => file_values(path, text)?,
            None => BTreeMap::new(),
        };
        refuse_unknown_variables(&environment)?;
        let mut values = BTreeMap::new();
        for setting in SETTINGS {
            let default = defaults.get(setting.key).map_or(setting.default, String::as_str);
            let mut value = (default.to_owned(), Origin::Default);
            if let (Some(text), Some((path, _))) = (file_values.get(setting.key), &file) {
                value = (text.clone(), Origin::File(path.clone()));
            }
            // An empty variable is how compose files and charts say "not set".
            if let Some(text) = environment.get(setting.env).filter(|text| !text.is_empty()) {
                value = (text.clone(), Origin::Environment);
            }
            if let Some(text) = flags.get(setting.key) {
                value = (text.clone(), Origin::Flag);
            }
            // Only the environment knows where this user's caches are, so this default is not in the table.
            if setting.key == "cache_dir" && value.0.is_empty() {
                value = (user_cache_dir(&environment).unwrap_or_default(), Origin::Default);
            }
            values.insert(setting.key, value);
        }
        Ok(Values { values })
    }

    /// Where the value of `key` came from.
    pub fn origin(&self, key: &str) -> Origin {
        self.values.get(key).map_or(Origin::Default, |(_, origin)| origin.clone())
    }

    /// Reads values and gathers what is wrong with them.
    pub(super) fn reader(&self) -> Reader<'_> {
        Reader { values: self, problems: Vec::new() }
    }

    /// What is in force and why: a line per setting, without secrets.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        for setting in SETTINGS {
            let (value, origin) = self.values.get(setting.key).map_or(("", Origin::Default), |(value, origin)| (value, origin.clone()));
            let shown = if value.is_empty() { "(not set)".to_owned() } else { setting.shown(value) };
            text.push_str(&format!("{:<22} = {shown:<34} # {origin}; {}\n", setting.key, setting.env));
        }
        text
    }
}

/// Where the XDG specification puts the caches of a user; paths that are not absolute are to be ignored.
fn user_cache_dir(environment: &BTreeMap<String, String>) -> Option<String> {
    let absolute = |name: &str| environment.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
    Some(caches.join("meshtrace").display().to_string())
}

fn file_values(path: &Path, text: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let parsed: Result<toml::Table, _> = text.parse();
    let table = parsed.map_err(|error| anyhow!("{} is not valid TOML: {}", path.display(), toml_error::told(text, &error)))?;
    let mut values = BTreeMap::new();
    for (key, value) in table {
        if !SETTINGS.iter().any(|setting| setting.key == key) {
            bail!(
                "{}: unknown key {key:?}; there are {}",
                path.display(),
                SETTINGS.iter().map(|setting| setting.key).collect::<Vec<_>>().join(", ")
            );
        }
        let text = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(value) => value.to_string(),
            other => bail!("{}: {key} is of type {}; expected text, a whole number, true or false", path.display(), other.type_str()),
        };
        values.insert(key, text);
    }
    Ok(values)
}

/// A misspelt variable of ours would otherwise be ignored in silence.
fn refuse_unknown_variables(environment: &BTreeMap<String, String>) -> anyhow::Result<()> {
    let known = |name: &str| name == FILE_VARIABLE || SETTINGS.iter().any(|setting| setting.env == name);
    // Kubernetes describes a service called "meshtrace" to every pod beside it in variables of these forms.
    let from_kubernetes =
        |name: &str| name.starts_with("MESHTRACE_SERVICE_") || name == "MESHTRACE_PORT" || name.starts_with("MESHTRACE_PORT_");
    match environment.keys().find(|name| name.starts_with("MESHTRACE_") && !known(name) && !from_kubernetes(name)) {
        Some(name) => {
            let ours = SETTINGS.iter().map(|setting| setting.env).filter(|name| name.starts_with("MESHTRACE_"));
            let ours: Vec<_> = ours.chain([FILE_VARIABLE]).collect();
            bail!("unknown environment variable {name}; there are {}", ours.join(", "))
        }
        None => Ok(()),
    }
}

pub(super) struct Reader<'a> {
    values: &'a Values,
    problems: Vec<String>,
}

impl Reader<'_> {
    /// The value of `key`, if it is set.
    pub fn optional(&mut self, key: &'static str) -> Option<String> {
        self.values.values.get(key).map(|(value, _)| value.clone()).filter(|value| !value.is_empty())
    }

    /// The value of `key`, read by `parse`. What that refuses is a problem, which stops the start; until then [`Default::default`] of the type stands there,
    /// whatever the setting's own default is. A key is read once: each reading names the problem.
    pub fn get<T: Default>(&mut self, key: &'static str, parse: impl FnOnce(&str) -> Result<T, String>) -> T {
        let text = self.values.values.get(key).map_or("", |(value, _)| value.as_str());
        parse(text).unwrap_or_else(|expected| {
            self.refuse(key, &expected);
            T::default()
        })
    }

    /// The value of `key` cannot be used, maybe for what another setting says.
    pub fn refuse(&mut self, key: &'static str, expected: &str) {
        let text = self.values.values.get(key).map_or("", |(value, _)| value.as_str());
        if let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) {
            self.problems.push(self.problem(setting, text, expected));
        }
    }

    fn problem(&self, setting: &Setting, given: &str, expected: &str) -> String {
        let name = match self.values.origin(setting.key) {
            Origin::Flag => format!("--{}", setting.flag()),
            Origin::File(path) => format!("{}: {}", path.display(), setting.key),
            Origin::Environment | Origin::Default => setting.env.to_owned(),
        };
        format!("{name}={}: expected {expected}", setting.shown(given))
    }

    pub fn problems(self) -> Vec<String> {
        self.problems
    }
}
