//! Guests that do harm beside the traces, or look around for what they were not granted, all at once beside the bundled plugins, under load.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Instant;

use serde_json::{Value, json};

use crate::support::beside::{assert_complete, counted_hits, healthy, hits, host_with_filters};
use crate::support::events::{Fields, lone, publish};
use crate::support::eventually;
use crate::support::guests::evil;
use crate::support::host::Host;
use crate::support::load::Load;
use crate::support::plugin_dir::{PluginDir, plugin, plugin_when, stamped};
use crate::support::redis_server::{GROUP, RedisServer, STREAM, dead_letters, wait_until_settled};
use crate::support::server::Server;
use crate::support::wat;

/// What a plugin says when it panics in this call.
fn panicked(call: &str) -> Value {
    json!(format!("{call}: it panicked or aborted (its log may say why)"))
}

/// Waits until the guest has said something that begins like this, and returns the rest.
#[track_caller]
fn said(host: &Host, name: &str, begin: &str) -> String {
    eventually(begin, || host.log_of(name).into_iter().find_map(|line| Some(line.strip_prefix(begin)?.to_owned())))
}

/// Scenario: side by side, amid other traces: an exporter that logs and prints 40 MB; one under the name of the bundled otlp that reads its environment;
/// ones that try to open files and sockets; one that grows a table in every call and is not required; one that refuses a trace for a reason of
/// 10 KB; one that wants twenty thousand numbers of its own; ones that panic when their state is asked for, when they are to take over one, and at writing out what they hold back; two filters
/// that answer what makes no sense, which traces may pass.
/// Guarantees: the host is healthy throughout; what each runs into or is denied is told and counted, and every failure is in the metrics; json,
/// stats, redact and sampling have every trace, as it was, and do not fail once; the host ends in order.
#[test]
fn harm_beside_the_traces_costs_none() {
    let (redis, plugins) = (RedisServer::start(), PluginDir::new());
    for name in
        ["log-flood", "escape", "sockets", "long-reason", "numbers", "snapshot-traps", "restore-traps", "flush-traps", "verdicts", "edits"]
    {
        plugins.put(&format!("{name}.wasm"), evil(name));
    }
    for name in ["verdicts", "edits"] {
        plugins.put(&format!("{name}.toml"), "on-failure = \"pass\"\n");
    }
    // What it runs into is its share of the log, not the time that it takes on a busy machine.
    plugins.put("log-flood.toml", "[limits]\ncall-time = \"5m\"\n");
    plugins.put("otlp.wasm", evil("environment"));
    plugins.put("bomb.toml", "required = false\n");
    plugins.put("bomb.wasm", wat::exporter(include_str!("evil/table-bomb.wat")));
    let mut host = host_with_filters(&redis, &plugins).set("OTEL_EXPORTER_OTLP_HEADERS", "authorization=hush").start();
    let mut connection = redis.connect();
    let begin = Instant::now();
    let attacks = ["log-flood", "environment", "escape", "sockets", "long-reason", "numbers"];
    let ids = healthy(&host, || {
        let load = Load::start(&redis);
        publish(&mut connection, STREAM, &attacks.map(|name| lone(name, name)));
        plugin_when(&host, "log-flood", "it has logged", |flood| hits(flood, "log-message-bytes") == 1);
        plugin_when(&host, "bomb", "it has failed", |bomb| bomb["failures"].as_u64() > Some(3));
        plugin_when(&host, "snapshot-traps", "its state was asked for", |traps| traps["last_error"] == panicked("snapshot"));
        for name in ["verdicts", "edits"] {
            plugin_when(&host, name, "it fails", |filter| filter["failures"].as_u64() > Some(3));
        }
        plugins.put("restore-traps.wasm", stamped(&evil("restore-traps"), "newer"));
        plugin_when(&host, "restore-traps", "it is not replaced", |traps| traps["failed_loads"] == 1);
        assert_eq!(host.get("/plugins/restore-traps/report").status, 503);
        load.end()
    });
    assert_complete(&host, ids.clone(), &attacks);
    wait_until_settled(&mut connection, GROUP);

    assert_log_is_thinned(&host, begin);
    assert_numbers_are_few(&host);
    assert_eq!(said(&host, "otlp", "found "), "[]");
    assert_eq!(said(&host, "escape", "read /etc/passwd: "), "entity not found");
    let letters = dead_letters(&mut connection);
    assert_eq!((letters.len(), letters[0]["dead:reason"].clone()), (1, format!("{}n…", "no ".repeat(1_365))));
    for (name, limit) in [("bomb", "table-elements"), ("long-reason", "text-bytes"), ("restore-traps", "result-bytes")] {
        assert!(counted_hits(&host, name, limit) > 0, "{name}");
    }
    let wanted = "1 more elements of tables than its limit of 100000 (limits.table-elements)";
    assert_tells(&host, "bomb", &format!("export-batch: it panicked or aborted after it wanted {wanted}"));
    assert_tells(&host, "verdicts", "decide: it gave ");
    assert_tells(&host, "edits", "decide: it answered about span row 4000000000, the batch has ");
    for (name, what) in [("otlp", "the environment"), ("escape", "files"), ("sockets", "a TCP socket")] {
        let page = plugin(&host, name);
        let denied = page["denied"].as_array().expect("denials");
        assert!(denied.iter().any(|denial| denial["what"] == what), "{page}");
    }
    for name in ["log-flood", "otlp", "escape", "sockets", "numbers", "snapshot-traps", "restore-traps", "flush-traps"] {
        let page = plugin(&host, name);
        assert_eq!((&page["state"], &page["exported"]), (&json!("running"), &json!(ids.len() + attacks.len())), "{page}");
        let fails = ["snapshot-traps", "restore-traps"].contains(&name);
        assert_eq!(page["failures"].as_u64() > Some(0), fails, "failures beside traces are counted: {page}");
    }
    let problem = plugin(&host, "restore-traps")["problem"].clone();
    assert_eq!((&problem["moment"], &problem["reason"]), (&json!("swapping"), &panicked("restore")));

    plugins.remove("flush-traps.wasm");
    plugin_when(&host, "flush-traps", "it was flushed", |traps| traps["state"] == "gone" && traps["last_error"] == panicked("flush"));
    assert!(host.terminate().success(), "{}", host.stderr());
}

#[track_caller]
fn assert_tells(host: &Host, name: &str, reason: &str) {
    let page = plugin(host, name);
    assert!(page["last_error"].as_str().is_some_and(|told| told.starts_with(reason)), "{page}");
}

/// Of the ten thousand counters and gauges that it wants there are 256 each, and none with another name; the others are refused, and counted.
#[track_caller]
fn assert_numbers_are_few(host: &Host) {
    let own = eventually("its numbers are shown", || {
        let own = plugin(host, "numbers")["metrics"].as_object().cloned()?;
        own.contains_key("refused_numbers").then_some(own)
    });
    let of = |kind: &str| own.keys().filter(|name| name.starts_with(kind)).count();
    assert_eq!((of("counter_"), of("gauge_"), own.len()), (256, 256, 2 * 256 + 1));
    // Nine bad names are tried as each kind, and two names that the other kind has.
    assert_eq!(own["refused_numbers"], 2 * (10_000 - 256) + 2 * 9 + 2);
    let shown = host.get("/metrics").body;
    let lines = shown.lines().filter(|line| line.starts_with("meshtrace_plugin_own") && line.contains("plugin=\"numbers\"")).count();
    assert_eq!(lines, 2 * 256 + 2, "they, the refused ones, and how many are left out");
}

/// The log has a second's worth of the flood at a time, and says how much is missing.
#[track_caller]
fn assert_log_is_thinned(host: &Host, begin: Instant) {
    assert!(counted_hits(host, "log-flood", "log-bytes-per-second") > 30_000);
    let log = host.stderr();
    let own: usize = log.lines().filter(|line| line.contains("plugin=\"log-flood\"")).map(str::len).sum();
    // A line is more than its message, which is a thousand bytes of the flood.
    let most = 64 * 1024 * (begin.elapsed().as_secs() as usize + 2) * 4;
    assert!(own < most, "{own} bytes, expected less than {most}");
    let told = "log lines of a plugin were withheld: it logs more in a second than its limit of 64 KiB (limits.log-bytes-per-second)";
    let told = log.lines().filter(|line| line.contains(told) && line.contains("log-flood")).count() as u64;
    assert!((1..=begin.elapsed().as_secs() + 1).contains(&told), "{told} times");
}

/// Scenario: amid other traces a guest reads an answer without end, waits for one that never comes, has more requests under way than it may, and sends
/// more than it may.
/// Guarantees: each ends with an ordinary error at its limit, which is counted; the guest and all others go on, and the host is healthy throughout.
#[test]
fn requests_without_end_are_ended() {
    let (redis, plugins) = (RedisServer::start(), PluginDir::new());
    let flood = Server::answering("HTTP/1.1 200 OK\r\n\r\n".into(), &[b'x'; 16 * 1024]);
    let half = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok".into(), b"");
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let nothing = silent.local_addr().expect("its address").port();
    let http = [flood.port, half.port, nothing].map(|port| format!("\"127.0.0.1:{port}\"")).join(", ");
    let limits = "http-time = \"700ms\"\nhttp-response-bytes = \"1MiB\"\nhttp-request-bytes = \"16KiB\"\nhttp-connections = 2";
    plugins.put("http.toml", format!("[permissions]\nhttp = [{http}]\n[limits]\n{limits}\n"));
    plugins.put("http.wasm", evil("http"));
    let host = host_with_filters(&redis, &plugins).start();
    let mut connection = redis.connect();
    let url = |port: u16| format!("http://127.0.0.1:{port}/");
    let requests = [
        // What goes wrong once an answer has begun is told in words.
        (
            "flood",
            url(flood.port),
            "ErrorCode::InternalError(Some(\"HTTP response body size exceeds limit: 1048576 bytes\"))",
            "http-response-bytes",
        ),
        ("nothing", url(nothing), "ErrorCode::HttpResponseTimeout", "http-time"),
        ("many", format!("hold {}", url(half.port)), "held, held, ErrorCode::ConnectionLimitReached", "http-connections"),
        ("much", format!("post {}", url(nothing)), "ErrorCode::HttpRequestBodySize(Some(16384))", "http-request-bytes"),
    ];
    let attacks: Vec<Fields> = requests.iter().map(|(trace, url, ..)| lone(trace, url)).collect();
    let ids = healthy(&host, || {
        let load = Load::start(&redis);
        publish(&mut connection, STREAM, &attacks);
        for (trace, _, expected, _) in &requests {
            assert_eq!(&said(&host, "http", &format!("{trace}: ")), expected);
        }
        load.end()
    });
    assert_complete(&host, ids.clone(), &requests.each_ref().map(|(trace, ..)| *trace));
    wait_until_settled(&mut connection, GROUP);
    for (_, _, _, limit) in &requests {
        assert_eq!(counted_hits(&host, "http", limit), 1, "{limit}");
    }
    let page = plugin(&host, "http");
    assert_eq!((&page["state"], &page["failures"], &page["exported"]), (&json!("running"), &json!(0), &json!(ids.len() + requests.len())));
}
