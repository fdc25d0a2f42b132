//! The config that `init` takes.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The config, all of it optional.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The collector's base URL.
    pub endpoint: String,
    /// What follows it.
    pub path: String,
    /// Headers of each request.
    pub headers: BTreeMap<String, String>,
    /// The environment variable with more of them.
    pub headers_env: String,
    /// How requests are compressed.
    pub compression: Compression,
    /// Milliseconds for all requests of one batch together, 1 to 600,000.
    pub timeout_ms: u32,
    /// Uncompressed bytes beyond which a batch is sent in several requests, at least 1.
    pub max_request_bytes: usize,
}

/// How requests are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// As every collector understands it.
    Gzip,
    /// Not at all.
    None,
}

/// Longer than this no batch should hold up those behind it.
const MAX_TIMEOUT_MS: u32 = 600_000;

impl Default for Config {
    fn default() -> Self {
        Config {
            endpoint: "http://localhost:4318".to_owned(),
            path: "/v1/traces".to_owned(),
            headers: BTreeMap::new(),
            headers_env: "OTEL_EXPORTER_OTLP_HEADERS".to_owned(),
            compression: Compression::Gzip,
            timeout_ms: 4_000,
            max_request_bytes: 4 << 20,
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
                r#"otlp config: {error}. It takes {{"endpoint": URL, "path": text, "headers": {{name: value}}, "headers_env": variable, "compression": "gzip"|"none", "timeout_ms": 1 to {MAX_TIMEOUT_MS}, "max_request_bytes": 1 or more}}"#
            )
        })?;
        if !config.path.starts_with('/') {
            return Err(format!("otlp config: path is {:?}; give one that begins with a slash, such as \"/v1/traces\"", config.path));
        }
        if !(1..=MAX_TIMEOUT_MS).contains(&config.timeout_ms) {
            return Err(format!("otlp config: timeout_ms is {}; give milliseconds from 1 to {MAX_TIMEOUT_MS}", config.timeout_ms));
        }
        if config.max_request_bytes == 0 {
            return Err("otlp config: max_request_bytes is 0; give a number of bytes, such as 4194304".to_owned());
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
        let json = r#"{"endpoint":"https://a","path":"/x","headers":{"k":"v"},"headers_env":"H","compression":"none","timeout_ms":1,"max_request_bytes":9}"#;
        let expected = Config {
            endpoint: "https://a".into(),
            path: "/x".into(),
            headers: [("k".into(), "v".into())].into(),
            headers_env: "H".into(),
            compression: Compression::None,
            timeout_ms: 1,
            max_request_bytes: 9,
        };
        assert_eq!(Config::parse(json).unwrap(), expected);
    }

    #[test]
    fn mistakes_are_named() {
        let mistakes = [
            (r#"{"url":"http://x"}"#, "unknown field `url`"),
            (r#"{"compression":"zstd"}"#, "unknown variant `zstd`"),
            (r#"{"headers":{"a":1}}"#, "expected a string"),
            (r#"{"path":"v1/traces"}"#, "path is \"v1/traces\""),
            (r#"{"timeout_ms":0}"#, "timeout_ms is 0"),
            (r#"{"timeout_ms":600001}"#, "timeout_ms is 600001"),
            (r#"{"max_request_bytes":0}"#, "max_request_bytes is 0"),
        ];
        for (json, part) in mistakes {
            let error = Config::parse(json).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
