//! Precedence, and what is refused.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::{Config, Origin, SETTINGS, SourceConfig, Sources, Values};

fn environment(pairs: &[(&str, &str)]) -> Sources {
    Sources {
        environment: pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        ..Sources::default()
    }
}

fn refused(sources: Sources) -> String {
    let config = Values::new(sources).and_then(|values| Config::new(&values));
    config.expect_err("a refusal").to_string()
}

#[test]
fn without_settings_all_is_as_the_readme_says() {
    let config = Config::new(&Values::new(Sources::default()).expect("values")).expect("a configuration");
    assert!(config.enabled && config.exporters.stats && config.exporters.pretty);
    assert_eq!((config.exporters.kind.as_str(), config.exporters.json_dir), ("console", PathBuf::from("/tmp")));
    assert_eq!((config.rules.timeout_ms, config.rules.quiet_ms, config.rules.parent_wait_ms), (300_000, 5_000, 30_000));
    assert_eq!((config.store.max_traces, config.store.retention), (1_000, Duration::from_secs(86_400)));
    assert_eq!(config.api.listen.to_string(), "127.0.0.1:8090");
    let SourceConfig::Redis(redis) = config.source else { panic!("not Redis") };
    assert_eq!((redis.url.as_str(), redis.stream.as_str(), redis.group, redis.count), ("redis://localhost:6379", "mesh:trace", None, 500));
}

#[test]
fn flags_go_over_environment_over_file_over_defaults() {
    let mut sources = environment(&[("TRACE_TIMEOUT", "2m"), ("MESHTRACE_PARENT_WAIT", "2s")]);
    sources.file = Some(("meshtrace.toml".into(), "trace_timeout = \"1m\"\nparent_wait = \"1s\"\nquiet_period = \"1s\"".into()));
    sources.flags = BTreeMap::from([("trace_timeout", "3m".to_owned())]);
    let values = Values::new(sources).expect("values");
    let rules = Config::new(&values).expect("a configuration").rules;
    assert_eq!((rules.timeout_ms, rules.parent_wait_ms, rules.quiet_ms), (180_000, 2_000, 1_000));
    assert_eq!(values.origin("trace_timeout"), Origin::Flag);
    assert_eq!(values.origin("parent_wait"), Origin::Environment);
    assert!(values.describe().contains("# meshtrace.toml; MESHTRACE_QUIET_PERIOD"));
}

#[test]
fn a_bad_value_is_named_with_what_was_given_and_what_is_allowed() {
    for (variable, given) in [
        ("TRACE_TIMEOUT", "5 minutes"),
        ("TRACE_TIMEOUT", "0"),
        ("TRACE_BATCH_SIZE", "0"),
        ("TRACE_PRETTY_OUTPUT", "maybe"),
        ("MESHTRACE_LISTEN", "8090"),
        ("REDIS_URL", "localhost:6379"),
        ("REDIS_URL", "redis://localhost:notaport"),
        ("REDIS_URL", "redis://localhost:66379"),
        ("REDIS_URL", "redis://localhost/first"),
        ("REDIS_URL", "redis://"),
        ("REDIS_URL", "rediss://localhost#secure"),
        ("REDIS_URL", "redis://localhost#secure"),
        ("REDIS_URL", "redis://0.0.0.0:6379"),
        ("REDIS_URL", "embedded://localhost"),
        ("REDIS_URL", "embedded://localhost:notaport"),
        ("REDIS_URL", "embedded://:6379"),
        ("MESHTRACE_JSON_MODE", "xml"),
    ] {
        let error = refused(environment(&[(variable, given)]));
        assert!(error.starts_with(&format!("{variable}={given}: expected ")), "{error}");
    }
    let mut sources = Sources::default();
    sources.flags.insert("trace_timeout", "x".into());
    assert!(refused(sources).starts_with("--trace-timeout=x: expected a Go duration"));
}

#[test]
fn all_bad_values_are_named_at_once_and_no_secret_with_them() {
    let error = refused(environment(&[("TRACE_TIMEOUT", "x"), ("TRACE_BATCH_SIZE", "-1"), ("REDIS_URL", "http://u:hunter2@h")]));
    assert_eq!(error.lines().count(), 3);
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn a_bad_value_is_named_once() {
    let mut refusals = 0;
    for setting in SETTINGS {
        let config = Values::new(environment(&[(setting.env, "?")])).and_then(|values| Config::new(&values));
        if let Err(error) = config {
            refusals += 1;
            assert_eq!(error.to_string().lines().count(), 1, "{error}");
        }
    }
    assert!(refusals > 20, "most settings take no question mark: {refusals}");
}

#[test]
fn a_url_of_redis_is_taken_as_its_client_takes_it() {
    for url in [
        "redis://localhost",
        "redis://localhost:6379/2",
        "rediss://user:p%40ss@redis.internal:6380/0",
        "rediss://localhost#insecure",
        "redis://[::1]:6379",
        "redis://localhost?protocol=resp3",
    ] {
        let config = Config::new(&Values::new(environment(&[("REDIS_URL", url)])).expect("values")).expect("a configuration");
        let SourceConfig::Redis(redis) = config.source else { panic!("not Redis") };
        assert_eq!(redis.url, url);
    }
}

#[test]
fn a_url_that_cannot_be_read_is_refused_without_its_password() {
    for (url, shown) in [
        ("redis://u:hush@h:notaport", "redis://u:***@h:notaport"),
        ("rediss://:hush/hush@h:1", "rediss://:***@h:1"),
        ("redis://:hush%FF@h", "redis://:***@h"),
        ("redis://:hush#hush@h", "redis://:***@h"),
    ] {
        let error = refused(environment(&[("REDIS_URL", url)]));
        assert!(error.starts_with(&format!("REDIS_URL={shown}: expected redis://USER:PASSWORD@HOST:PORT/DB, where ")), "{error}");
        assert!(!error.contains("hush"), "{error}");
    }
}

#[test]
fn half_of_a_client_s_certificate_is_refused() {
    let error = |variable| refused(environment(&[(variable, "client.pem")]));
    assert_eq!(error("REDIS_TLS_CERT"), "REDIS_TLS_KEY=: expected the PEM file of the key of REDIS_TLS_CERT");
    assert_eq!(error("REDIS_TLS_KEY"), "REDIS_TLS_CERT=: expected the PEM file of the certificate of REDIS_TLS_KEY");
}

#[test]
fn a_file_that_is_no_toml_is_refused_with_the_place_and_not_with_what_stands_there() {
    for (text, place) in [
        ("redis_url = \"redis://:hush@host\nstream = \"s\"", "line 1, column "),
        ("stream = \"s\"\nredis_url = redis://:hush@host", "line 2, column 13: "),
        ("api_token = \"hush\" hush", "line 1, column 20: "),
        ("api_token = hush", "line 1, column 13: "),
        ("api_token = \"hush\"\napi_token = \"hush\"", "line 2, column 1: duplicate key"),
        ("api_token = [\"hush\"]", "api_token is of type array"),
    ] {
        let sources = Sources {
            file: Some(("meshtrace.toml".into(), text.into())),
            ..Sources::default()
        };
        let error = format!("{:#}", Values::new(sources).expect_err("a refusal"));
        let expected = if place.starts_with("line") {
            format!("meshtrace.toml is not valid TOML: {place}")
        } else {
            format!("meshtrace.toml: {place}")
        };
        assert!(error.starts_with(&expected) && !error.contains("hush") && !error.contains('\n'), "{text}: {error}");
    }
}

#[test]
fn unknown_keys_and_variables_are_refused() {
    let file = Some(("meshtrace.toml".into(), "trace_time_out = \"1m\"".into()));
    let sources = Sources { file, ..Sources::default() };
    assert!(refused(sources).contains("unknown key \"trace_time_out\""));
    assert!(refused(environment(&[("MESHTRACE_PARENTWAIT", "1s")])).contains("unknown environment variable MESHTRACE_PARENTWAIT"));
    let error = refused(environment(&[("MESHTRACE_CONFIGS", "my.toml")]));
    assert!(error.contains("unknown environment variable MESHTRACE_CONFIGS") && error.ends_with(", MESHTRACE_CONFIG"), "{error}");
    Values::new(environment(&[("MESHTRACE_SERVICE_HOST", "10.0.0.1"), ("MESHTRACE_PORT_8090_TCP", "x"), ("MESHTRACE_LISTEN", "")]))
        .expect("not ours");
}

#[test]
fn compiled_plugins_are_kept_where_the_user_s_caches_are_unless_told_otherwise() {
    let dir = |pairs: &[(&str, &str)]| {
        let values = Values::new(environment(pairs)).expect("values");
        Config::new(&values).expect("a configuration").exporters.cache_dir.map(|dir| dir.display().to_string())
    };
    let home = ("HOME", "/home/me");
    let users = Some("/home/me/.cache/meshtrace".to_owned());
    assert_eq!(dir(&[home]), users);
    assert_eq!(dir(&[home, ("XDG_CACHE_HOME", "/caches")]), Some("/caches/meshtrace".to_owned()));
    assert_eq!(dir(&[home, ("XDG_CACHE_HOME", "not/absolute")]), users);
    assert_eq!(dir(&[home, ("MESHTRACE_CACHE_DIR", "")]), users);
    assert_eq!(dir(&[home, ("MESHTRACE_CACHE_DIR", "here")]), Some("here".to_owned()));
    assert_eq!(dir(&[home, ("MESHTRACE_CACHE_DIR", "off")]), None);
    assert_eq!([dir(&[]), dir(&[("HOME", "")])], [None, None]);
}

#[test]
fn an_embedded_url_listens() {
    let listener = |url: &str| {
        let values = Values::new(environment(&[("REDIS_URL", url)])).expect("values");
        let SourceConfig::Embedded { address, password, .. } = Config::new(&values).expect("a configuration").source else {
            panic!("not embedded")
        };
        (address, password, values.describe())
    };
    for (url, expected) in [
        ("embedded://:pw@127.0.0.1:7000", Some("pw")),
        ("embedded://default:pw@127.0.0.1:7000/", Some("pw")),
        // As clients decode what they are given.
        ("embedded://:p%40s%2Fs%25@127.0.0.1:7000", Some("p@s/s%")),
        ("embedded://:100%@127.0.0.1:7000", Some("100%")),
        ("embedded://127.0.0.1:7000", None),
        ("embedded://default@127.0.0.1:7000", None),
    ] {
        let (address, password, described) = listener(url);
        assert_eq!(address, "127.0.0.1:7000", "{url}");
        assert_eq!(password.is_some(), expected.is_some(), "{url}");
        assert!(password.is_none_or(|password| password.is(expected.unwrap_or_default().as_bytes())), "{url}");
        assert!(!described.contains("pw@") && !described.contains("100%"), "{url}");
        assert_eq!(described.lines().count(), SETTINGS.len());
    }
}

#[test]
fn an_embedded_url_with_another_user_or_a_password_that_is_no_text_is_refused() {
    for (url, shown) in [
        ("embedded://agents:hush@h:1", "embedded://agents:***@h:1"),
        ("embedded://hush@h:1", "embedded://***@h:1"),
        ("embedded://:hush%FF@h:1", "embedded://:***@h:1"),
    ] {
        let error = refused(environment(&[("REDIS_URL", url)]));
        assert!(error.starts_with(&format!("REDIS_URL={shown}: expected embedded://:PASSWORD@HOST:PORT")), "{error}");
        assert!(!error.contains("hush"), "{error}");
    }
}
