//! The otlp exporter against a collector that decodes with OpenTelemetry's own Python packages. Left out where they are not set up.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::certificates::Certificates;
use crate::support::collector::{Collector, spans_of};
use crate::support::events::{Fields, captured, lone, numbered_traces, publish, span, with};
use crate::support::eventually;
use crate::support::host::{Host, HostBuilder};
use crate::support::redis_server::{GROUP, RedisServer, STREAM, dead_letters, wait_until_settled};

/// A host that sends to this endpoint and does nothing else with traces.
fn sending(redis: &RedisServer, endpoint: &str) -> HostBuilder {
    let host = HostBuilder::new(&redis.url()).set("TRACE_EXPORTER_TYPE", "otlp").set("TRACE_ENABLE_STATS", "false");
    host.set("TELEMETRY_ENDPOINT", endpoint)
}

/// The same for a collector on this machine.
fn sending_to(redis: &RedisServer, collector: &Collector) -> HostBuilder {
    sending(redis, &format!("localhost:{}", collector.port))
}

/// Attributes as a map. An attribute comes once.
fn attributes(list: &Value) -> BTreeMap<String, Value> {
    let list = list.as_array().cloned().unwrap_or_default();
    let count = list.len();
    let map: BTreeMap<String, Value> =
        list.into_iter().map(|pair| (pair["key"].as_str().expect("a key").to_owned(), pair["value"].clone())).collect();
    assert_eq!(map.len(), count, "{map:?}");
    map
}

/// The ids of the traces that the collector has taken, by their text, repeats included.
fn taken(collector: &Collector) -> Vec<String> {
    collector.spans().iter().filter(|span| span["parent_span_id"].is_null()).map(|span| id(span, "trace_id", "mesh.trace_id")).collect()
}

/// An id as the agent wrote it.
fn id(span: &Value, field: &str, attribute: &str) -> String {
    let kept = attributes(&span["attributes"]).get(attribute).map(|value| value["string_value"].clone());
    kept.as_ref().unwrap_or(&span[field]).as_str().expect("an id").to_owned()
}

/// What the exporter counts itself.
fn counted(host: &Host, name: &str) -> f64 {
    host.plugin_metrics("otlp")[name].as_f64().unwrap_or_default()
}

/// Scenario: a trace of two agents with ids, times, an error and attributes of all kinds, and one whose ids are no hex at all.
/// Guarantees: the collector decodes just this: ids of the right length with the original beside them, times to the nanosecond, status and error
/// text, typed attributes, and for each agent one resource.
#[test]
fn every_field_arrives_as_opentelemetry_has_it() {
    let Some(collector) = Collector::start() else { return };
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let trace = "0AF76519-16cd-43dd-8448-eb211c80319c";
    let times = [("start_time", "1795221702.123456789"), ("end_time", "1795221702.987654321"), ("duration_ms", "864.197532")];
    let agent = [("agent_ip", "10.1.2.3"), ("runtime", "python"), ("agent_port", "9101")];
    let root = with(span(trace, "00f067aa0ba902b7", None), &[("function_name", "plan"), ("args_count", "2"), ("capability", "planning")]);
    let root = with(with(root, &times), &agent);
    let failed = [("agent_name", "booker"), ("agent_id", "booker-7"), ("success", "False"), ("error", "no seats\n\"left\" é")];
    let child = with(span(trace, "not hex", Some("00f067aa0ba902b7")), &failed);
    let child = with(child, &[("dependencies", "[\"a\"]"), ("published_at", "0.5")]);
    let second = with(span(trace, "00f067aa0ba902b8", Some("not hex")), &agent);
    publish(&mut connection, STREAM, &[root, child, second, lone("order #42", "x")]);
    let _host = sending_to(&redis, &collector).start();
    wait_until_settled(&mut connection, GROUP);
    let requests = collector.requests();
    assert_eq!(requests.len(), 1, "traces that are ready together go together");
    let text = |key: &str, value: &str| json!({"key": key, "value": {"string_value": value}});
    let number = |key: &str, value: &str| json!({"key": key, "value": {"int_value": value}});
    let (id, original) = ("0af7651916cd43dd8448eb211c80319c", text("mesh.trace_id", trace));
    let (start, end) = ("1795221702500000000", "1795221702750000000");
    let group = |attributes: &[Value], spans: &[Value]| json!({"resource": {"attributes": attributes}, "scope_spans": [{"scope": {"name": "mcp-mesh"}, "spans": spans}]});
    let expected = json!({"resource_spans": [
        group(&[
            text("service.name", "agent"), text("service.instance.id", "agent-1"), text("process.runtime.name", "python"),
            json!({"key": "host.ip", "value": {"array_value": {"values": [{"string_value": "10.1.2.3"}]}}}), number("agent_port", "9101"),
        ], &[
            json!({
                "trace_id": id, "span_id": "00f067aa0ba902b7", "name": "plan", "start_time_unix_nano": "1795221702123456789",
                "end_time_unix_nano": "1795221702987654321", "status": {"code": 1},
                "attributes": [number("args_count", "2"), text("capability", "planning"), original],
            }),
            json!({
                "trace_id": id, "span_id": "00f067aa0ba902b8", "parent_span_id": "24b7c296f882c9a3", "name": "work", "start_time_unix_nano": start,
                "end_time_unix_nano": end, "status": {"code": 1}, "attributes": [original, text("mesh.parent_span", "not hex")],
            }),
        ]),
        group(&[text("service.name", "booker"), text("service.instance.id", "booker-7")], &[json!({
            "trace_id": id, "span_id": "24b7c296f882c9a3", "parent_span_id": "00f067aa0ba902b7", "name": "work", "start_time_unix_nano": start,
            "end_time_unix_nano": end, "status": {"code": 2, "message": "no seats\n\"left\" é"},
            "attributes": [
                text("dependencies", "[\"a\"]"), json!({"key": "published_at", "value": {"double_value": 0.5}}), original, text("mesh.span_id", "not hex"),
            ],
        })]),
        group(&[text("service.name", "agent"), text("service.instance.id", "agent-1")], &[json!({
            // The first bytes of the SHA-256 of the texts.
            "trace_id": "cf76f80f9170bd46f609a1f887d9be75", "span_id": "ca978112ca1bbdca", "name": "x", "start_time_unix_nano": start,
            "end_time_unix_nano": end, "status": {"code": 1}, "attributes": [text("mesh.trace_id", "order #42"), text("mesh.span_id", "a")],
        })]),
    ]});
    assert_eq!(requests[0]["request"], expected, "{:#}", requests[0]["request"]);
}

/// Every captured event, of three runtimes.
fn all_captured() -> Vec<Fields> {
    ["python", "typescript", "java"].into_iter().flat_map(captured).collect()
}

/// What the JSON documents say of a span, in OTLP's terms: name, start, end, status code, error text, agent.
fn expected_span(span: &Value) -> [String; 6] {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let nanos = |value: &Value| {
        value.as_str().map_or("0".into(), |text| text.parse::<jiff::Timestamp>().expect("a time").as_nanosecond().to_string())
    };
    let code = span["success"].as_bool().map_or("0", |success| if success { "1" } else { "2" });
    [
        text(&span["operation"]),
        nanos(&span["start_time"]),
        nanos(&span["end_time"]),
        code.to_owned(),
        text(&span["error_message"]),
        text(&span["agent_name"]),
    ]
}

/// The same of a decoded span.
fn found_span(span: &Value) -> [String; 6] {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let nanos = |value: &Value| value.as_str().unwrap_or("0").to_owned();
    [
        text(&span["name"]),
        nanos(&span["start_time_unix_nano"]),
        nanos(&span["end_time_unix_nano"]),
        span["status"]["code"].as_u64().unwrap_or_default().to_string(),
        text(&span["status"]["message"]),
        attributes(&span["resource"]).get("service.name").map(|value| text(&value["string_value"])).unwrap_or_default(),
    ]
}

/// Scenario: the captured events of six agents and of two other runtimes' formatters.
/// Guarantees: every span arrives once and says what its JSON document says; requests are gzipped, one resource per agent in each, over one
/// connection.
#[test]
fn every_captured_span_arrives_once_as_the_json_files_have_it() {
    let Some(collector) = Collector::start() else { return };
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let host = sending_to(&redis, &collector).set("TRACE_EXPORTER_TYPE", "json,otlp").start();
    for (number, chunk) in all_captured().chunks(80).enumerate() {
        publish(&mut connection, STREAM, chunk);
        eventually("a batch is sent", || (collector.requests().len() > number).then_some(()));
    }
    host.wait_for_exports(70);
    wait_until_settled(&mut connection, GROUP);
    let mut expected = BTreeMap::new();
    for (trace, document) in host.json_files() {
        for span in document["spans"].as_array().expect("spans") {
            expected.insert((trace.clone(), span["span_id"].as_str().expect("an id").to_owned()), expected_span(span));
        }
    }
    let spans = collector.spans();
    let key = |span: &Value| (id(span, "trace_id", "mesh.trace_id"), id(span, "span_id", "mesh.span_id"));
    let found: BTreeMap<_, _> = spans.iter().map(|span| (key(span), found_span(span))).collect();
    assert_eq!((spans.len(), found.len()), (232, 232), "each once");
    assert_eq!(found, expected);
    for span in &spans {
        assert_eq!((span["trace_id"].as_str().map(str::len), span["span_id"].as_str().map(str::len)), (Some(32), Some(16)));
    }
    let requests = collector.requests();
    for request in &requests {
        assert_eq!(request["headers"]["content-encoding"], "gzip");
        let groups = request["request"]["resource_spans"].as_array().expect("resources");
        let distinct: BTreeSet<String> = groups.iter().map(|group| group["resource"].to_string()).collect();
        assert_eq!(distinct.len(), groups.len(), "an agent is one resource");
    }
    let connections: BTreeSet<u64> = requests.iter().filter_map(|request| request["client"].as_u64()).collect();
    assert!(requests.len() > 2 && connections.len() == 1, "{} requests over {} connections", requests.len(), connections.len());
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
    let host = sending_to(&redis, &collector).start();
    wait_until_settled(&mut connection, GROUP);
    let requests = collector.requests();
    let statuses: Vec<&Value> = requests.iter().map(|request| &request["status"]).collect();
    assert_eq!(statuses, [503, 429, 502, 504, 200]);
    let at = |number: usize| requests[number]["at"].as_f64().expect("a time");
    // The host's pauses vary by a fifth, lest exporters come back in step; of its own accord it would have come back within a fifth of a second.
    assert!(at(1) - at(0) > 1.5, "{} s", at(1) - at(0));
    assert_eq!(taken(&collector), ids);
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
    let host = sending_to(&redis, &collector).set("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20s3cret-token,x-tenant=mesh");
    let host = host.set("MESHTRACE_LOG", log).start();
    let letters = eventually("the dead letter is there", || Some(dead_letters(&mut connection)).filter(|letters| !letters.is_empty()));
    let reason = format!("http://localhost:{}/v1/traces: the collector answered 400: no span of ***'s is good", collector.port);
    assert_eq!((letters.len(), &letters[0]["dead:plugin"], &letters[0]["dead:reason"]), (1, &"otlp".to_owned(), &reason));
    publish(&mut connection, STREAM, &[lone("good", "x")]);
    wait_until_settled(&mut connection, GROUP);
    assert_eq!(taken(&collector), ["good"]);
    for request in collector.requests() {
        let headers = &request["headers"];
        assert_eq!((&headers["authorization"], &headers["x-tenant"]), (&json!("Bearer s3cret-token"), &json!("mesh")));
    }
    assert!(host.stderr().contains(" wasmtime_wasi_http::"), "the log has no detail to look through");
    let answers = ["/trace/status", "/trace/bad", "/plugins", "/plugins/otlp"].map(|path| host.try_get(path).map(|answer| answer.body));
    let shown = [host.stderr(), host.stdout(), format!("{answers:?}")].concat();
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
    publish(&mut connection, STREAM, &entries);
    let host = sending_to(&redis, &collector).start();
    wait_until_settled(&mut connection, GROUP);
    eventually("they are counted", || (counted(&host, "rejected_spans") == 2.0).then_some(()));
    assert_eq!((collector.requests().len(), taken(&collector)), (1, ids));
    assert!(dead_letters(&mut connection).is_empty());
    assert_eq!(host.log_of("otlp"), ["the collector took the request and rejected 2 of its spans: too old"]);
}

/// Scenario: the collector says once that a request is too large.
/// Guarantees: it gets the same traces in two requests.
#[test]
fn a_request_that_is_too_large_is_sent_in_halves() {
    let Some(collector) = Collector::start() else { return };
    collector.answer_next(&[json!({"status": 413})]);
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let (ids, entries) = numbered_traces(10);
    publish(&mut connection, STREAM, &entries);
    let _host = sending_to(&redis, &collector).start();
    wait_until_settled(&mut connection, GROUP);
    let sizes: Vec<usize> = collector.requests().iter().map(|request| spans_of(&request["request"]).len()).collect();
    assert_eq!((sizes, taken(&collector)), (vec![30, 15, 15], ids));
}

/// Scenario: the collector is killed while traces flow, and comes back; this three times.
/// Guarantees: it has every trace in the end, nothing is pending, and nothing became a dead letter.
#[test]
fn a_collector_that_goes_and_comes_back_misses_nothing() {
    let Some(mut collector) = Collector::start() else { return };
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let host = sending_to(&redis, &collector).start();
    let (ids, entries) = numbered_traces(60);
    for (round, chunk) in entries.chunks(60).enumerate() {
        publish(&mut connection, STREAM, &chunk[..30]);
        eventually("the first are taken", || (taken(&collector).len() >= 20 * round + 10).then_some(()));
        collector.kill();
        publish(&mut connection, STREAM, &chunk[30..]);
        eventually("it is missed", || (host.plugin("otlp")["state"] == "holding").then_some(()));
        collector.restart();
    }
    wait_until_settled(&mut connection, GROUP);
    assert_eq!(taken(&collector).into_iter().collect::<BTreeSet<_>>(), ids.into_iter().collect());
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
    eventually("it is taken", || (taken(&collector) == ["a"]).then_some(()));
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
