//! The plugin directory, changed in every way while traces flow.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::time::Duration;

use serde_json::json;

use crate::support::events::{lone, numbered_traces, publish};
use crate::support::eventually;
use crate::support::guests::{evil, example};
use crate::support::host::HostBuilder;
use crate::support::load::Load;
use crate::support::plugin_dir::{PluginDir, plugin, plugin_when, stamped};
use crate::support::redis_server::{GROUP, RedisServer, STREAM, wait_until_settled};

/// A host without bundled exporters that watches this directory.
pub fn watching(redis: &RedisServer, plugins: &PluginDir) -> HostBuilder {
    HostBuilder::new(&redis.url())
        .set("TRACE_EXPORTER_TYPE", "none")
        .set("TRACE_ENABLE_STATS", "false")
        .set("MESHTRACE_PLUGIN_DIR", &plugins.path().display().to_string())
}

/// A directory in which the counting exporter is ready to run.
pub fn counting() -> PluginDir {
    let plugins = PluginDir::new();
    plugins.put("count.toml", plugins.count_toml());
    plugins.put("count.wasm", evil("count"));
    plugins
}

pub fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}

/// Scenario: a plugin is dropped in, replaced, its `.toml` is edited, and it is taken away, while traces come in.
/// Guarantees: each takes effect by itself; what the plugin has counted is carried over; traces do not wait for what was taken away.
#[test]
fn what_is_dropped_in_changed_and_taken_away_takes_effect_by_itself() {
    let redis = RedisServer::start();
    let plugins = PluginDir::new();
    let host = watching(&redis, &plugins).start();
    let mut connection = redis.connect();
    let (ids, entries) = numbered_traces(40);
    let mut traces = entries.chunks(30);
    let mut publish_ten = || publish(&mut connection, STREAM, traces.next().expect("some are left"));

    plugins.put("count.toml", plugins.count_toml());
    plugins.put("count.wasm", evil("count"));
    let first = plugin_when(&host, "count", "it was dropped in", |count| count["state"] == "running");
    publish_ten();
    eventually("it takes traces", || (plugins.taken().len() == 10).then_some(()));

    plugins.put("count.wasm", stamped(&evil("count"), "two"));
    let second = plugin_when(&host, "count", "it was replaced", |count| count["swaps"] == 1);
    assert_ne!(first["digest"], second["digest"]);
    publish_ten();
    eventually("the new one takes traces", || (plugins.taken().len() == 20).then_some(()));
    assert_eq!(host.get("/plugins/count/report").json(), json!({"taken": 20}));

    plugins.put("count.toml", format!("max-traces = 3\n{}", plugins.count_toml()));
    plugin_when(&host, "count", "its terms were changed", |count| count["max_traces"] == 3 && count["swaps"] == 2);
    publish_ten();
    eventually("it takes traces on other terms", || (plugins.taken().len() == 30).then_some(()));
    assert_eq!(host.get("/plugins/count/report").json(), json!({"taken": 30}));

    plugins.remove("count.wasm");
    plugins.remove("count.toml");
    plugin_when(&host, "count", "it was taken out", |count| count["state"] == "gone");
    publish_ten();
    wait_until_settled(&mut redis.connect(), GROUP);
    assert_eq!(sorted(plugins.taken()), ids[..30]);
}

/// Scenario: a component is copied slowly, another is moved into place, editors leave their files, links are swapped as for a mounted
/// volume, a plugin is renamed, and the directory itself goes away, is an empty one for a while, and comes back.
/// Guarantees: nothing is loaded half, no good plugin is ever unloaded by any of it, and every trace is taken once.
#[test]
fn no_way_of_putting_files_there_unloads_a_good_plugin() {
    let redis = RedisServer::start();
    let plugins = counting();
    let host = watching(&redis, &plugins).start();
    let load = Load::start(&redis);
    let wasm = |stamp: &str| stamped(&evil("count"), stamp);
    let swaps = |number: u64| move |count: &serde_json::Value| count["swaps"] == number;

    let mut file = fs::File::create(plugins.path().join("count.wasm")).expect("a file");
    for piece in wasm("slow").chunks(wasm("slow").len() / 8) {
        file.write_all(piece).expect("a piece");
        std::thread::sleep(Duration::from_millis(120));
    }
    drop(file);
    let count = plugin_when(&host, "count", "the slow copy is loaded", swaps(1));
    assert_eq!(count["failed_loads"], 0, "{count}");

    // The first lines of a manifest are understood as well as the whole.
    let toml = plugins.count_toml();
    plugins.put_new("count.toml", format!("queue = 5\n{toml}"));
    std::thread::sleep(Duration::from_millis(600));
    plugins.put_new("count.toml", format!("queue = 5\n{toml}[limits]\nhandles = 99\n"));
    let count = plugin_when(&host, "count", "the whole is loaded", swaps(2));
    assert_eq!(count["limits"]["handles"]["value"], 99, "and nothing of it before");

    for name in [".count.wasm.swp", "count.wasm~", "count.wasm.tmp", "#count.wasm#", "4913", "count.toml.bak"] {
        plugins.put(name, b"not a component");
    }
    fs::create_dir(plugins.path().join("directory.wasm")).expect("a directory");
    plugins.put("count.wasm", wasm("moved"));
    plugin_when(&host, "count", "the moved one is loaded", swaps(3));

    let volume = |version: &str| {
        let data = plugins.path().join(format!("..{version}"));
        fs::create_dir(&data).expect("a directory");
        fs::write(data.join("count.wasm"), wasm(version)).expect("a file");
        let link = plugins.path().join("..data_tmp");
        std::os::unix::fs::symlink(format!("..{version}"), &link).expect("a link");
        fs::rename(&link, plugins.path().join("..data")).expect("it is moved");
    };
    volume("2026_01");
    plugins.remove("count.wasm");
    std::os::unix::fs::symlink("..data/count.wasm", plugins.path().join("count.wasm")).expect("a link");
    plugin_when(&host, "count", "the link is followed", swaps(4));
    volume("2026_02");
    plugin_when(&host, "count", "the other volume is loaded", swaps(5));

    let away = plugins.path().with_extension("away");
    fs::rename(plugins.path(), &away).expect("it is moved");
    eventually("it is noticed", || host.get("/plugins").json()["directory"]["problem"].is_object().then_some(()));
    let taken = plugins.taken().len();
    eventually("traces flow all the same", || (plugins.taken().len() > taken + 50).then_some(()));
    // As a mount point is without its mount. Longer than a plugin that is taken away runs on.
    fs::create_dir(plugins.path()).expect("a directory");
    eventually("it is doubted", || {
        let problem = host.get("/plugins").json()["directory"]["problem"]["reason"].as_str()?.to_owned();
        problem.starts_with("it is another directory than before").then_some(())
    });
    let taken = plugins.taken().len();
    eventually("traces flow for three seconds", || (plugins.taken().len() > taken + 1_000).then_some(()));
    fs::remove_dir(plugins.path()).expect("it is empty");
    fs::rename(&away, plugins.path()).expect("it is moved back");
    eventually("it is back", || host.get("/plugins").json()["directory"]["problem"].is_null().then_some(()));
    assert_eq!(plugin(&host, "count")["state"], "running");

    // The new name runs before the old one goes.
    plugins.put("renamed.toml", format!("component = \"count.wasm\"\n{}", plugins.count_toml()));
    plugin_when(&host, "renamed", "it runs under another name", |renamed| renamed["state"] == "running");
    plugins.remove("count.toml");
    plugin_when(&host, "count", "the old name is gone", |count| count["state"] == "gone");
    let ids = load.end();
    wait_until_settled(&mut redis.connect(), GROUP);
    let taken = plugins.taken();
    // While both names ran, both took what came.
    assert_eq!(taken.iter().collect::<BTreeSet<_>>().len(), ids.len());
    assert_eq!(plugin(&host, "count")["failed_loads"], 0);
}

/// Scenario: a good plugin runs; its file is replaced by ones that are torn, no component, of another world, and that fail in `init`; then its
/// `.toml` is broken, then its component is removed; then all is mended.
/// Guarantees: the good one runs on each time, and `/plugins` says what failed, at which moment, and why.
#[test]
fn what_cannot_be_loaded_leaves_the_old_one_running_and_is_told() {
    let redis = RedisServer::start();
    let plugins = counting();
    let host = watching(&redis, &plugins).start();
    let load = Load::start(&redis);
    let good = evil("count");
    let digest = plugin(&host, "count")["digest"].clone();
    let cases: [(&str, &[u8], &str, &str); 4] = [
        ("count.wasm", &good[..good.len() / 2], "compiling", "the component is not valid; is the file complete?"),
        ("count.wasm", b"#!/bin/sh", "compiling", "this is no WebAssembly file"),
        ("count.wasm", &evil("other-world"), "compiling", "expected meshtrace:plugin/trace-exporter"),
        ("count.wasm", &evil("init-fails"), "starting", "the key \"endpoint\" is missing"),
    ];
    for (number, (file, content, moment, reason)) in (1u64..).zip(cases) {
        plugins.put(file, content);
        let count = plugin_when(&host, "count", "it fails", |count| count["failed_loads"] == number);
        let problem = &count["problem"];
        assert_eq!((&problem["moment"], &count["state"], &count["digest"]), (&json!(moment), &json!("running"), &digest));
        assert!(problem["reason"].as_str().is_some_and(|text| text.contains(reason)), "{problem}");
        assert!(problem["at"].is_string());
    }
    plugins.put("count.toml", "colour = \"red\"");
    let count = plugin_when(&host, "count", "the manifest is refused", |count| count["failed_loads"] == 5);
    assert_eq!(count["problem"]["moment"], "reading");
    assert!(count["problem"]["reason"].as_str().is_some_and(|text| text.contains("unknown field `colour`")), "{count}");
    plugins.remove("count.wasm");
    let gone = |count: &serde_json::Value| count["problem"]["reason"].as_str().is_some_and(|text| text.contains("what runs runs on"));
    let count = plugin_when(&host, "count", "the component is missed", gone);
    assert_eq!((&count["state"], &count["digest"]), (&json!("running"), &digest));

    plugins.put("count.toml", plugins.count_toml());
    plugins.put("count.wasm", &good);
    let count = plugin_when(&host, "count", "it is mended", |count| count["problem"].is_null() && count["swaps"] == 1);
    let told: Vec<&str> = count["history"].as_array().expect("events").iter().filter_map(|event| event["what"].as_str()).collect();
    assert_eq!(told, ["loaded", "failed", "failed", "failed", "failed", "failed", "kept", "replaced"]);
    let ids = load.end();
    wait_until_settled(&mut redis.connect(), GROUP);
    assert_eq!(sorted(plugins.taken()), ids);
}

/// Scenario: the bundled statistics are reloaded by a `.toml` of their name.
/// Guarantees: they go on from where they were.
#[test]
fn statistics_keep_their_numbers_over_a_swap() {
    let redis = RedisServer::start();
    let plugins = PluginDir::new();
    let (_, entries) = numbered_traces(20);
    let mut connection = redis.connect();
    publish(&mut connection, STREAM, &entries[..30]);
    let host = watching(&redis, &plugins).set("TRACE_EXPORTER_TYPE", "stats").start();
    host.wait_for_exports(10);
    let before = host.get("/trace/stats").json();
    plugins.put("stats.toml", "required = true");
    plugin_when(&host, "stats", "it was reloaded", |stats| stats["swaps"] == 1);
    assert_eq!(host.get("/trace/stats").json()["since"], before["since"]);
    publish(&mut connection, STREAM, &entries[30..]);
    host.wait_for_exports(20);
    assert_eq!(host.get("/trace/stats").json()["total_traces"], 20);
}

/// Scenario: a large component is dropped in, which takes seconds to compile.
/// Guarantees: that it is being compiled is shown; meanwhile traces flow and another plugin is swapped.
#[test]
fn compiling_a_large_component_delays_nothing_else() {
    let Some(large) = example("python-summary") else { return };
    let redis = RedisServer::start();
    let plugins = counting();
    let host = watching(&redis, &plugins).set("MESHTRACE_CACHE_DIR", "off").start();
    let load = Load::start(&redis);
    plugins.put("large.wasm", large);
    plugin_when(&host, "large", "it is being compiled", |large| large["loading"]["moment"] == "compiling");
    let before = plugins.taken().len();
    plugins.put("count.wasm", stamped(&evil("count"), "beside"));
    plugin_when(&host, "count", "the other is swapped", |count| count["swaps"] == 1);
    eventually("traces flow", || (plugins.taken().len() > before + 20).then_some(()));
    assert_eq!(plugin(&host, "large")["loading"]["moment"], "compiling", "all of that took less time");
    plugin_when(&host, "large", "it runs in the end", |large| large["state"] == "running");
    let ids = load.end();
    wait_until_settled(&mut redis.connect(), GROUP);
    assert_eq!(sorted(plugins.taken()), ids);
}

/// Scenario: entries wait when the host starts with a filter and an exporter that are not required; the exporter takes for ever to start.
/// Guarantees: traces flow without the exporter, which is shown as being started; none of them has passed the filter undecided; the host ends when told.
#[test]
fn the_start_waits_for_filters_and_for_nothing_else_that_is_not_required() {
    let redis = RedisServer::start();
    let plugins = counting();
    plugins.put("judge.toml", "required = false");
    plugins.put("judge.wasm", evil("judge"));
    plugins.put("slow.toml", "required = false\n[limits]\ninit-time = \"1h\"");
    plugins.put("slow.wasm", evil("init-spins"));
    publish(&mut redis.connect(), STREAM, &[lone("1", "unwanted"), lone("2", "wanted")]);
    let mut host = watching(&redis, &plugins).start();
    wait_until_settled(&mut redis.connect(), GROUP);
    assert_eq!(plugins.taken(), ["2"]);
    plugin_when(&host, "slow", "it is being started", |slow| slow["state"] == "loading" && slow["loading"]["moment"] == "starting");
    assert!(host.terminate().success(), "nor does the end wait for it: {}", host.stderr());
}
