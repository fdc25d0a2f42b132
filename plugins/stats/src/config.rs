//! The config that `init` takes.

use serde::Deserialize;

/// The config, all of it optional.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How many operations are counted by name.
    pub max_operations: usize,
    /// How many agents are counted by name.
    pub max_agents: usize,
}

/// More names than this would take more memory than a plugin gets.
const MAX_NAMES: usize = 1_000_000;

impl Default for Config {
    fn default() -> Self {
        Config {
            max_operations: 10_000,
            max_agents: 10_000,
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
            format!(r#"stats config: {error}. It takes {{"max_operations": 1 to {MAX_NAMES}, "max_agents": 1 to {MAX_NAMES}}}"#)
        })?;
        for (key, value) in [("max_operations", config.max_operations), ("max_agents", config.max_agents)] {
            if !(1..=MAX_NAMES).contains(&value) {
                return Err(format!("stats config: {key} is {value}; give a number from 1 to {MAX_NAMES}"));
            }
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_and_mistakes() {
        assert_eq!(Config::parse("{}").unwrap(), Config::default());
        for (json, part) in [(r#"{"max_ops":1}"#, "unknown field `max_ops`"), (r#"{"max_agents":0}"#, "max_agents is 0")] {
            assert!(Config::parse(json).unwrap_err().contains(part));
        }
    }
}
