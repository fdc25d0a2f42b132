//! The table of settings.

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its key in `meshtrace.toml`; the flag is the same with dashes.
    pub key: &'static str,
    /// Its environment variable.
    pub env: &'static str,
    /// Its value when nobody sets it; empty = not set.
    pub default: &'static str,
    /// What it is, with its unit.
    pub help: &'static str,
}

const fn setting(key: &'static str, env: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting { key, env, default, help }
}

/// All settings. The first block is MCP Mesh's own: its names, and its defaults except where a comment says why not.
pub const SETTINGS: &[Setting] = &[
    // MCP Mesh defaults to false; but nobody starts meshtrace to trace nothing.
    setting("tracing_enabled", "MCP_MESH_DISTRIBUTED_TRACING_ENABLED", "true", "Read events; false leaves only the API up"),
    setting(
        "redis_url",
        "REDIS_URL",
        "redis://localhost:6379",
        "redis://, rediss:// (TLS), or embedded://HOST:PORT to listen without a Redis",
    ),
    setting("redis_tls_ca", "REDIS_TLS_CA", "", "PEM file of the authorities to trust instead of the system's"),
    setting("redis_tls_cert", "REDIS_TLS_CERT", "", "PEM file of the client certificate"),
    setting("redis_tls_key", "REDIS_TLS_KEY", "", "PEM file of the client key"),
    setting("redis_tls_skip_verify", "REDIS_TLS_SKIP_VERIFY", "false", "Accept any server certificate"),
    setting(
        "exporter_type",
        "TRACE_EXPORTER_TYPE",
        "console",
        "console, json, stats, multi (all of these), otlp, none, or a comma list of exporters",
    ),
    setting("pretty_output", "TRACE_PRETTY_OUTPUT", "true", "Console: trees; false: one line per trace"),
    setting("enable_stats", "TRACE_ENABLE_STATS", "true", "Run the stats exporter, which /trace/stats asks"),
    setting("json_output_dir", "TRACE_JSON_OUTPUT_DIR", "/tmp", "Directory of the json exporter"),
    setting(
        "telemetry_endpoint",
        "TELEMETRY_ENDPOINT",
        "http://localhost:4318",
        "otlp: the collector, as HOST:PORT or URL; only this may be sent to. OTEL_EXPORTER_OTLP_HEADERS goes with every request",
    ),
    // MCP Mesh defaults to grpc, which is not spoken here.
    setting("telemetry_protocol", "TELEMETRY_PROTOCOL", "http", "otlp: http, which is OTLP over HTTP as protobuf"),
    // MCP Mesh defaults to 100. A read costs a round trip however many entries it brings, and its bytes have a bound of their own.
    setting("batch_size", "TRACE_BATCH_SIZE", "", "Entries per read, 1 to 10000; not set: 500"),
    setting("trace_timeout", "TRACE_TIMEOUT", "5m", "A trace with an open span expires after this long without an event"),
    setting(
        "trace_retention",
        "MCP_MESH_TRACE_RETENTION",
        "24h",
        "Entries in Redis and traces in memory are removed after this long; 0: never by age",
    ),
    setting(
        "stream_max_len",
        "MCP_MESH_TRACE_STREAM_MAXLEN",
        "100000",
        "Entries that agents leave in the stream, about; 0: all. Meshtrace trims nothing by it: it foretells what agents will trim",
    ),
    setting(
        "consumer_group",
        "MCP_MESH_TRACE_CONSUMER_GROUP",
        "",
        "Consumer group; not set: mcp-mesh-registry-processors, or meshtrace beside a registry that reads that one",
    ),
    setting("stream", "MESHTRACE_STREAM", "mesh:trace", "Redis stream; older agents write mcp-mesh:traces"),
    setting("listen", "MESHTRACE_LISTEN", "127.0.0.1:8090", "Address and port of the HTTP API"),
    setting(
        "api_token_file",
        "MESHTRACE_API_TOKEN_FILE",
        "",
        "File with a token of 16 characters or more; then the API asks for it, as Authorization: Bearer TOKEN",
    ),
    setting(
        "api_token",
        "MESHTRACE_API_TOKEN",
        "",
        "The token itself; others on this machine may see flags and variables, so prefer the file",
    ),
    setting(
        "tls_cert",
        "MESHTRACE_TLS_CERT",
        "",
        "PEM file of the API's certificate and those that vouch for it; then it speaks HTTPS only",
    ),
    setting("tls_key", "MESHTRACE_TLS_KEY", "", "PEM file of the certificate's key"),
    setting(
        "insecure_bind",
        "MESHTRACE_INSECURE_BIND",
        "false",
        "Let the API listen where others reach it, without a token or without TLS; an embedded listener, without a password",
    ),
    setting(
        "plugin_dir",
        "MESHTRACE_PLUGIN_DIR",
        "",
        "Directory whose *.wasm and *.toml files are run as plugins, and followed while they change",
    ),
    setting(
        "cache_dir",
        "MESHTRACE_CACHE_DIR",
        "",
        "Directory where compiled plugins are kept, writable by nobody else; not set: $XDG_CACHE_HOME/meshtrace, else $HOME/.cache/meshtrace; off: nowhere",
    ),
    setting(
        "quiet_period",
        "MESHTRACE_QUIET_PERIOD",
        "5s",
        "A trace whose spans are all closed is complete after this long without an event",
    ),
    setting("parent_wait", "MESHTRACE_PARENT_WAIT", "30s", "How long a parent that was named and has not come is waited for"),
    setting("max_trace_age", "MESHTRACE_MAX_TRACE_AGE", "1h", "A trace that never falls quiet is decided at this age"),
    setting("max_trace_spans", "MESHTRACE_MAX_TRACE_SPANS", "10000", "A trace is decided when it has this many spans"),
    setting(
        "max_trace_bytes",
        "MESHTRACE_MAX_TRACE_BYTES",
        "8388608",
        "A trace is decided when it holds this many bytes; filters need limits to match",
    ),
    setting(
        "max_open_bytes",
        "MESHTRACE_MAX_OPEN_BYTES",
        "536870912",
        "Bytes that open traces may hold; beyond, those nearest to their end are decided early",
    ),
    setting(
        "max_queued_bytes",
        "MESHTRACE_MAX_QUEUED_BYTES",
        "268435456",
        "Bytes of decided traces that may wait for filters and required exporters; beyond, nothing more is read",
    ),
    setting("remember", "MESHTRACE_REMEMBER", "10m", "How long the id of a decided trace is remembered, so that late spans join it"),
    setting("max_remembered", "MESHTRACE_MAX_REMEMBERED", "5000000", "How many ids are remembered at most"),
    setting("store_traces", "MESHTRACE_STORE_TRACES", "1000", "Traces that queries find"),
    setting("store_bytes", "MESHTRACE_STORE_BYTES", "268435456", "Bytes that these traces may hold"),
    setting("json_mode", "MESHTRACE_JSON_MODE", "files", "files: one file per trace; lines: one line per trace in traces.jsonl"),
    setting("json_max_bytes", "MESHTRACE_JSON_MAX_BYTES", "104857600", "Lines: bytes after which the file is rotated"),
    setting("json_max_files", "MESHTRACE_JSON_MAX_FILES", "10", "Lines: rotated files that are kept"),
    setting("log", "MESHTRACE_LOG", "info", "error, warn, info, debug, trace, or a filter such as info,meshtrace::source=debug"),
];

impl Setting {
    /// The flag's name, without the two dashes.
    pub fn flag(&self) -> String {
        self.key.replace('_', "-")
    }

    /// `value` without secrets, for people.
    pub fn shown(&self, value: &str) -> String {
        match self.key {
            "redis_url" | "telemetry_endpoint" => masked(value),
            "api_token" if !value.is_empty() => "***".to_owned(),
            _ => value.to_owned(),
        }
    }

    /// Whether it is true or false; then its flag needs no value to mean true.
    pub fn is_boolean(&self) -> bool {
        ["true", "false"].contains(&self.default)
    }
}

/// A URL whose user part shows the user at most.
fn masked(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        // No URL at all; but what stands before an `@` may be meant as a password.
        return url.rsplit_once('@').map_or_else(|| url.to_owned(), |(_, host)| format!("***@{host}"));
    };
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    // A password may itself hold an `@` or a slash; whatever stands before the last `@` is masked.
    let end = rest.rfind('@').map_or(authority_end, |at| at.max(authority_end.min(at)));
    match rest.get(..end).filter(|_| rest[end..].starts_with('@')) {
        Some(user) => match user.split_once(':') {
            Some((user, _)) => format!("{scheme}://{user}:***{}", &rest[end..]),
            None => format!("{scheme}://***{}", &rest[end..]),
        },
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        for (url, shown) in [
            ("redis://localhost:6379", "redis://localhost:6379"),
            ("redis://:secret@host/2", "redis://:***@host/2"),
            ("rediss://user:sec/r@t@host:1/2", "rediss://user:***@host:1/2"),
            ("redis://secret@host", "redis://***@host"),
            (":s3cret@redis:6379", "***@redis:6379"),
        ] {
            assert_eq!(masked(url), shown);
        }
    }

    #[test]
    fn keys_and_variables_are_unique() {
        for (at, setting) in SETTINGS.iter().enumerate() {
            assert!(SETTINGS[at + 1..].iter().all(|other| other.key != setting.key && other.env != setting.env), "{}", setting.key);
        }
    }
}
