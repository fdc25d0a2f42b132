//! The config that `init` takes.

use serde::Deserialize;

/// The config, all of it optional.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The directory to write to.
    pub dir: String,
    /// A file per trace, or a line per trace.
    pub mode: Mode,
    /// `lines`: size in bytes beyond which the file is rotated.
    pub max_bytes: u64,
    /// `lines`: how many rotated files are kept.
    pub max_files: u32,
}

/// How traces are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// `trace-{trace_id}.json` per trace.
    Files,
    /// A line per trace in `traces.jsonl`.
    Lines,
}

/// More rotated files than this are a mistake, and would make each rotation slow.
const MAX_FILES: u32 = 9999;

impl Default for Config {
    fn default() -> Self {
        Config {
            dir: "/out".to_owned(),
            mode: Mode::Files,
            max_bytes: 100 << 20,
            max_files: 10,
        }
    }
}

impl Config {
    /// Reads the config's JSON.
    ///
    /// # Errors
    /// Says which key is wrong, what was given and what is allowed.
    pub fn parse(json: &str) -> Result<Self, String> {
        let config: Config = serde_json::from_str(json).map_err(|error| {
            format!(
                r#"json config: {error}. It takes {{"dir": path, "mode": "files"|"lines", "max_bytes": 1 or more, "max_files": 0 to {MAX_FILES}}}"#
            )
        })?;
        if config.dir.is_empty() {
            return Err("json config: dir is empty; give the directory to write to, such as \"/out\"".to_owned());
        }
        if config.max_bytes == 0 {
            return Err("json config: max_bytes is 0; give the size in bytes at which traces.jsonl is rotated, at least 1".to_owned());
        }
        if config.max_files > MAX_FILES {
            return Err(format!("json config: max_files is {}; give a number of rotated files from 0 to {MAX_FILES}", config.max_files));
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_and_values() {
        assert_eq!(Config::parse("{}").unwrap(), Config::default());
        let config = Config::parse(r#"{"dir":"/x","mode":"lines","max_bytes":5,"max_files":0}"#).unwrap();
        assert_eq!(
            config,
            Config {
                dir: "/x".into(),
                mode: Mode::Lines,
                max_bytes: 5,
                max_files: 0
            }
        );
    }

    #[test]
    fn mistakes_are_named() {
        let mistakes = [
            (r#"{"directory":"/x"}"#, "unknown field `directory`"),
            (r#"{"mode":"line"}"#, "unknown variant `line`"),
            (r#"{"max_bytes":-1}"#, "-1"),
            (r#"{"max_bytes":0}"#, "max_bytes is 0"),
            (r#"{"max_files":10000}"#, "max_files is 10000"),
            (r#"{"dir":""}"#, "dir is empty"),
        ];
        for (json, part) in mistakes {
            let error = Config::parse(json).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
