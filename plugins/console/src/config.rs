//! The config that `init` takes.

use serde::Deserialize;

/// The config, all of it optional.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// A tree per trace rather than one line.
    pub pretty: bool,
    /// When to colour.
    pub color: Color,
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Color {
    /// When stdout is a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Default for Config {
    fn default() -> Self {
        Config { pretty: true, color: Color::Auto }
    }
}

impl Config {
    /// Reads the config's JSON.
    ///
    /// # Errors
    /// Says which key is wrong and what is allowed.
    pub fn parse(json: &str) -> Result<Self, String> {
        serde_json::from_str(json)
            .map_err(|error| format!(r#"console config: {error}. It takes {{"pretty": true|false, "color": "auto"|"always"|"never"}}"#))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_and_values() {
        assert_eq!(Config::parse("{}").unwrap(), Config::default());
        let config = Config::parse(r#"{"pretty":false,"color":"never"}"#).unwrap();
        assert_eq!(config, Config { pretty: false, color: Color::Never });
    }

    #[test]
    fn mistakes_are_named() {
        assert!(Config::parse(r#"{"colour":"never"}"#).unwrap_err().contains("unknown field `colour`"));
        assert!(Config::parse(r#"{"color":"red"}"#).unwrap_err().contains("unknown variant `red`"));
        assert!(Config::parse("").is_err());
    }
}
