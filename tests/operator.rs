//! What an operator sees of plugins: `/plugins`, `/metrics`, and what the command line says of them before they run.

use std::fs;

use serde_json::{Value, json};

use crate::support::events::{numbered_traces, publish};
use crate::support::eventually;
use crate::support::guests::evil;
use crate::support::host::{Ended, Host, HostBuilder};
use crate::support::metrics::metrics;
use crate::support::plugin_dir::{PluginDir, plugin, plugin_when};
use crate::support::redis_server::{GROUP, RedisServer, STREAM, wait_until_settled};

/// Scenario: an exporter that is granted files and the environment and has a config, with secrets in both, takes traces beside a bundled one.
/// Guarantees: its page shows what it may do and what it has done, and neither its config nor what its environment says; reports are passed on;
/// every number in the metrics is the one of the status and of the pages.
#[test]
fn what_plugins_may_do_and_have_done_is_shown_without_secrets() {
    let redis = RedisServer::start();
    let plugins = PluginDir::new();
    let more = "env = [\"TOKEN\"]\nhttp = [\"api.example.com:443\"]\n[config]\nkey = \"hush-config\"\n[limits]\nhandles = 99\n";
    plugins.put("count.toml", format!("queue = 8\nrequired = false\n{}{more}", plugins.count_toml()));
    plugins.put("count.wasm", evil("count"));
    let dir = plugins.path().display().to_string();
    let host = HostBuilder::new(&redis.url()).set("MESHTRACE_PLUGIN_DIR", &dir).set("TOKEN", "hush-environment").start();
    publish(&mut redis.connect(), STREAM, &numbered_traces(30).1);
    host.wait_for_exports(30);
    plugin_when(&host, "count", "it took all", |count| count["exported"] == 30);
    wait_until_settled(&mut redis.connect(), GROUP);
    eventually("nothing is behind", || (host.status()["consumer"]["lag"] == 0 && host.counted("pending") == 0).then_some(()));

    let list = host.get("/plugins").json();
    assert_eq!(list["directory"], json!({"path": dir, "problem": null}));
    let row = |row: &Value| [&row["name"], &row["kind"], &row["state"], &row["required"], &row["exported"]].map(Value::to_string).join(" ");
    let rows: Vec<String> = list["plugins"].as_array().expect("plugins").iter().map(row).collect();
    let expected = [
        "\"count\" \"exporter\" \"running\" false 30",
        "\"json\" \"exporter\" \"running\" true 30",
        "\"stats\" \"exporter\" \"running\" true 30",
    ];
    assert_eq!(rows, expected);

    // A mistake beside a secret: the `.toml` is refused, and what stands there is not told.
    plugins.put("count.toml", format!("required = false\n{}[config]\nkey = \"hush-broken\" hush\n", plugins.count_toml()));
    let count = plugin_when(&host, "count", "the manifest is refused", |count| count["failed_loads"] == 1);
    assert!(count["problem"]["reason"].as_str().is_some_and(|reason| reason.contains("count.toml: line ")), "{count}");
    assert!(!host.stderr().contains("hush"));

    let out = plugins.out().display().to_string();
    let grants = json!({
        "stdout": false, "env": ["TOKEN"], "http": [{"host": "api.example.com:443", "private": false}],
        "dirs": [{"path": out, "as": "/out", "access": "write"}]
    });
    assert_eq!((&count["grants"], &count["queue"]), (&grants, &json!({"size": 8, "waiting": 0})));
    assert_eq!(count["limits"]["handles"], json!({"value": 99, "hits": 0}));
    assert!(count["calls"].as_u64() > Some(0) && count["call_time_ms"].as_f64() > Some(0.0), "{count}");
    assert!(count["memory_bytes"].as_u64() > Some(64 * 1024), "{count}");
    assert_eq!(
        (&count["history"][0]["what"], &count["history"][1]["what"], &count["history"][2]),
        (&json!("loaded"), &json!("failed"), &Value::Null)
    );

    assert_eq!(host.get("/plugins/count/report").json(), json!({"taken": 30}));
    assert_eq!(host.get("/plugins/stats/report").json(), host.get("/trace/stats").json());
    let missing = host.get("/plugins/json/report");
    assert_eq!((missing.status, missing.json()["plugin"].clone()), (404, json!("json")));
    let unknown = host.get("/plugins/nosuch");
    let expected = json!({"error": "no such plugin", "plugin": "nosuch", "plugins": ["count", "json", "stats"]});
    assert_eq!((unknown.status, unknown.json()), (404, expected));
    for path in ["/plugins", "/plugins/count", "/plugins/count/report", "/metrics", "/trace/status"] {
        assert!(!host.get(path).body.contains("hush"), "{path}");
    }
    numbers_agree(&host);
}

#[track_caller]
fn numbers_agree(host: &Host) {
    let (metrics, status) = (metrics(host), host.status());
    let told = |series: &str| metrics.get(series).copied().unwrap_or_else(|| panic!("no {series} in {metrics:#?}"));
    for (path, series) in [
        ("/consumer/entries_read", "meshtrace_entries_read_total"),
        ("/consumer/entries_acknowledged", "meshtrace_entries_acknowledged_total"),
        ("/input/events", "meshtrace_events_total"),
        ("/correlator/decided/complete", "meshtrace_decided_traces_total{reason=\"complete\"}"),
        ("/exporter/exported_traces", "meshtrace_exported_traces_total"),
        ("/store/traces", "meshtrace_store_traces"),
    ] {
        let value = status.pointer(path).and_then(Value::as_f64);
        assert_eq!((value, value > Some(0.0)), (Some(told(series)), true), "{path}");
    }
    for name in ["count", "json", "stats"] {
        let page = plugin(host, name);
        for (path, series) in [
            ("/exported", "meshtrace_plugin_exported_traces_total"),
            ("/calls", "meshtrace_plugin_calls_total"),
            ("/failures", "meshtrace_plugin_failures_total"),
            ("/memory_bytes", "meshtrace_plugin_memory_bytes"),
            ("/queue/size", "meshtrace_plugin_queue_max_batches"),
            ("/swaps", "meshtrace_plugin_swaps_total"),
        ] {
            // A page that is asked for makes a report be asked for: that is no call.
            assert_eq!(page.pointer(path).and_then(Value::as_f64), Some(told(&format!("{series}{{plugin=\"{name}\"}}"))), "{name}{path}");
        }
        assert_eq!(told(&format!("meshtrace_plugin_state{{plugin=\"{name}\",state=\"running\"}}")), 1.0);
    }
    let written = status["exporter"]["plugins"][1]["metrics"]["files_written"].as_f64();
    assert_eq!(written, Some(told("meshtrace_plugin_own_total{plugin=\"json\",name=\"files_written\"}")));
}

/// Scenario: something that is no component is dropped in, then something that fails in init; both are taken away, and then the whole directory.
/// Guarantees: what is wrong is shown with the moment and in words, until it is gone; the directory's own problem is shown too.
#[test]
fn what_cannot_be_loaded_is_shown_with_the_reason() {
    let plugins = PluginDir::new();
    let host = HostBuilder::idle().set("MESHTRACE_PLUGIN_DIR", &plugins.path().display().to_string()).start();
    plugins.put("text.wasm", "(component)");
    plugins.put("refuses.wasm", evil("init-fails"));
    let failed = |name| plugin_when(&host, name, "it failed", |plugin| plugin["state"] == "failed");
    let (text, refuses) = (failed("text"), failed("refuses"));
    let expected = "plugin \"text\": this is no WebAssembly file; expected a component, as built with --target wasm32-wasip2";
    assert_eq!((&text["problem"]["moment"], &text["problem"]["reason"]), (&json!("compiling"), &json!(expected)));
    assert_eq!((&refuses["problem"]["moment"], &refuses["failed_loads"]), (&json!("starting"), &json!(1)));
    assert_eq!((&refuses["history"][0]["what"], refuses["history"][0]["digest"].is_string()), (&json!("failed"), true));
    assert_eq!(metrics(&host)["meshtrace_plugin_failed_loads_total{plugin=\"text\"}"], 1.0);
    plugins.remove("text.wasm");
    let gone = plugin_when(&host, "text", "it is gone", |plugin| plugin["state"] == "gone");
    assert_eq!((&gone["problem"], &gone["history"][1]["what"]), (&Value::Null, &json!("removed")));
    assert!(metrics(&host).keys().all(|series| !series.contains("\"text\"")), "what is gone has no metrics");
    fs::remove_dir_all(plugins.path()).expect("it was there");
    let list =
        eventually("the directory is missed", || Some(host.get("/plugins").json()).filter(|list| !list["directory"]["problem"].is_null()));
    let reason = list["directory"]["problem"]["reason"].as_str().expect("a reason");
    assert!(reason.ends_with("the directory cannot be read: No such file or directory (os error 2); what runs runs on"), "{reason}");
    assert_eq!(metrics(&host)["meshtrace_plugin_directory_readable"], 0.0);
}

/// A command about the plugins in `dir`.
#[track_caller]
fn command(dir: &PluginDir, arguments: &[&str]) -> Ended {
    HostBuilder::idle().set("MESHTRACE_PLUGIN_DIR", &dir.path().display().to_string()).arguments(arguments).ended()
}

/// Scenario: the directory has a component under two names, one that is not enabled, one that is lost, and a `.toml` that is not understood.
/// Guarantees: the list has a line for each, and what is wrong.
#[test]
fn the_list_tells_what_is_wrong_with_each() {
    let dir = PluginDir::new();
    for (name, text) in [
        ("east.toml", "component = \"mine.wasm\""),
        ("west.toml", "component = \"mine.wasm\"\ncolour = 1"),
        ("json.toml", "enabled = false"),
        ("lost.toml", ""),
        ("mine.wasm", ""),
    ] {
        dir.put(name, text);
    }
    let list = command(&dir, &["plugin", "list"]);
    let path = dir.path().display().to_string();
    let expected = format!(
        "\
console              bundled
east                 plugin directory
json                 plugin directory, the bundled json; not enabled
lost                 plugin directory, but there is neither a file lost.wasm in the plugin directory nor a bundled plugin \"lost\" (component would name another)
otlp                 bundled
redact               bundled
sampling             bundled
stats                bundled
west                 plugin directory, but there is neither a file west.wasm in the plugin directory nor a bundled plugin \"west\" (component would name another); its .toml is not understood:
                       {path}/west.toml: line 2, column 1: unknown field `colour`, expected one of `component`, `enabled`, `required`, `order`, `on-failure`, `max-traces`, `instances`, `queue`, `config`, `permissions`, `limits`
"
    );
    assert_eq!((list.success, list.stdout), (true, expected));
}

/// Scenario: a bundled plugin, a component in the plugin directory with a `.toml`, and one anywhere are looked at.
/// Guarantees: all of it is said in words, and the exit code says that the host takes them.
#[test]
fn a_plugin_is_looked_at_before_it_runs() {
    let dir = PluginDir::new();
    dir.put("count.toml", dir.count_toml());
    dir.put("count.wasm", evil("count"));
    let checked = command(&dir, &["plugin", "check", "count"]);
    assert!(checked.success, "{}", checked.stderr);
    let bytes = evil("count").len();
    let (path, out) = (dir.path().display().to_string(), dir.out().display().to_string());
    let digest = checked.stdout.lines().find_map(|line| line.strip_prefix("sha256               ")).expect("a digest").to_owned();
    let expected = format!(
        "\
name                 count
kind                 exporter
describes itself as  count 1
component            {path}/count.wasm, {bytes} bytes
sha256               {digest}
exports besides      report and state
side by side         no, one instance only
config               none in its .toml
may use              (it imports this, and may never call it)
  environment variables    denied; granted by env = [\"NAME\"]
  files                    granted: {out} as /out to write
  standard output          goes to the log; not so with stdout = true
this host takes it; its init has not been run
"
    );
    assert_eq!((checked.stdout.as_str(), digest.len()), (expected.as_str(), 64));
    assert!(!dir.out().join("taken").exists(), "nothing was run");

    let elsewhere = tempfile::tempdir().expect("a directory");
    let file = elsewhere.path().join("mine.wasm");
    fs::write(&file, evil("init-fails")).expect("a file");
    let checked = command(&dir, &["plugin", "check", &file.display().to_string()]);
    assert!(
        checked.success && checked.stdout.contains("config               none, as it has no .toml\n"),
        "{}{}",
        checked.stdout,
        checked.stderr
    );
    assert!(command(&dir, &["plugin", "check", "redact"]).stdout.contains("kind                 filter\n"));

    // What the settings grant is shown as granted, to the bundled plugin and to nobody else of its name.
    let json = command(&dir, &["plugin", "check", "json"]);
    let out = json.dir.path().join("json").display().to_string();
    for line in [
        format!("config               from TRACE_JSON_OUTPUT_DIR={out}\n"),
        format!("  files                    granted: {out} as /out to write\n"),
        format!("grants               from TRACE_JSON_OUTPUT_DIR={out}\n"),
    ] {
        assert!(json.stdout.contains(&line), "{line} in {}", json.stdout);
    }
    assert!(!std::path::Path::new(&out).exists(), "nothing was made");
    assert!(command(&dir, &["plugin", "check", "console"]).stdout.contains("  standard output          granted: the host's\n"));
    dir.put("otlp.wasm", evil("http"));
    let other = command(&dir, &["plugin", "check", "otlp"]).stdout;
    assert!(other.contains("  HTTP requests            denied; granted by http = [\"host:port\"]\n"), "{other}");
    let withheld = "not granted          env = [\"OTEL_EXPORTER_OTLP_HEADERS\"], http = [{ host = \"localhost:4318\", private = true }] (the settings grant this to the bundled otlp only)\n";
    assert!(other.contains(withheld), "{other}");
}

/// Scenario: files that are no plugins of this host, terms that cannot be kept, a directory that is not there, a name that nobody has.
/// Guarantees: the command fails and says why, in the words that the host has for it.
#[test]
fn a_plugin_that_this_host_does_not_take_is_told_why() {
    let dir = PluginDir::new();
    dir.put("text.wasm", "(component)");
    dir.put("toaster.wasm", evil("other-world"));
    dir.put("many.toml", "component = \"redact\"\ninstances = 2");
    dir.put("half.toml", "component = ");
    dir.put("nowhere.toml", "component = \"stats\"\n[permissions]\ndirs = [{ path = \"/no/such/dir\" }]");
    dir.put("greedy.toml", format!("component = \"stats\"\n[permissions]\ndirs = [{{ path = {:?}, access = \"write\" }}]", dir.path()));
    dir.put("strange.toml", "component = \"stats\"\n[config]\ncolour = 1");
    let path = dir.path().display().to_string();
    for (which, expected) in [
        ("text", "plugin \"text\": this is no WebAssembly file; expected a component, as built with --target wasm32-wasip2".to_owned()),
        (
            "toaster",
            "plugin \"toaster\": it exports [\"evil:kitchen/toaster@1.0.0\"]; expected meshtrace:plugin/trace-exporter or meshtrace:plugin/trace-filter".to_owned(),
        ),
        ("many", "plugin \"many\": instances = 2: filters decide in order, one at a time".to_owned()),
        ("nowhere", "plugin \"nowhere\": the directory /no/such/dir is granted and does not exist here".to_owned()),
        ("nosuch", "there is no plugin \"nosuch\"; expected a file, or one of console, greedy, half, json, many, nowhere, otlp, redact, sampling, stats, strange, text, toaster".to_owned()),
        (
            "greedy",
            format!(
                "plugin \"greedy\": it is to write in {path}, where {path} lies: whoever writes there decides what plugins run and what they may do; choose another directory"
            ),
        ),
        (
            "strange",
            "plugin \"strange\" does not take its config: config has colour; expected keys are max_operations, max_agents".to_owned(),
        ),
        ("./nosuch.wasm", "./nosuch.wasm cannot be read: No such file or directory (os error 2)".to_owned()),
        ("half", format!("{path}/half.toml: line 1, column 13: string values must be quoted, expected literal string")),
    ] {
        let ended = command(&dir, &["plugin", "check", which]);
        assert_eq!((ended.success, ended.stderr), (false, format!("meshtrace: {expected}\n")), "{which}");
    }
}
