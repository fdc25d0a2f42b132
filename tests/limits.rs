//! Attackers beside the bundled plugins, under load: each runs into its limit, and that costs nobody anything but the trace that makes it do so.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::events::{assert_whole, lone, publish};
use crate::support::eventually;
use crate::support::guests::evil;
use crate::support::host::{Host, HostBuilder};
use crate::support::load::Load;
use crate::support::plugin_dir::{PluginDir, plugin, plugin_when};
use crate::support::redis_server::{GROUP, RedisServer, STREAM, dead_letters, wait_until_settled};
use crate::support::wat;

/// A host with the json exporter and the statistics, and what is in this directory.
fn host(redis: &RedisServer, plugins: &PluginDir) -> HostBuilder {
    HostBuilder::new(&redis.url()).set("MESHTRACE_PLUGIN_DIR", &plugins.path().display().to_string())
}

/// Asks for `/health` again and again while something is done; it is always there, within two seconds.
fn healthy<T>(host: &Host, doing: impl FnOnce() -> T) -> T {
    struct Done<'a>(&'a AtomicBool);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let done = AtomicBool::new(false);
    let ask = || {
        while !done.load(Ordering::Relaxed) {
            let begin = Instant::now();
            assert_eq!(host.get("/health").status, 200);
            assert!(begin.elapsed() < Duration::from_secs(2), "it took {:?}", begin.elapsed());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    std::thread::scope(|scope| {
        let asking = scope.spawn(ask);
        let stop = Done(&done);
        let result = doing();
        drop(stop);
        asking.join().expect("it was healthy");
        result
    })
}

/// Every trace that was published has been exported as it was, and counted.
#[track_caller]
fn assert_complete(host: &Host, mut ids: Vec<String>, attacks: &[&str]) {
    let all = (ids.len() + attacks.len()) as u64;
    let exported = |name: &str| plugin(host, name)["exported"].as_u64().expect("a number");
    eventually("the others have all traces", || (exported("json") >= all && exported("stats") >= all).then_some(()));
    assert_eq!((exported("json"), exported("stats")), (all, all));
    assert_eq!(host.get("/trace/stats").json()["total_traces"], all);
    let mut documents = host.json_files();
    for attack in attacks {
        assert!(documents.remove(*attack).is_some(), "{attack}");
    }
    ids.sort();
    assert_whole(&documents, &ids);
    for name in ["json", "stats"] {
        let bundled = plugin(host, name);
        assert_eq!((&bundled["state"], &bundled["failures"]), (&json!("running"), &json!(0)), "{bundled}");
    }
}

fn hits(plugin: &Value, limit: &str) -> u64 {
    plugin["limits"][limit]["hits"].as_u64().unwrap_or_else(|| panic!("no {limit} in {plugin}"))
}

/// A time limit that a test can wait for several times.
const SHORT: &str = "[limits]\ncall-time = \"300ms\"\n";

/// An exporter that does harm at a trace of this root operation, and takes all others.
struct Attacker {
    name: &'static str,
    toml: &'static str,
    operation: &'static str,
    reason: &'static str,
    /// What it runs into, if that is a limit.
    limit: Option<&'static str>,
}

/// An attacker without a `.toml`: the limits are those that everybody has.
fn attacker(name: &'static str, reason: &'static str, limit: Option<&'static str>) -> Attacker {
    Attacker {
        name,
        toml: "",
        operation: "attack",
        reason,
        limit,
    }
}

/// Publishes an attack amid other traces. The attacker fails for this reason, its trace becomes a dead letter, and it goes on with others; the host
/// is healthy throughout, the other exporters have every trace, and the limit is counted.
#[track_caller]
fn survived(attacker: &Attacker) {
    let Attacker { name, toml, operation, reason, limit } = attacker;
    let (redis, plugins) = (RedisServer::start(), PluginDir::new());
    plugins.put(&format!("{name}.toml"), toml);
    plugins.put(&format!("{name}.wasm"), evil(name));
    let host = host(&redis, &plugins).start();
    let mut connection = redis.connect();
    let ids = healthy(&host, || {
        let load = Load::start(&redis);
        plugin_when(&host, name, "it takes traces", |attacker| attacker["exported"].as_u64() > Some(10));
        publish(&mut connection, STREAM, &[lone("attack", operation)]);
        eventually("the attack is a dead letter", || (dead_letters(&mut connection).len() == 1).then_some(()));
        let taken = plugin(&host, name)["exported"].as_u64();
        plugin_when(&host, name, "it takes traces again", |attacker| attacker["exported"].as_u64() > taken);
        load.end()
    });
    wait_until_settled(&mut connection, GROUP);
    let letter = dead_letters(&mut connection).remove(0);
    let told = ["trace_id", "dead:plugin", "dead:reason"].map(|key| letter[key].as_str());
    assert_eq!(told, ["attack", name, reason]);
    let attacker = plugin(&host, name);
    assert_eq!(
        (&attacker["state"], &attacker["last_error"], &attacker["exported"]),
        (&json!("running"), &json!(reason), &json!(ids.len()))
    );
    if let Some(limit) = limit {
        assert!(hits(&attacker, limit) > 0, "{attacker}");
    }
    assert_complete(&host, ids, &["attack"]);
}

#[test]
fn an_endless_loop_ends() {
    let reason = "export-batch: it ran longer than its limit of 300 ms (limits.call-time)";
    survived(&Attacker {
        toml: SHORT,
        operation: "spin",
        ..attacker("spin", reason, Some("call-time"))
    });
}

#[test]
fn a_sleep_ends() {
    let reason = "export-batch: it ran longer than its limit of 300 ms (limits.call-time)";
    survived(&Attacker {
        toml: SHORT,
        ..attacker("sleep", reason, Some("call-time"))
    });
}

#[test]
fn an_endless_recursion_ends() {
    let reason = "export-batch: it called itself too deeply: its stack is larger than its limit of 512 KiB, which no setting changes";
    survived(&attacker("recurse", reason, Some("stack")));
}

#[test]
fn memory_has_an_end() {
    let reason =
        "export-batch: it panicked or aborted after it wanted 64 KiB more of memory than its limit of 256 MiB (limits.memory-bytes)";
    survived(&attacker("memory-bomb", reason, Some("memory-bytes")));
}

#[test]
fn a_giant_answer_is_not_taken() {
    let reason = "export-batch: it handed more to the host at once than its limit of 16 MiB (limits.result-bytes)";
    survived(&attacker("giant-result", reason, Some("result-bytes")));
}

#[test]
fn handles_have_an_end() {
    let reason = "export-batch: it holds more handles (streams, descriptors, pollables, requests) than its limit of 1024 (limits.handles)";
    survived(&attacker("pollables", reason, Some("handles")));
}

#[test]
fn an_answer_about_a_trace_that_is_not_there_is_none() {
    survived(&attacker("rows", "export-batch: it answered about trace row 4000000000, the batch has 1", None));
}

#[test]
fn an_answer_that_is_no_text_is_none() {
    survived(&attacker("invalid-utf8", "export-batch: invalid utf-8 sequence of 1 bytes from index 1", None));
}

#[test]
fn a_panic_ends_one_instance() {
    survived(&Attacker {
        operation: "poison",
        ..attacker("trap", "export-batch: it panicked or aborted (its log may say why)", None)
    });
}

/// Scenario: an exporter that traces do not wait for grows a table in every call.
/// Guarantees: each call ends at the limit, which is said and counted; the others have every trace.
#[test]
fn tables_have_an_end() {
    let (redis, plugins) = (RedisServer::start(), PluginDir::new());
    plugins.put("bomb.toml", "required = false\n");
    plugins.put("bomb.wasm", wat::exporter(include_str!("evil/table-bomb.wat")));
    let host = host(&redis, &plugins).start();
    let ids = healthy(&host, || {
        let load = Load::start(&redis);
        plugin_when(&host, "bomb", "it has failed", |bomb| bomb["failures"].as_u64() > Some(3));
        load.end()
    });
    let bomb = plugin(&host, "bomb");
    let reason =
        "export-batch: it panicked or aborted after it wanted 1 more elements of tables than its limit of 100000 (limits.table-elements)";
    assert_eq!((&bomb["last_error"], &bomb["exported"]), (&json!(reason), &json!(0)));
    assert!(hits(&bomb, "table-elements") > 3, "{bomb}");
    assert_complete(&host, ids, &[]);
}

/// Scenario: an exporter logs and prints 200 MB at once, and one message of a megabyte.
/// Guarantees: it goes on, and so do the others; the log has a second's worth of it at a time, and says how much is missing.
#[test]
fn a_flood_of_log_lines_is_thinned() {
    let (redis, plugins) = (RedisServer::start(), PluginDir::new());
    plugins.put("log-flood.wasm", evil("log-flood"));
    let host = host(&redis, &plugins).start();
    let begin = Instant::now();
    let ids = healthy(&host, || {
        let load = Load::start(&redis);
        plugin_when(&host, "log-flood", "it takes traces", |flood| flood["exported"].as_u64() > Some(10));
        publish(&mut redis.connect(), STREAM, &[lone("attack", "attack")]);
        plugin_when(&host, "log-flood", "it has logged", |flood| hits(flood, "log-message-bytes") == 1);
        load.end()
    });
    assert_complete(&host, ids, &["attack"]);
    let flood = plugin(&host, "log-flood");
    assert_eq!((&flood["state"], &flood["failures"]), (&json!("running"), &json!(0)));
    assert!(hits(&flood, "log-bytes-per-second") > 190_000, "{flood}");
    let log = host.stderr();
    // What it may log in that time, and what everybody else has to say.
    let most = 64 * 1024 * (begin.elapsed().as_secs() as usize + 2) + (1 << 20);
    assert!(log.len() < most, "{} bytes, expected less than {most}", log.len());
    let told = "log lines of a plugin were withheld: it logs more in a second than its limit of 64 KiB (limits.log-bytes-per-second)";
    let told = log.lines().filter(|line| line.contains(told)).count() as u64;
    assert!((1..=begin.elapsed().as_secs() + 1).contains(&told), "{told} times");
}

/// Scenario: an exporter refuses a trace for a reason of 10 KB.
/// Guarantees: the dead letter has the first 4 KiB of it.
#[test]
fn a_long_reason_is_cut() {
    let (redis, plugins) = (RedisServer::start(), PluginDir::new());
    plugins.put("giant-result.wasm", evil("giant-result"));
    let host = host(&redis, &plugins).start();
    let mut connection = redis.connect();
    publish(&mut connection, STREAM, &[lone("attack", "long")]);
    let letter = eventually("the dead letter is there", || dead_letters(&mut connection).pop());
    assert_eq!(letter["dead:reason"], format!("{}n…", "no ".repeat(1_365)));
    assert_eq!(hits(&plugin(&host, "giant-result"), "text-bytes"), 1);
}

/// Scenario: files that are no plugins of this host, too large, or fail to start, are dropped in while traces flow.
/// Guarantees: each is refused in plain words and nothing else is touched; what ran into a limit is counted.
#[test]
fn what_cannot_be_loaded_disturbs_nobody() {
    let (redis, plugins) = (RedisServer::start(), PluginDir::new());
    let host = host(&redis, &plugins).start();
    let whole = evil("spin");
    let needy = r#"(module (memory (export "memory") 5000)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
        (func (export "describe") (result i32) unreachable) (func (export "init") (param i32 i32) (result i32) unreachable)
        (func (export "export-batch") (result i32) unreachable) (func (export "flush") (result i32) unreachable))"#;
    let large = plugins.path().join("large.wasm").display().to_string();
    let large = format!("{large} has 104857600 bytes, more than its limit of 64 MiB (limits.component-bytes)");
    let cases: [(&str, Vec<u8>, &str, Option<&str>); 8] = [
        ("toaster", evil("other-world"), r#"it exports ["evil:kitchen/toaster@1.0.0"]; expected meshtrace:plugin/trace-exporter"#, None),
        ("core", b"\0asm\x01\0\0\0".to_vec(), "this is a core module; expected a component.", None),
        ("torn", whole[..whole.len() / 2].to_vec(), r#"plugin "torn": the component is not valid; is the file complete?"#, None),
        ("large", vec![0; 100 << 20], &large, Some("component-bytes")),
        (
            "needy",
            wat::exporter(needy),
            r#"plugin "needy" failed in starting: it needs at least 320000 KiB of memory, its limit is 256 MiB (limits.memory-bytes)"#,
            Some("memory-bytes"),
        ),
        (
            "slow",
            evil("init-spins"),
            r#"plugin "slow" failed in init: it ran longer than its limit of 300 ms (limits.init-time)"#,
            Some("init-time"),
        ),
        ("traps", evil("init-traps"), r#"plugin "traps" failed in init: it panicked or aborted (its log may say why)"#, None),
        ("colour", whole, r#"plugin "colour" does not take its config"#, None),
    ];
    plugins.put("slow.toml", "[limits]\ninit-time = \"300ms\"\n");
    let ids = healthy(&host, || {
        let load = Load::start(&redis);
        for (name, wasm, _, _) in cases.iter().filter(|case| case.0 != "colour") {
            plugins.put(&format!("{name}.wasm"), wasm);
        }
        // A bundled plugin with a config that its schema does not allow.
        plugins.put("colour.toml", "component = \"console\"\n[config]\npretty = 3\ncolour = \"red\"\n");
        for (name, _, _, _) in &cases {
            plugin_when(&host, name, "it is refused", |refused| refused["state"] == "failed");
        }
        load.end()
    });
    for (name, _, reason, limit) in &cases {
        let refused = plugin(&host, name);
        let told = refused["problem"]["reason"].as_str().expect("a reason");
        assert!(told.contains(reason), "{name}: {told}");
        if let Some(limit) = limit {
            assert_eq!(hits(&refused, limit), 1, "{name}");
        }
    }
    let colour = plugin(&host, "colour");
    let expected = r#"plugin "colour" does not take its config: config.pretty: 3 is not of type "boolean"; config has colour; expected keys are pretty, color"#;
    assert_eq!(colour["problem"]["reason"], expected);
    assert_complete(&host, ids, &[]);
}

/// Scenario: an exporter panics when its state is asked for; another, when it is taken out, at writing out what it holds back.
/// Guarantees: both take every trace all the same; what happened is said; the host ends in order.
#[test]
fn a_panic_beside_the_traces_costs_none() {
    let (redis, plugins) = (RedisServer::start(), PluginDir::new());
    for name in ["snapshot-traps", "flush-traps"] {
        plugins.put(&format!("{name}.wasm"), evil(name));
    }
    let mut host = host(&redis, &plugins).start();
    let ids = healthy(&host, || {
        let load = Load::start(&redis);
        plugin_when(&host, "snapshot-traps", "its state was asked for", |traps| !traps["last_error"].is_null());
        load.end()
    });
    assert_complete(&host, ids.clone(), &[]);
    wait_until_settled(&mut redis.connect(), GROUP);
    let traps = plugin(&host, "snapshot-traps");
    let reason = "snapshot: it panicked or aborted (its log may say why)";
    assert_eq!((&traps["state"], &traps["last_error"], &traps["exported"]), (&json!("running"), &json!(reason), &json!(ids.len())));
    assert_eq!(plugin(&host, "flush-traps")["exported"], ids.len());
    plugins.remove("flush-traps.wasm");
    let reason = "flush: it panicked or aborted (its log may say why)";
    plugin_when(&host, "flush-traps", "it was flushed", |traps| traps["state"] == "gone" && traps["last_error"] == reason);
    assert!(host.terminate().success(), "{}", host.stderr());
}

/// Scenario: a filter gives one verdict too many, another changes a span that is not there; traces pass filters that fail.
/// Guarantees: nothing of such an answer is believed: every trace is exported as it was; what was wrong is said.
#[test]
fn decisions_that_make_no_sense_are_none() {
    for (name, reason) in [("verdicts", "decide: it gave "), ("edits", "decide: it answered about span row 4000000000, the batch has ")] {
        let (redis, plugins) = (RedisServer::start(), PluginDir::new());
        plugins.put(&format!("{name}.toml"), "on-failure = \"pass\"\n");
        plugins.put(&format!("{name}.wasm"), evil(name));
        let host = host(&redis, &plugins).start();
        let ids = healthy(&host, || {
            let load = Load::start(&redis);
            plugin_when(&host, name, "it fails", |filter| filter["failures"].as_u64() > Some(3));
            load.end()
        });
        assert_complete(&host, ids, &[]);
        let filter = plugin(&host, name);
        let told = filter["last_error"].as_str().expect("a reason");
        assert!(told.starts_with(reason), "{told}");
    }
}
