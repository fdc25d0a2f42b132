use std::time::Duration;

use super::*;
use crate::plugin::{DirGrant, HttpGrant};

#[test]
fn an_empty_file_has_every_default() {
    assert_eq!(Manifest::parse("").expect("it is understood"), Manifest::default());
}

#[test]
fn every_key_is_understood() {
    let text = r#"
        component = "other.wasm"
        enabled = false
        required = false
        order = -3
        on-failure = "dead-letter"
        max-traces = 10
        instances = 2
        queue = 8
        [config]
        endpoint = "x"
        ratio = 0.5
        at = 2026-01-02T03:04:05Z
        list = [1, true]
        [permissions]
        stdout = true
        env = ["TOKEN"]
        http = ["API.example.com:443", "[::1]:80", { host = "otel-collector:4318", private = true }]
        dirs = [{ path = "/var/lib/x" }, { path = "/srv", as = "/out", access = "write" }]
        [limits]
        call-time = "1s"
        memory-bytes = "64MiB"
        log-bytes-per-second = 100
        handles = 7
    "#;
    let manifest = Manifest::parse(text).expect("it is understood");
    let http = |host: &str, port, private| HttpGrant { host: host.into(), port, private };
    let grants = Grants {
        stdout: true,
        env: vec!["TOKEN".into()],
        http: vec![http("api.example.com", 443, false), http("::1", 80, false), http("otel-collector", 4318, true)],
        dirs: vec![
            DirGrant {
                host: "/var/lib/x".into(),
                guest: "/var/lib/x".into(),
                write: false,
            },
            DirGrant {
                host: "/srv".into(),
                guest: "/out".into(),
                write: true,
            },
        ],
    };
    let expected = Manifest {
        component: Some("other.wasm".into()),
        enabled: false,
        required: false,
        order: -3,
        on_failure: Some(OnFailure::DeadLetter),
        max_traces: 10,
        instances: 2,
        queue: 8,
        config: Some(r#"{"at":"2026-01-02T03:04:05Z","endpoint":"x","list":[1,true],"ratio":0.5}"#.into()),
        grants: Some(grants),
        limits: Limits {
            call_time: Duration::from_secs(1),
            memory_bytes: 64 << 20,
            log_bytes_per_second: 100,
            handles: 7,
            ..Limits::default()
        },
    };
    assert_eq!(manifest, expected);
}

#[test]
fn what_is_not_understood_is_named_with_what_is_allowed() {
    let cases = [
        ("colour = 1", "unknown field `colour`"),
        ("max-traces = 0", "max-traces = 0: expected a whole number from 1 to 512"),
        ("instances = 33", "instances = 33: expected a whole number from 1 to 32"),
        ("on-failure = \"ignore\"", "expected one of `pass`, `hold`, `dead-letter`"),
        ("component = \"../x.wasm\"", "component = \"../x.wasm\": expected the name of a file in the plugin directory"),
        ("component = \"\"", "component = \"\": expected"),
        ("[limits]\nmemory = 3", "unknown field `memory`"),
        ("[limits]\ncall-time = 5", "limits.call-time = 5: expected a Go duration"),
        ("[limits]\nmemory-bytes = \"64MB\"", "limits.memory-bytes = \"64MB\": expected bytes"),
        ("[permissions]\nhttp = [\"example.com\"]", "permissions.http has \"example.com\""),
        ("[permissions]\nhttp = [7]", "expected \"host:port\" or"),
        ("[permissions]\ndirs = [{ path = \"x\" }]", "permissions.dirs has the path x: expected an absolute path"),
        ("[permissions]\nnetwork = true", "unknown field `network`"),
        ("[config]\nx = nan", "config: NaN is no number in JSON"),
    ];
    for (text, expected) in cases {
        let error = format!("{:#}", Manifest::parse(text).expect_err(text));
        assert!(error.contains(expected), "{text}: {error}");
    }
}

/// What is wrong is told with its place, and never with what stands there: it is logged, and shown to whoever asks.
#[test]
fn no_value_is_quoted() {
    let cases = [
        ("colour = \"hush\"", "line 1, column 1: unknown field `colour`, expected one of `component`, "),
        ("[config]\ntoken = \"hush\" hush\n", "line 2, column 16: "),
        ("[config]\ntöken = \"a\" ; token = hush", "line 2, column 13: "),
        ("[config]\n\ntoken = hush", "line 3, column 9: "),
        ("[config]\ntoken = \"hush\ngo = 1", "line 2, column "),
        ("[config]\ntoken = \"hush\"\ntoken = \"hush\"", "line 3, column 1: duplicate key"),
        ("config = \"hush\"", "line 1, column 10: invalid type: string, expected a map"),
        ("config = \"hush, expected \\\"hush\\\"\"", "line 1, column 10: invalid type: string, expected a map"),
        ("[permissions]\nenv = \"hush\"", "line 2, column 7: invalid type: string, expected a sequence"),
        ("[permissions]\nhttp = [{ host = \"hush:1\", private = \"hush\" }]", "line 2, column "),
    ];
    for (text, expected) in cases {
        let error = format!("{:#}", Manifest::parse(text).expect_err(text));
        assert!(error.starts_with(expected) && !error.contains("hush") && !error.contains('\n'), "{text}: {error}");
    }
}
