//! What a plugin gets from the settings, where its `.toml` says nothing else.

use std::path::PathBuf;

use anyhow::Context;

use crate::plugin::library::Source;
use crate::plugin::manifest::Manifest;
use crate::plugin::{DirGrant, Grants, HttpGrant};

/// What the settings have for the bundled plugin of a name.
pub type Settings = Box<dyn Fn(&str) -> anyhow::Result<Given> + Send + Sync>;

/// What a plugin gets from the settings.
#[derive(Debug, Clone)]
pub struct Given {
    /// A JSON object.
    pub config: String,
    /// What the bundled plugin may do.
    pub grants: Grants,
    /// The setting that it comes from, for messages: `VARIABLE=value`.
    pub told_by: Option<String>,
    /// A directory that is made, if it is not there, before the bundled plugin starts.
    pub makes: Option<PathBuf>,
    /// What the log says when the bundled plugin starts.
    pub note: Option<String>,
}

impl Given {
    /// This config and these grants.
    pub fn new(config: serde_json::Value, grants: Grants) -> Given {
        Given {
            config: config.to_string(),
            grants,
            told_by: None,
            makes: None,
            note: None,
        }
    }
}

/// On which terms a plugin starts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Terms {
    /// A JSON object.
    pub config: String,
    /// What it may do.
    pub grants: Grants,
    /// Whether it is the settings that grant it.
    pub granted_by_settings: bool,
    /// What they would grant to the bundled plugin of this name, which this is not.
    pub withheld: Grants,
    /// The setting that some of it comes from.
    pub told_by: Option<String>,
    makes: Option<PathBuf>,
    note: Option<String>,
}

impl Terms {
    /// What `manifest` says, else what the settings have for this name. They grant something to the bundled plugin only: anybody may call a file by its
    /// name, or run something else under it.
    ///
    /// # Errors
    /// A setting that cannot be used.
    pub fn new(name: &str, manifest: &Manifest, source: &Source, settings: &Settings) -> anyhow::Result<Terms> {
        let (config, grants) = (manifest.config.clone(), manifest.grants.clone());
        let (config, grants) = match (config, grants) {
            (Some(config), Some(grants)) => return Ok(Terms { config, grants, ..Terms::default() }),
            some => some,
        };
        let given = settings(name)?;
        let own = matches!(source, Source::Bundled(component) if component == name);
        let granted_by_settings = own && grants.is_none();
        let nothing = Grants::default;
        let (offered, withheld) = if own { (given.grants, nothing()) } else { (nothing(), given.grants) };
        Ok(Terms {
            config: config.unwrap_or(given.config),
            withheld: if grants.is_none() { withheld } else { nothing() },
            grants: grants.unwrap_or(offered),
            granted_by_settings,
            told_by: given.told_by.filter(|_| own),
            makes: given.makes.filter(|_| granted_by_settings),
            note: given.note.filter(|_| granted_by_settings),
        })
    }

    /// Makes ready what the settings promise, and says in the log what they come to.
    ///
    /// # Errors
    /// A directory that cannot be made; names the setting.
    pub(super) fn prepare(&self, name: &str) -> anyhow::Result<()> {
        if let Some(dir) = &self.makes {
            let made = std::fs::create_dir_all(dir).context("the directory cannot be made");
            made.with_context(|| self.told_by.clone().unwrap_or_else(|| dir.display().to_string()))?;
        }
        if let Some(note) = &self.note {
            tracing::info!("{note}");
        }
        if self.withheld != Grants::default() {
            let lines = self.withheld.lines().join(", ");
            tracing::warn!(
                plugin = name,
                "this is not the bundled {name}, so what the settings grant to that one is not granted to it; [permissions] of {name}.toml would: {lines}"
            );
        }
        Ok(())
    }
}

impl Grants {
    /// The lines of `[permissions]` that grant this.
    pub fn lines(&self) -> Vec<String> {
        let Grants { stdout, dirs, env, http } = self;
        let list = |key: &str, entries: Vec<String>| (!entries.is_empty()).then(|| format!("{key} = [{}]", entries.join(", ")));
        let lines = [
            stdout.then(|| "stdout = true".to_owned()),
            list("env", env.iter().map(|name| format!("{name:?}")).collect()),
            list("http", http.iter().map(HttpGrant::entry).collect()),
            list("dirs", dirs.iter().map(DirGrant::entry).collect()),
        ];
        lines.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Box::new(|name| {
            let grants = Grants {
                stdout: name == "json",
                ..Grants::default()
            };
            Ok(Given {
                told_by: Some("SETTING=1".into()),
                makes: Some("/no/such/dir".into()),
                note: Some("it is so".into()),
                ..Given::new(serde_json::json!({"from": name}), grants)
            })
        })
    }

    fn terms(name: &str, toml: &str, source: &str) -> Terms {
        let source = if source.ends_with(".wasm") { Source::Missing("a file".into()) } else { Source::Bundled(source.into()) };
        Terms::new(name, &Manifest::parse(toml).unwrap(), &source, &settings()).unwrap()
    }

    #[test]
    fn settings_grant_to_the_bundled_plugin_of_that_name_alone() {
        let offered = || Grants { stdout: true, ..Grants::default() };
        let bundled = terms("json", "", "json");
        assert_eq!((&bundled.grants, bundled.granted_by_settings, &bundled.withheld), (&offered(), true, &Grants::default()));
        assert!(bundled.told_by.is_some() && bundled.makes.is_some() && bundled.note.is_some());
        for (toml, source) in [("", "json.wasm"), ("component = \"evil.wasm\"", "evil.wasm"), ("component = \"stats\"", "stats")] {
            let other = terms("json", toml, source);
            let expected = Terms {
                config: r#"{"from":"json"}"#.into(),
                withheld: offered(),
                ..Terms::default()
            };
            assert_eq!(other, expected, "{toml}");
        }
    }

    #[test]
    fn a_manifest_goes_before_settings() {
        let own = terms("json", "[permissions]\nenv = [\"A\"]\n[config]\nx = 1", "json.wasm");
        assert_eq!(
            (own.config.as_str(), own.grants.lines(), own.withheld.lines()),
            (r#"{"x":1}"#, vec!["env = [\"A\"]".to_owned()], vec![])
        );
        let granted = terms("json", "[permissions]", "json");
        assert_eq!(
            (granted.config.as_str(), granted.grants, granted.granted_by_settings),
            (r#"{"from":"json"}"#, Grants::default(), false)
        );
        assert_eq!((granted.makes, granted.note), (None, None));
        let told = terms("json", "[config]\nx = 1", "json");
        assert_eq!((told.config.as_str(), told.grants.stdout, told.granted_by_settings), (r#"{"x":1}"#, true, true));
    }

    #[test]
    fn grants_are_written_as_they_are_granted() {
        let text = r#"
            [permissions]
            stdout = true
            env = ["A", "B"]
            http = ["a.example:1", { host = "[::1]:2", private = true }]
            dirs = [{ path = "/a" }, { path = "/b", as = "/c", access = "write" }]
        "#;
        let grants = Manifest::parse(text).unwrap().grants.unwrap();
        let lines = grants.lines().join("\n");
        assert_eq!(Manifest::parse(&format!("[permissions]\n{lines}")).unwrap().grants, Some(grants), "{lines}");
    }
}
