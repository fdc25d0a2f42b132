//! The otlp exporter and its collector: what is sent again, what never is, and who may be spoken to. Left out where there is no Python for it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::certificates::Certificates;
use crate::support::collector::{Collector, sending, spans_of};
use crate::support::events::{lone, numbered_traces, publish, publish_together};
use crate::support::eventually;
use crate::support::host::{Host, HostBuilder};
use crate::support::redis_server::{GROUP, RedisServer, STREAM, dead_letters, wait_until_settled};

/// What the exporter counts itself.
fn counted(host: &Host, name: &str) -> f64 {
    host.plugin_metrics("otlp")[name].as_f64().unwrap_or_default()
}

/// Spans in each request that the collector was sent.
fn sizes(collector: &Collector) -> Vec<usize> {
    collector.requests().iter().map(|request| spans_of(&request["request"]).len()).collect()
}

/// Scenario: the collector answers 503 with a pause, 429, 502 and 504 before it takes anything.
/// Guarantees: the same traces are sent again, after the pause that was asked for; each is taken once, and nothing becomes a dead letter.
#[test]
fn what_the_collector_cannot_take_now_is_sent_again_after_the_pause_it_asks_for() {
    let Some(collector) = Collector::start() else { return };
    let busy = [429, 502, 504].map(|status| json!({"status": status}));
    collector.answer_next(&[&[json!({"status": 503, "headers": {"Retry-After": "2"}, "message": "busy"})], &busy[..]].concat());
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let (ids, entries) = numbered_traces(20);
    publish(&mut connection, STREAM, &entries);
    let host = collector.fed_by(&redis).start();
    wait_until_settled(&mut connection, GROUP);
    let requests = collector.requests();
    let statuses: Vec<&Value> = requests.iter().map(|request| &request["status"]).collect();
    // Traces that were decided while the first ones waited come in a request of their own.
    let (refused, taken) = statuses.split_at(4);
    assert_eq!(refused, [503, 429, 502, 504]);
    assert!(!taken.is_empty() && taken.iter().all(|status| **status == 200), "{taken:?}");
    let at = |number: usize| requests[number]["at"].as_f64().expect("a time");
    // The host's pauses vary by a fifth, lest exporters come back in step; of its own accord it would have come back within a fifth of a second.
    assert!(at(1) - at(0) > 1.5, "{} s", at(1) - at(0));
    assert_eq!(collector.taken(), ids);
    assert!(dead_letters(&mut connection).is_empty());
    let told =
        format!("http://localhost:{}/v1/traces: the collector answered 503: busy; the traces wait and are offered again", collector.port);
    assert_eq!(host.log_of("otlp"), [&told, "the collector takes traces again"]);
}

/// Scenario: the collector refuses one request for good, and repeats the token that it was sent.
/// Guarantees: its traces are dead letters with what the collector said, the next ones are taken; the token came from the environment, reached the
/// collector, and stands nowhere else.
#[test]
fn a_final_refusal_makes_dead_letters_and_the_token_stands_nowhere() {
    let Some(collector) = Collector::start() else { return };
    collector.answer_next(&[json!({"status": 400, "message": "no span of s3cret-token's is good"})]);
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    publish(&mut connection, STREAM, &[lone("bad", "x")]);
    let log = "info,meshtrace=trace,plugin=trace,hyper=trace,wasmtime_wasi=trace,wasmtime_wasi_io=trace,wasmtime_wasi_http=trace";
    let host = collector.fed_by(&redis).set("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20s3cret-token,x-tenant=mesh");
    let host = host.set("MESHTRACE_LOG", log).start();
    let letters = eventually("the dead letter is there", || Some(dead_letters(&mut connection)).filter(|letters| !letters.is_empty()));
    let reason = format!("http://localhost:{}/v1/traces: the collector answered 400: no span of ***'s is good", collector.port);
    assert_eq!((letters.len(), &letters[0]["dead:plugin"], &letters[0]["dead:reason"]), (1, &"otlp".to_owned(), &reason));
    publish(&mut connection, STREAM, &[lone("good", "x")]);
    wait_until_settled(&mut connection, GROUP);
    assert_eq!(collector.taken(), ["good"]);
    for request in collector.requests() {
        let headers = &request["headers"];
        assert_eq!((&headers["authorization"], &headers["x-tenant"]), (&json!("Bearer s3cret-token"), &json!("mesh")));
    }
    assert!(host.stderr().contains(" wasmtime_wasi_http::"), "the log has no detail to look through");
    let answers = ["/trace/status", "/trace/bad", "/plugins", "/plugins/otlp", "/metrics"].map(|path| host.get(path).body);
    let shown = [host.stderr(), host.stdout(), answers.concat()].concat();
    assert!(!shown.contains("s3cret"), "{shown}");
}

/// Scenario: the collector takes a request but for two of its spans.
/// Guarantees: nothing is sent again and nothing waits; the two are counted and told.
#[test]
fn a_partial_success_is_counted_and_never_sent_again() {
    let Some(collector) = Collector::start() else { return };
    collector.answer_next(&[json!({"status": 200, "rejected": 2, "message": "too old"})]);
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let (ids, entries) = numbered_traces(10);
    publish_together(&mut connection, &entries);
    let host = collector.fed_by(&redis).start();
    wait_until_settled(&mut connection, GROUP);
    eventually("they are counted", || (counted(&host, "rejected_spans") == 2.0).then_some(()));
    assert_eq!((sizes(&collector).iter().sum(), collector.taken()), (entries.len(), ids));
    assert!(dead_letters(&mut connection).is_empty());
    assert_eq!(host.log_of("otlp"), ["the collector took the request and rejected 2 of its spans: too old"]);
}

/// Scenario: the collector says once that a request is too large.
/// Guarantees: it gets the same traces in two requests, and no others twice.
#[test]
fn a_request_that_is_too_large_is_sent_in_halves() {
    let Some(collector) = Collector::start() else { return };
    collector.answer_next(&[json!({"status": 413})]);
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let (ids, entries) = numbered_traces(10);
    publish_together(&mut connection, &entries);
    let _host = collector.fed_by(&redis).start();
    wait_until_settled(&mut connection, GROUP);
    // On a busy machine the traces may come in several requests.
    let sizes = sizes(&collector);
    let ([refused, half, other, ..], all) = (&sizes[..], sizes.iter().sum::<usize>()) else { panic!("{sizes:?}") };
    assert!(half + other == *refused && half.abs_diff(*other) <= 3, "{sizes:?}");
    assert_eq!((all, collector.taken()), (refused + entries.len(), ids));
}

/// Scenario: the collector is killed while traces flow, and comes back; this three times.
/// Guarantees: it has every trace in the end, nothing is pending, and nothing became a dead letter.
#[test]
fn a_collector_that_goes_and_comes_back_misses_nothing() {
    let Some(mut collector) = Collector::start() else { return };
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let host = collector.fed_by(&redis).start();
    let (ids, entries) = numbered_traces(60);
    for (round, chunk) in entries.chunks(60).enumerate() {
        publish(&mut connection, STREAM, &chunk[..30]);
        eventually("the first are taken", || (collector.taken().len() >= 20 * round + 10).then_some(()));
        collector.kill();
        publish(&mut connection, STREAM, &chunk[30..]);
        eventually("it is missed", || (host.plugin("otlp")["state"] == "holding").then_some(()));
        collector.restart();
    }
    wait_until_settled(&mut connection, GROUP);
    assert_eq!(collector.taken().into_iter().collect::<BTreeSet<_>>(), ids.into_iter().collect());
    assert!(dead_letters(&mut connection).is_empty());
}

/// Scenario: the collector speaks TLS with a certificate of our own authority; a host that knows the authority, and one that does not.
/// Guarantees: the first delivers; the second sends nothing, says why, and keeps the traces.
#[test]
fn a_collector_is_spoken_to_over_tls_only_if_its_certificate_is_good() {
    let certificates = Certificates::new();
    let files = ["server.pem", "server.key"].map(|name| certificates.path(name));
    let Some(collector) = Collector::start_with(Some(files)) else { return };
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    publish(&mut connection, STREAM, &[lone("a", "x")]);
    let endpoint = format!("https://127.0.0.1:{}", collector.port);
    let stranger = sending(&redis, &endpoint).set("SSL_CERT_FILE", &certificates.path("client.pem")).start();
    let told = format!("{endpoint}/v1/traces: the collector's certificate is not trusted; the traces wait and are offered again");
    eventually("the stranger says why", || stranger.log_of("otlp").contains(&told).then_some(()));
    drop(stranger);
    assert!(collector.requests().is_empty());
    let _host = sending(&redis, &endpoint).set("SSL_CERT_FILE", &certificates.path("ca.pem")).start();
    eventually("it is taken", || (collector.taken() == ["a"]).then_some(()));
    wait_until_settled(&mut connection, GROUP);
}

/// Scenario: the variables as MCP Mesh's own compose files set them, for gRPC.
/// Guarantees: the start is refused with one line that says what to set; where otlp is not to run, they are nobody's concern.
#[test]
fn grpc_is_refused_with_a_line_that_says_what_to_set() {
    let host = || HostBuilder::idle().set("TRACE_EXPORTER_TYPE", "otlp").set("TELEMETRY_ENDPOINT", "tempo:4317");
    let said = host().set("TELEMETRY_PROTOCOL", "grpc").refused();
    let expected =
        "TELEMETRY_PROTOCOL=grpc: meshtrace sends OTLP over HTTP; set TELEMETRY_PROTOCOL=http and TELEMETRY_ENDPOINT=http://tempo:4318";
    assert!(said.lines().last().is_some_and(|line| line.ends_with(expected)), "{said}");
    let said = host().refused();
    let expected = "set TELEMETRY_ENDPOINT=http://tempo:4318, or TELEMETRY_PROTOCOL=http if this one takes HTTP";
    assert!(said.lines().last().is_some_and(|line| line.ends_with(expected)), "{said}");
    let said = host().set("TELEMETRY_PROTOCOL", "thrift").set("TELEMETRY_ENDPOINT", "me:secret@tempo").refused();
    let expected = "\
meshtrace: TELEMETRY_ENDPOINT=***@tempo: expected HOST:PORT or a URL such as http://localhost:4318, without a user, as headers are for that
TELEMETRY_PROTOCOL=thrift: expected http
";
    assert_eq!(said, expected);
    host().set("TELEMETRY_PROTOCOL", "grpc").set("TRACE_EXPORTER_TYPE", "console").start();
}
