//! Configuration and the command line, as people meet them.

use serde_json::{Value, json};

use crate::support::events::{lone, publish, with};
use crate::support::eventually;
use crate::support::host::{Host, HostBuilder, json_files};
use crate::support::redis_server::{RedisServer, STREAM};

fn running(host: &Host) -> Vec<String> {
    let status = host.status();
    let plugins = status["exporter"]["plugins"].as_array().expect("plugins");
    plugins.iter().map(|plugin| plugin["name"].as_str().expect("a name").to_owned()).collect()
}

/// Scenario: each documented value of `TRACE_EXPORTER_TYPE`, and lists of names.
/// Guarantees: just these plugins run, and stats with them unless it is switched off.
#[test]
fn the_exporter_type_chooses_the_plugins() {
    let cases: [(&str, &str, &[&str]); 7] = [
        ("console", "true", &["console", "stats"]),
        ("json", "false", &["json"]),
        ("stats", "false", &["stats"]),
        ("multi", "false", &["console", "json", "stats"]),
        ("none", "false", &[]),
        ("none", "true", &["stats"]),
        ("console, json", "false", &["console", "json"]),
    ];
    for (kind, stats, expected) in cases {
        let host = HostBuilder::idle().set("TRACE_EXPORTER_TYPE", kind).set("TRACE_ENABLE_STATS", stats).start();
        assert_eq!(running(&host), expected, "{kind}, {stats}");
        assert_eq!(host.status()["exporter"]["type"], kind);
    }
}

/// Scenario: a list with a name that no exporter has, or with no name in a place; a bundled filter's name.
/// Guarantees: the host does not start, and says what was given and what there is, or where filters go; a filter that lies there may be named, too.
#[test]
fn an_unknown_exporter_stops_the_start_and_what_there_is_is_listed() {
    for (given, unknown) in [("jsn", "jsn"), ("console,jsn", "jsn"), ("console,,json", ""), ("none,json", "none")] {
        let said = HostBuilder::idle().set("TRACE_EXPORTER_TYPE", given).refused();
        let expected = format!(
            "meshtrace: TRACE_EXPORTER_TYPE={given}: there is no exporter {unknown:?}; expected none, multi, or a comma list of console, json, otlp, stats\n"
        );
        assert_eq!(said, expected);
    }
    for (given, filter) in [("redact", "redact"), ("json, sampling", "sampling")] {
        let said = HostBuilder::idle().set("TRACE_EXPORTER_TYPE", given).refused();
        let expected =
            format!("meshtrace: TRACE_EXPORTER_TYPE={given}: {filter} is a filter; put {filter}.toml into MESHTRACE_PLUGIN_DIR\n");
        assert_eq!(said, expected);
    }
    let there = HostBuilder::idle().file("redact.toml", "").set("MESHTRACE_PLUGIN_DIR", ".").set("TRACE_EXPORTER_TYPE", "json,redact");
    assert_eq!(there.set("TRACE_ENABLE_STATS", "false").start().status()["exporter"]["type"], "json,redact");
}

/// Scenario: four traces of one or two spans, one of them failed.
/// Guarantees: `/trace/stats` has every documented key with the right value, and the ones we add.
#[test]
fn statistics_have_the_documented_keys() {
    let redis = RedisServer::start();
    let failed = with(lone("4", "book"), &[("success", "False"), ("agent_name", "booker"), ("end_time", "1795221703.5")]);
    publish(&mut redis.connect(), STREAM, &[lone("1", "search"), lone("2", "search"), lone("3", "search"), failed]);
    let host = HostBuilder::new(&redis.url()).set("TRACE_EXPORTER_TYPE", "stats").start();
    host.wait_for_exports(4);
    let mut stats = host.get("/trace/stats").json();
    let own = ["p50_duration_ms", "p95_duration_ms", "p99_duration_ms", "since"].map(|key| (key, stats[key].take()));
    assert!(own[..3].iter().all(|(_, value)| value.is_number()), "{own:?}");
    assert!(own[3].1.as_str().is_some_and(|since| since.ends_with('Z')), "{own:?}");
    let expected = json!({
        "total_traces": 4, "success_traces": 3, "failed_traces": 1, "success_rate": 75.0, "avg_duration_ms": 437.5,
        "avg_spans_per_trace": 1.0, "agents_involved": ["agent", "booker"],
        "top_operations": [{"operation": "search", "count": 3}, {"operation": "book", "count": 1}],
        "total_spans": 4, "late_parts": 0, "failed_late_parts": 0, "incomplete_traces": 0, "other": {"agents": 0, "operations": 0},
        "p50_duration_ms": null, "p95_duration_ms": null, "p99_duration_ms": null, "since": null,
    });
    assert_eq!(stats, expected);
}

/// Scenario: `TRACE_ENABLE_STATS=false`.
/// Guarantees: `/trace/stats` is a 404 that names the variable.
#[test]
fn statistics_that_are_off_are_a_404_that_names_the_variable() {
    let answer = HostBuilder::idle().start().get("/trace/stats");
    let expected = json!({"error": "statistics are off", "variable": "TRACE_ENABLE_STATS", "expected": "true, at the next start"});
    assert_eq!((answer.status, answer.json()), (404, expected));
}

/// Scenario: `MCP_MESH_DISTRIBUTED_TRACING_ENABLED=false`, and events in Redis.
/// Guarantees: nothing is read; the API is up, and says so.
#[test]
fn switched_off_nothing_is_read_and_the_api_is_up() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    publish(&mut connection, STREAM, &[lone("1", "work")]);
    let host =
        HostBuilder::new(&redis.url()).set("TRACE_ENABLE_STATS", "false").set("MCP_MESH_DISTRIBUTED_TRACING_ENABLED", "false").start();
    assert_eq!((host.get("/health").status, host.get("/ready").status), (200, 200));
    let status = host.status();
    assert_eq!((&status["enabled"], &status["consumer"]["entries_read"]), (&json!(false), &json!(0)));
    let list = json!({"enabled": false, "traces": [], "count": 0, "total": 0, "limit": 20, "offset": 0});
    assert_eq!(host.get("/trace/list").json(), list);
    let groups: redis::streams::StreamInfoGroupsReply = redis::Commands::xinfo_groups(&mut connection, STREAM).expect("groups");
    assert!(groups.groups.is_empty());
}

/// Scenario: settings in a file, in the environment and as flags, one of them in all three, and a password.
/// Guarantees: `meshtrace config` prints what is in force and where each came from, without the password.
#[test]
fn the_config_command_prints_values_and_where_each_comes_from() {
    let file = "trace_timeout = \"1m\"\nbatch_size = 7\npretty_output = false\n";
    let host = HostBuilder::idle().file("meshtrace.toml", file).set("TRACE_TIMEOUT", "2m").set("TRACE_BATCH_SIZE", "8");
    let host = host.set("REDIS_URL", "redis://user:secret@localhost:6379/2").unset("MESHTRACE_PARENT_WAIT");
    let ended = host.arguments(&["config", "--trace-timeout", "3m"]).ended();
    assert!(ended.success, "{}", ended.stderr);
    for line in [
        "trace_timeout          = 3m                                 # flag; TRACE_TIMEOUT",
        "batch_size             = 8                                  # environment; TRACE_BATCH_SIZE",
        "pretty_output          = false                              # meshtrace.toml; TRACE_PRETTY_OUTPUT",
        "parent_wait            = 30s                                # default; MESHTRACE_PARENT_WAIT",
        "plugin_dir             = (not set)                          # default; MESHTRACE_PLUGIN_DIR",
        "redis_url              = redis://user:***@localhost:6379/2  # environment; REDIS_URL",
    ] {
        assert!(ended.stdout.lines().any(|own| own == line), "{line} is not in\n{}", ended.stdout);
    }
    assert!(!ended.stdout.contains("secret") && !ended.stderr.contains("secret"));
}

/// Scenario: who reads what a command prints has stopped, as `head` does.
/// Guarantees: the command ends well, and says nothing of it.
#[test]
fn a_command_that_nobody_reads_any_more_ends_well() {
    for arguments in [
        &["config"][..],
        &["plugin", "list"],
        &["plugin", "check", "stats"],
        &["demo", "--once", "--exporter-type", "none", "--enable-stats=false"],
    ] {
        let ended = HostBuilder::idle().arguments(arguments).unread().ended();
        assert!(ended.success && ended.stderr.is_empty(), "{arguments:?}: {}", ended.stderr);
    }
}

/// Scenario: values that mean nothing, in each place; and names that nothing has.
/// Guarantees: the start is refused with the name, what was given and what is allowed; all bad values at once, and no password.
#[test]
fn what_is_set_wrongly_stops_the_start_and_names_itself() {
    let host = HostBuilder::idle().file("meshtrace.toml", "max_trace_spans = 0\n").set("TRACE_ENABLE_STATS", "perhaps");
    let said = host.set("REDIS_URL", "http://user:secret@host").arguments(&["run", "--trace-timeout", "5"]).refused();
    let expected = "\
meshtrace: REDIS_URL=http://user:***@host: expected redis://HOST:PORT/DB, rediss://HOST:PORT/DB or embedded://HOST:PORT
--trace-timeout=5: expected a Go duration above 0, such as 30s, 5m or 1h
meshtrace.toml: max_trace_spans=0: expected a whole number above 0
TRACE_ENABLE_STATS=perhaps: expected true or false
";
    assert_eq!(said, expected);
    let said = HostBuilder::idle().set("REDIS_URL", "redis://:secret@host:notaport").set("REDIS_TLS_CERT", "client.pem").refused();
    let expected = "\
meshtrace: REDIS_TLS_KEY=: expected the PEM file of the key of REDIS_TLS_CERT
REDIS_URL=redis://:***@host:notaport: expected redis://USER:PASSWORD@HOST:PORT/DB, where HOST is no wildcard, PORT and DB are numbers, and / ? # @ % in a password are percent-encoded
";
    assert_eq!(said, expected);
    let said = HostBuilder::idle().file("meshtrace.toml", "trace_time_out = \"5m\"\n").refused();
    assert!(said.starts_with("meshtrace: meshtrace.toml: unknown key \"trace_time_out\"; there are tracing_enabled, "), "{said}");
    let said = HostBuilder::idle().set("MESHTRACE_QUIET_PERIODS", "5s").refused();
    assert!(said.starts_with("meshtrace: unknown environment variable MESHTRACE_QUIET_PERIODS; there are MESHTRACE_STREAM, "), "{said}");
    let said = HostBuilder::idle().arguments(&["run", "--trace-timeouts", "5m"]).refused();
    assert!(said.contains("unexpected argument '--trace-timeouts'") && said.contains("'--trace-timeout'"), "{said}");
    let said = HostBuilder::idle().set("MESHTRACE_LOG", "loud=very=").refused();
    assert!(said.starts_with("meshtrace: MESHTRACE_LOG=loud=very=: expected error, warn, info, debug, trace or a filter"), "{said}");
}

/// Scenario: `meshtrace demo --once`, with a free port and a directory of its own, in a shell whose variables are for another host.
/// Guarantees: it ends by itself and well, says what to try, shows every trace as a tree, and leaves a file for each.
#[test]
fn the_demo_shows_the_captured_traces_and_ends() {
    let ended = HostBuilder::idle()
        .set("REDIS_URL", "redis://nowhere.invalid:1")
        .set("TRACE_EXPORTER_TYPE", "none")
        .set("TRACE_PRETTY_OUTPUT", "false")
        .unset("TRACE_JSON_OUTPUT_DIR")
        .arguments(&["demo", "--once", "--json-output-dir", "files"])
        .ended();
    assert!(ended.success, "{}", ended.stderr);
    assert_eq!(ended.stdout.lines().last(), Some("70 traces exported"));
    assert_eq!(ended.stdout.lines().filter(|line| line.starts_with("🔗 TRACE ")).count(), 70);
    assert_eq!(ended.stdout.matches("curl -s").count(), 3);
    assert!(ended.stdout.contains("  traces appear below as trees; as JSON files in files; and at http://"), "{}", ended.stdout);
    assert!(ended.stdout.contains("--plugin-dir"));
    let files = json_files(&ended.dir.path().join("files"));
    let spans: usize = files.values().filter_map(|file| file["spans"].as_array()).map(Vec::len).sum();
    assert_eq!((files.len(), spans), (70, 232));
}

/// Scenario: the demo, with flags that choose no console, or lines in place of trees.
/// Guarantees: it says where traces appear then.
#[test]
fn the_demo_says_where_traces_appear() {
    for (flags, said) in [
        (["--exporter-type", "none"], "  traces do not appear here, as the console exporter does not run; and at http://"),
        (["--pretty-output", "false"], "  traces appear below, a line each; as JSON files in files; and at http://"),
    ] {
        let host = HostBuilder::idle().arguments(&[&["demo", "--once", "--json-output-dir", "files"][..], &flags].concat());
        let ended = host.ended();
        assert!(ended.success && ended.stdout.contains(said), "{}{}", ended.stdout, ended.stderr);
        assert_eq!(ended.stdout.lines().last(), Some("70 traces exported"));
    }
}

/// Scenario: events come to the host's own listener, from an ordinary client.
/// Guarantees: with no Redis at all, a trace is exported and found.
#[test]
fn without_redis_the_host_takes_events_itself() {
    let port = crate::support::free_port();
    let url = format!("embedded://127.0.0.1:{port}");
    let host = HostBuilder::idle().set("REDIS_URL", &url).start();
    let mut connection =
        eventually("the listener answers", || redis::Client::open(("127.0.0.1", port)).expect("an address").get_connection().ok());
    publish(&mut connection, STREAM, &[lone("1", "work")]);
    host.wait_for_exports(1);
    assert_eq!(host.get("/trace/1").json()["spans"][0]["operation"], Value::from("work"));
}
