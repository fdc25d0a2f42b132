//! Configuration: flags over environment over `meshtrace.toml` over defaults.
//!
//! Every setting is one row of [`settings::SETTINGS`]; flags, environment names, the file's keys, help and `meshtrace config` all come from there. The
//! environment names that MCP Mesh documents keep their names and defaults. Whatever is not understood stops the start, with its
//! name, what was given, and what is allowed.

mod api;
mod embedded;
mod parse;
mod settings;
mod telemetry;
mod values;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;

use self::embedded::Listener;
use self::values::Reader;
use crate::correlate::Rules;
use crate::secret::Secret;
use crate::source::embedded::GROUP;
use crate::source::redis::{ClientFiles, DOCUMENTED_GROUP, JournalBounds, RedisConfig, TlsFiles};
use crate::store;
pub use api::{ApiConfig, Certificate, Token, token};
pub use settings::{SETTINGS, Setting};
pub use telemetry::{Endpoint, Telemetry};
pub use values::{FILE_VARIABLE, Origin, Sources, Values};

/// Everything that can be set, understood.
#[derive(Debug, Clone)]
pub struct Config {
    /// Whether events are read at all.
    pub enabled: bool,
    /// Where from.
    pub source: SourceConfig,
    /// When traces are decided.
    pub rules: Rules,
    /// Bytes of decided traces that may be on their way, in all.
    pub max_queued_bytes: usize,
    /// Which exporters run.
    pub exporters: ExporterConfig,
    /// What the query store keeps.
    pub store: store::Limits,
    /// Where the API listens, and for whom.
    pub api: ApiConfig,
    /// What is logged, in the syntax of `tracing`'s `EnvFilter`.
    pub log: String,
}

/// Where events come from.
#[derive(Debug, Clone)]
pub enum SourceConfig {
    /// A consumer group of a Redis stream.
    Redis(RedisConfig),
    /// A listener of our own.
    Embedded {
        /// Where it listens.
        address: String,
        /// What clients have to know.
        password: Option<Secret>,
        /// The stream that they may write.
        stream: String,
    },
}

impl SourceConfig {
    /// What status calls the stream, and the group, before any of it is read.
    pub fn names(&self) -> (&str, &str) {
        match self {
            SourceConfig::Redis(redis) => (&redis.stream, redis.group.as_deref().unwrap_or(DOCUMENTED_GROUP)),
            SourceConfig::Embedded { stream, .. } => (stream, GROUP),
        }
    }
}

/// Which exporters run, and how.
#[derive(Debug, Clone)]
pub struct ExporterConfig {
    /// `TRACE_EXPORTER_TYPE` as given.
    pub kind: String,
    /// `TRACE_ENABLE_STATS`.
    pub stats: bool,
    /// `TRACE_PRETTY_OUTPUT`.
    pub pretty: bool,
    /// `TRACE_JSON_OUTPUT_DIR`.
    pub json_dir: PathBuf,
    /// Whether the directory is the default rather than somebody's choice.
    pub json_dir_is_default: bool,
    /// `MESHTRACE_JSON_MODE`: `files` or `lines`.
    pub json_mode: String,
    /// Bytes of one file of lines.
    pub json_max_bytes: u64,
    /// Rotated files of lines that are kept.
    pub json_max_files: u64,
    /// Where the otlp exporter sends traces.
    pub telemetry: Telemetry,
    /// Where plugins are dropped in.
    pub plugin_dir: Option<PathBuf>,
    /// Where compiled plugins are kept.
    pub cache_dir: Option<PathBuf>,
}

impl Config {
    /// Understands `values`.
    ///
    /// # Errors
    /// All that is wrong, a line each.
    pub fn new(values: &Values) -> anyhow::Result<Config> {
        let mut read = values.reader();
        let tls = read_tls(&mut read);
        let quiet = read.get("quiet_period", parse::duration);
        let retention = read.get("trace_retention", parse::duration);
        let (url, stream, group) =
            (read.get("redis_url", parse::redis_url), read.get("stream", parse::text), read.optional("consumer_group"));
        let count = read.get("batch_size", parse::batch_size);
        let rules = Rules {
            quiet_ms: millis(quiet),
            parent_wait_ms: millis(read.get("parent_wait", parse::duration)),
            timeout_ms: millis(read.get("trace_timeout", parse::positive_duration)),
            max_age_ms: millis(read.get("max_trace_age", parse::positive_duration)),
            max_spans: read.get("max_trace_spans", parse::count),
            max_bytes: read.get("max_trace_bytes", parse::count),
            max_open_bytes: read.get("max_open_bytes", parse::count),
            remember_ms: millis(read.get("remember", parse::duration)),
            max_remembered: read.get("max_remembered", parse::count),
        };
        let redis = RedisConfig {
            url,
            tls,
            stream,
            group,
            count,
            retention,
            journal: JournalBounds {
                keep_ms: rules.remember_ms.saturating_add(rules.max_age_ms),
                max: rules.max_remembered,
            },
            max_len: read.get("stream_max_len", parse::count_or_none),
            quiet,
        };
        let config = Config {
            enabled: read.get("tracing_enabled", parse::boolean),
            source: SourceConfig::of(redis, &mut read),
            rules,
            max_queued_bytes: read.get("max_queued_bytes", parse::count),
            exporters: ExporterConfig {
                kind: read.get("exporter_type", parse::text),
                stats: read.get("enable_stats", parse::boolean),
                pretty: read.get("pretty_output", parse::boolean),
                json_dir: PathBuf::from(read.get("json_output_dir", parse::text)),
                json_dir_is_default: values.origin("json_output_dir") == Origin::Default,
                json_mode: read.get("json_mode", parse::json_mode),
                json_max_bytes: read.get("json_max_bytes", parse::count) as u64,
                json_max_files: read.get("json_max_files", parse::count) as u64,
                telemetry: Telemetry::read(&mut read, values),
                plugin_dir: read.optional("plugin_dir").map(PathBuf::from),
                cache_dir: read.optional("cache_dir").filter(|dir| dir != "off").map(PathBuf::from),
            },
            store: store::Limits {
                max_traces: read.get("store_traces", parse::count),
                retention,
                max_bytes: read.get("store_bytes", parse::count) as u64,
            },
            api: ApiConfig::read(&mut read),
            log: read.get("log", parse::text),
        };
        let problems = read.problems();
        if !problems.is_empty() {
            bail!("{}", problems.join("\n"));
        }
        Ok(config)
    }
}

impl SourceConfig {
    fn of(redis: RedisConfig, read: &mut Reader<'_>) -> SourceConfig {
        let Some(rest) = redis.url.strip_prefix("embedded://") else { return SourceConfig::Redis(redis) };
        let listener = embedded::listener(rest).unwrap_or_else(|expected| {
            read.refuse("redis_url", &expected);
            Listener::default()
        });
        SourceConfig::Embedded {
            address: listener.address,
            password: listener.password.map(|password| password.as_str().into()),
            stream: redis.stream,
        }
    }
}

/// `REDIS_TLS_*`. A client's certificate is of no use without its key, nor the other way round.
fn read_tls(read: &mut Reader<'_>) -> TlsFiles {
    let (cert, key) = (read.optional("redis_tls_cert").map(PathBuf::from), read.optional("redis_tls_key").map(PathBuf::from));
    match (&cert, &key) {
        (Some(_), None) => read.refuse("redis_tls_key", "the PEM file of the key of REDIS_TLS_CERT"),
        (None, Some(_)) => read.refuse("redis_tls_cert", "the PEM file of the certificate of REDIS_TLS_KEY"),
        _ => {}
    }
    TlsFiles {
        ca: read.optional("redis_tls_ca").map(PathBuf::from),
        client: cert.zip(key).map(|(cert, key)| ClientFiles { cert, key }),
        skip_verify: read.get("redis_tls_skip_verify", parse::boolean),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod documents;
#[cfg(test)]
mod tests;
