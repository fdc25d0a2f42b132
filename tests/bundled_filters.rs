//! The filters that come with the host, as operators run them.

use std::fs;

use redis::Connection;
use serde_json::{Value, json};

use crate::support::events::{Fields, lone, publish, span, with};
use crate::support::eventually;
use crate::support::host::{Host, HostBuilder};
use crate::support::plugin_dir::{PluginDir, plugin_when};
use crate::support::redis_server::{GROUP, RedisServer, STREAM, pending, undelivered, wait_until_settled};

/// Never to be found in anything that comes out.
const TOKEN: &str = "s3cr3tTokenThatNobodyMaySee0123456789";
const MAIL: &str = "alice.sesame@corp.example";

fn host(redis: &RedisServer, plugins: &PluginDir, exporters: &str) -> HostBuilder {
    HostBuilder::new(&redis.url())
        .set("TRACE_EXPORTER_TYPE", exporters)
        .set("MESHTRACE_PLUGIN_DIR", &plugins.path().display().to_string())
        .set("MESHTRACE_STORE_TRACES", "1000")
}

/// A failed span that carries both secrets wherever an agent may put them.
fn telling(trace: &str, id: &str, parent: Option<&str>) -> Fields {
    let error = format!("login of {MAIL} failed: Authorization: Bearer {TOKEN}");
    let arguments = format!("{{\"to\":\"{MAIL}\",\"headers\":{{\"authorization\":\"Bearer {TOKEN}\"}}}}");
    let changes = [
        ("success", "False"),
        ("error", &*error),
        ("authorization", &*format!("Bearer {TOKEN}")),
        ("tool_arguments", &*arguments),
        ("note", MAIL),
    ];
    with(span(trace, id, parent), &changes)
}

fn traces(name: &str, count: usize) -> Vec<Fields> {
    (0..count)
        .flat_map(|number| [telling(&format!("{name}-{number}"), "b", Some("a")), telling(&format!("{name}-{number}"), "a", None)])
        .collect()
}

/// A trace that takes the filter far longer than ten milliseconds, on most machines.
fn enormous(name: &str) -> Vec<Fields> {
    let text = format!("{} {MAIL}", "it said no again. ".repeat(50_000));
    (0..8).map(|number| with(telling(name, &format!("{number}"), None), &[("error", &text)])).collect()
}

/// Everything that the host has let out, by where.
fn outputs(host: &Host) -> Vec<(String, String)> {
    let mut all = vec![("stdout".to_owned(), host.stdout()), ("stderr".to_owned(), host.stderr())];
    for file in fs::read_dir(host.dir.path().join("json")).expect("a directory") {
        let path = file.expect("an entry").path();
        all.push((path.display().to_string(), fs::read_to_string(&path).expect("UTF-8")));
    }
    let mut paths: Vec<String> =
        ["/trace/status", "/trace/list?limit=100", "/trace/search?limit=100", "/trace/stats", "/plugins", "/plugins/redact", "/metrics"]
            .map(str::to_owned)
            .into();
    for id in host.json_files().keys() {
        paths.extend([format!("/trace/{id}"), format!("/registry/trace/{id}"), format!("/trace/{id}/decision")]);
    }
    all.extend(paths.into_iter().map(|path| (path.clone(), host.get(&path).body)));
    all
}

#[track_caller]
fn assert_nothing_told(host: &Host) {
    for (place, text) in outputs(host) {
        assert!(!text.contains(TOKEN) && !text.contains(MAIL), "{place} tells a secret");
    }
}

fn waits_for_redact(host: &Host) -> Option<()> {
    let status = host.status();
    let filter = status["filters"]["plugins"].as_array()?.iter().find(|filter| filter["name"] == "redact")?.clone();
    ["holding", "missing"].contains(&filter["state"].as_str()?).then_some(())
}

/// Scenario: spans carry secrets in errors, attributes and JSON. While they keep coming, redact has hardly any time, then is taken away, then is put back.
/// Guarantees: a trace about which it cannot decide does not come out, and none while it is gone; afterwards every trace does, late spans too, and neither
/// secret is in any file, on standard output, in the log, or in any answer.
#[test]
fn no_secret_leaves_while_redact_works_fails_or_is_gone() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let plugins = PluginDir::new();
    plugins.put("redact.toml", "");
    let host = host(&redis, &plugins, "console,json,stats").start();
    publish(&mut connection, STREAM, &traces("before", 20));
    eventually("the first are out", || (host.json_files().len() == 20).then_some(()));
    assert_nothing_told(&host);
    assert!(host.stdout().contains("***"), "something was masked");

    plugins.put("redact.toml", "[limits]\ncall-time = \"10ms\"");
    plugin_when(&host, "redact", "it has its limit", |redact| redact["swaps"] == 1);
    publish(&mut connection, STREAM, &enormous("enormous"));
    publish(&mut connection, STREAM, &traces("while-it-fails", 20));
    wait_until_read(&mut connection);
    plugins.remove("redact.toml");
    plugin_when(&host, "redact", "it is gone", |redact| redact["loaded_at"].is_null());
    publish(&mut connection, STREAM, &traces("while-it-is-gone", 10));
    wait_until_read(&mut connection);
    eventually("its place holds", || waits_for_redact(&host));
    let held = |id: &String| id.starts_with("while-it-is-gone");
    assert!(!host.json_files().keys().any(held), "nothing gets past");
    assert_nothing_told(&host);

    plugins.put("redact.toml", "[limits]\ncall-time = \"60s\"");
    eventually("all is out", || (host.json_files().len() == 51).then_some(()));
    publish(&mut connection, STREAM, &[telling("before-0", "late", Some("a"))]);
    eventually("the late span is out", || (host.json_files()["before-0"]["spans"].as_array().map(Vec::len) == Some(3)).then_some(()));
    wait_until_settled(&mut connection, GROUP);
    assert_nothing_told(&host);
}

/// Scenario: a trace with secrets is open when it is asked for, while redact runs, and when it has been taken away.
/// Guarantees: the answer knows the trace, its times and counts, and says that it does not tell more; neither secret is in it.
#[test]
fn no_secret_is_told_of_a_trace_that_is_still_open() {
    let redis = RedisServer::start();
    let plugins = PluginDir::new();
    plugins.put("redact.toml", "");
    let host = host(&redis, &plugins, "none").set("MESHTRACE_QUIET_PERIOD", "1h").start();
    publish(&mut redis.connect(), STREAM, &traces("open", 1));
    let open = || {
        let answer = host.get("/trace/open-0");
        (answer.status == 200).then(|| answer.json()).filter(|trace| trace["span_count"] == 2)
    };
    let asked = eventually("it is open", open);
    plugins.remove("redact.toml");
    plugin_when(&host, "redact", "it is gone", |redact| redact["loaded_at"].is_null());
    let again = eventually("it is still open", open);
    for trace in [asked, again] {
        let told = trace.to_string();
        assert!(!told.contains(TOKEN) && !told.contains(MAIL), "{told}");
        assert_eq!((&trace["complete"], &trace["spans"], &trace["duration_ms"]), (&json!(false), &json!([]), &json!(250)));
        assert!(trace["redacted"].as_str().is_some_and(|why| why.contains("a filter protects what is shown")), "{told}");
    }
}

/// Scenario: redact is switched off from the start, then switched on, then taken away; while its place holds the stream, a `.toml` comes that cannot be
/// loaded, and goes again. Then it is switched off once more.
/// Guarantees: traces pass it as long as it is switched off; neither coming nor going opens the place of one that is missing; switching it off does.
#[test]
fn only_switching_it_off_opens_the_place_of_a_missing_redact() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let plugins = PluginDir::new();
    plugins.put("redact.toml", "enabled = false");
    let host = host(&redis, &plugins, "json").start();
    let arrive = |host: &Host, count: usize| eventually("they are out", || (host.json_files().len() == count).then_some(()));
    publish(&mut connection, STREAM, &traces("off", 1));
    arrive(&host, 1);
    assert!(host.json_files()["off-0"].to_string().contains(TOKEN), "nobody takes it out");
    plugins.put("redact.toml", "");
    plugin_when(&host, "redact", "it runs", |redact| redact["state"] == "running");

    let removals = |redact: &Value| {
        let events = redact["history"].as_array().expect("events").iter();
        events.filter(|event| event["what"] == "removed").count()
    };
    plugins.remove("redact.toml");
    plugin_when(&host, "redact", "its place holds", |redact| redact["state"] == "holding" && removals(redact) == 1);
    for (number, bad) in ["[config]\ncolour = \"red\"", "colour = \"red\""].into_iter().enumerate() {
        plugins.put("redact.toml", bad);
        plugin_when(&host, "redact", "it cannot be loaded", |redact| redact["failed_loads"] == number + 1);
        plugins.remove("redact.toml");
        plugin_when(&host, "redact", "it is gone again", |redact| redact["state"] == "holding" && removals(redact) == number + 2);
    }
    publish(&mut connection, STREAM, &traces("held", 5));
    wait_for_pending(&mut connection, 10);
    eventually("they wait for it", || host.status()["filters"]["plugins"][0]["holding"].is_string().then_some(()));
    assert_eq!(host.json_files().len(), 1, "nothing gets past");

    plugins.put("redact.toml", "enabled = false");
    arrive(&host, 6);
    wait_until_settled(&mut connection, GROUP);
    assert_eq!(plugin_when(&host, "redact", "it is given up", |redact| redact["state"] == "gone")["problem"], Value::Null);
}

#[track_caller]
fn wait_until_read(connection: &mut Connection) {
    eventually("all has been read", || (undelivered(connection, GROUP) == 0).then_some(()));
}

fn wait_for_pending(connection: &mut Connection, entries: usize) {
    eventually("they have been read", || (pending(connection, GROUP) == entries).then_some(()));
}

/// Scenario: sampling keeps failed and slow traces, and none of the rest.
/// Guarantees: just those come out, with the policy that decided; the others are counted by reason, and each decision can be asked for.
#[test]
fn sampling_keeps_what_its_policies_say_and_tells_why() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let plugins = PluginDir::new();
    let toml = r#"
        [config]
        policies = [
          { name = "errors", type = "status_code", status_code = { status_codes = ["ERROR"] } },
          { name = "slow", type = "latency", latency = { threshold_ms = 1000 } },
          { name = "none", type = "probabilistic", probabilistic = { sampling_percentage = 0 } },
        ]
    "#;
    plugins.put("sampling.toml", toml);
    let entries: Vec<Fields> = (0..10)
        .flat_map(|number| {
            let slow = with(lone(&format!("slow-{number}"), "work"), &[("end_time", "1795221704.5"), ("duration_ms", "2000.0")]);
            let failed = with(lone(&format!("failed-{number}"), "work"), &[("success", "False"), ("error", "no")]);
            [slow, failed, lone(&format!("dull-{number}"), "work")]
        })
        .collect();
    publish(&mut connection, STREAM, &entries);
    let host = host(&redis, &plugins, "json").start();
    host.wait_for_exports(20);
    wait_until_settled(&mut connection, GROUP);
    let files = host.json_files();
    assert_eq!(files.len(), 20);
    for (id, document) in &files {
        let policy = if id.starts_with("slow") { "slow" } else { "errors" };
        assert_eq!(document["sampling"], json!({"decision": "keep", "filter": "sampling", "reason": policy}), "{id}");
    }
    let decision = host.get("/trace/dull-3/decision").json();
    let told = [&decision["decision"], &decision["filter"], &decision["reason"]];
    assert_eq!(told, [&json!("drop"), &json!("sampling"), &json!("not sampled")]);
    let status = host.status();
    assert_eq!(status["filters"]["dropped"], 10, "{}", status["filters"]);
    assert_eq!(host.get("/trace/dull-3").status, 404);
}

/// Scenario: the config of sampling names a policy that there is not.
/// Guarantees: the host does not start, and says which policy, and what there is.
#[test]
fn a_policy_that_there_is_not_stops_the_start() {
    let plugins = PluginDir::new();
    plugins.put("sampling.toml", "[config]\npolicies = [{ name = \"x\", type = \"lucky\" }]");
    let said = HostBuilder::idle().set("MESHTRACE_PLUGIN_DIR", &plugins.path().display().to_string()).refused();
    assert!(said.contains("sampling") && said.contains("lucky") && said.contains("always_sample"), "{said}");
}
