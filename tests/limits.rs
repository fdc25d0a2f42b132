//! Attackers beside the bundled plugins, under load, all at once: each runs into its limit, and that costs nobody anything but the trace that makes it do so.

use serde_json::json;

use crate::support::beside::{assert_complete, counted_hits, healthy, host, host_with_filters};
use crate::support::events::{Fields, lone, publish};
use crate::support::eventually;
use crate::support::guests::evil;
use crate::support::load::Load;
use crate::support::plugin_dir::{PluginDir, plugin, plugin_when};
use crate::support::redis_server::{GROUP, RedisServer, STREAM, dead_letters, wait_until_settled};
use crate::support::wat;

/// A time limit that a test can wait for several times.
const SHORT: &str = "[limits]\ncall-time = \"500ms\"\n";

/// Why a call that goes on for ever ends.
const LATE: &str = "export-batch: it ran longer than its limit of 500 ms (limits.call-time)";

/// An exporter that does harm at a trace whose root operation is its name, and takes all others.
struct Attacker {
    name: &'static str,
    toml: &'static str,
    reason: &'static str,
    /// What it runs into, if that is a limit.
    limit: Option<&'static str>,
}

/// An attacker without a `.toml`: the limits are those that everybody has.
const fn attacker(name: &'static str, reason: &'static str, limit: Option<&'static str>) -> Attacker {
    Attacker { name, toml: "", reason, limit }
}

const ATTACKERS: [Attacker; 8] = [
    Attacker {
        toml: SHORT,
        ..attacker("spin", LATE, Some("call-time"))
    },
    Attacker {
        toml: SHORT,
        ..attacker("sleep", LATE, Some("call-time"))
    },
    attacker(
        "recurse",
        "export-batch: it called itself too deeply: its stack is larger than its limit of 512 KiB, which no setting changes",
        Some("stack"),
    ),
    attacker(
        "memory-bomb",
        "export-batch: it panicked or aborted after it wanted 64 KiB more of memory than its limit of 256 MiB (limits.memory-bytes)",
        Some("memory-bytes"),
    ),
    attacker(
        "giant-result",
        "export-batch: it handed more to the host at once than its limit of 16 MiB (limits.result-bytes)",
        Some("result-bytes"),
    ),
    attacker(
        "pollables",
        "export-batch: it holds more handles (streams, descriptors, pollables, requests) than its limit of 1024 (limits.handles)",
        Some("handles"),
    ),
    attacker("rows", "export-batch: it answered about trace row 4000000000, the batch has 1", None),
    attacker("invalid-utf8", "export-batch: invalid utf-8 sequence of 1 bytes from index 1", None),
];

/// Scenario: an endless loop, an endless sleep, an endless recursion, a memory bomb, a giant answer, a hoard of handles, an answer about a trace that is
/// not there and one that is no text: exporters that do so at a trace of their own, side by side, amid other traces.
/// Guarantees: the host is healthy throughout; each fails for its reason, its trace becomes a dead letter, and it goes on with all others; its limit is
/// counted; json, stats, redact and sampling have every trace and do not fail once.
#[test]
fn an_attack_costs_nothing_but_the_trace_that_sets_it_off() {
    let (redis, plugins) = (RedisServer::start(), PluginDir::new());
    for Attacker { name, toml, .. } in &ATTACKERS {
        plugins.put(&format!("{name}.toml"), toml);
        plugins.put(&format!("{name}.wasm"), evil(name));
    }
    let host = host_with_filters(&redis, &plugins).start();
    let mut connection = redis.connect();
    let attack = |name: &str| format!("attack-{name}");
    let attacks: Vec<Fields> = ATTACKERS.iter().map(|attacker| lone(&attack(attacker.name), attacker.name)).collect();
    let ids = healthy(&host, || {
        let load = Load::start(&redis);
        let exported = |name: &str| plugin(&host, name)["exported"].as_u64();
        let all_take_more_than = |before: &[Option<u64>]| {
            let pairs = ATTACKERS.iter().zip(before);
            eventually("all take traces", || pairs.clone().all(|(attacker, before)| exported(attacker.name) > *before).then_some(()));
        };
        all_take_more_than(&[Some(10); ATTACKERS.len()]);
        publish(&mut connection, STREAM, &attacks);
        eventually("the attacks are dead letters", || (dead_letters(&mut connection).len() == ATTACKERS.len()).then_some(()));
        all_take_more_than(&ATTACKERS.each_ref().map(|attacker| exported(attacker.name)));
        load.end()
    });
    wait_until_settled(&mut connection, GROUP);
    let letters = dead_letters(&mut connection);
    for Attacker { name, reason, limit, .. } in &ATTACKERS {
        let letter = letters.iter().find(|letter| letter["trace_id"] == attack(name)).expect("a dead letter");
        assert_eq!(["dead:plugin", "dead:reason"].map(|key| letter[key].as_str()), [*name, *reason]);
        let attacker = plugin(&host, name);
        let told = (&attacker["state"], &attacker["last_error"], &attacker["exported"]);
        assert_eq!(told, (&json!("running"), &json!(reason), &json!(ids.len() + ATTACKERS.len() - 1)));
        if let Some(limit) = limit {
            assert!(counted_hits(&host, name, limit) > 0, "{attacker}");
        }
    }
    let attacks = ATTACKERS.each_ref().map(|attacker| attack(attacker.name));
    assert_complete(&host, ids, &attacks.each_ref().map(String::as_str));
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
    let many = "(table 0 funcref) ".repeat(65);
    let many = needy.replace("5000)", &format!("1) {many}"));
    let cases: [(&str, Vec<u8>, &str, Option<&str>); 9] = [
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
            "many",
            wat::exporter(&many),
            r#"plugin "many" failed in starting: it consists of more instances, tables or memories than its limit of 64 (limits.instances)"#,
            Some("instances"),
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
    let ids = healthy(&host, || {
        let load = Load::start(&redis);
        // Its component is there before it is loaded.
        plugins.put_new("slow.toml", "[limits]\ninit-time = \"300ms\"\n");
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
            assert_eq!(counted_hits(&host, name, limit), 1, "{name}");
        }
    }
    let colour = plugin(&host, "colour");
    let expected = r#"plugin "colour" does not take its config: config.pretty: 3 is not of type "boolean"; config has colour; expected keys are pretty, color"#;
    assert_eq!(colour["problem"]["reason"], expected);
    assert_complete(&host, ids, &[]);
}
