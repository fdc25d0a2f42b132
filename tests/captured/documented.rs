//! What MCP Mesh's documents tell their readers to type, as it stands there.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Deserializer, Value, json};

use super::all_entries;
use crate::support::events::{Fields, publish, span, with};
use crate::support::host::{Host, HostBuilder};
use crate::support::redis_server::{GROUP, RedisServer, STREAM, wait_until_settled};

/// What is not ours to be asked: monitoring systems, the system's log and files. They say here what they were called with, and what they were sent.
const ELSEWHERE: &str = r#"
set -o pipefail
sent() { case "$*" in *@-*) cat ;; esac; }
curl() { case "$*" in *"$BASE"*) command curl "$@" ;; *) echo "curl $*"; sent "$@" ;; esac; }
logger() { echo "logger $*: $(cat)"; }
grep() { echo "grep $*"; }
"#;

/// Reads the documents, and types.
struct Reader {
    base: String,
}

impl Reader {
    /// Runs what the documents have, with the address changed and nothing else; what it prints.
    #[track_caller]
    fn types(&self, documented: &str) -> String {
        assert!(documented.contains("http://localhost:8000/trace/"), "{documented}");
        let text = documented.replace("http://localhost:8000", &self.base);
        let mut bash = Command::new("bash");
        bash.args(["-c", &format!("{ELSEWHERE}{text}")]).env("BASE", &self.base).env("DD_API_KEY", "key");
        let output = bash.output().expect("bash");
        assert!(output.status.success(), "{documented}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Likewise, where JSON is printed: the one document.
    #[track_caller]
    fn gets(&self, documented: &str) -> Value {
        let [value] = <[Value; 1]>::try_from(values(&self.types(documented))).expect("one document");
        value
    }
}

/// The documents that `jq` prints one after another.
#[track_caller]
fn values(printed: &str) -> Vec<Value> {
    Deserializer::from_str(printed).into_iter().collect::<Result<_, _>>().unwrap_or_else(|error| panic!("{error} in {printed}"))
}

/// The agents that the documents ask for have just done something: the captured ones have other names, and are of another day.
fn of_now() -> [Fields; 2] {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs();
    let (start, end) = (format!("{now}.5"), format!("{now}.75"));
    let times = [("start_time", &*start), ("end_time", &end)];
    let of = |agent, span| with(with(span, &times), &[("agent_name", agent)]);
    [of("weather-service", span("now", "a", None)), of("weather", span("now", "b", Some("a")))]
}

/// The captured events and those of now, exported.
fn exported(redis: &RedisServer) -> Host {
    let mut connection = redis.connect();
    publish(&mut connection, STREAM, &[&all_entries()[..], &of_now()].concat());
    let host = HostBuilder::new(&redis.url()).start();
    host.wait_for_exports(71);
    wait_until_settled(&mut connection, GROUP);
    host
}

fn ids(traces: &Value) -> Vec<&str> {
    traces.as_array().expect("traces").iter().filter_map(|trace| trace["trace_id"].as_str()).collect()
}

/// Scenario: the shell lines of MCP Mesh's documents that ask a registry for traces, with the address changed and nothing else, real curl and jq.
/// Guarantees: each prints what its reader was told it would. One averages `.duration`, which is text; it reads `.duration_ms` here.
#[test]
fn the_documented_shell_lines_work_with_real_curl_and_jq() {
    let redis = RedisServer::start();
    let host = exported(&redis);
    let reader = Reader { base: host.url("") };
    looks_around(&reader);
    searches(&reader);
    let average =
        r#"curl "http://localhost:8000/trace/search?agent_name=weather-service&limit=50" | jq '[.traces[].duration] | add / length'"#;
    assert_eq!(reader.gets(&average.replace(".duration]", ".duration_ms]")), json!(250));
    searches_the_last_hour(&reader, &host);
}

fn looks_around(reader: &Reader) {
    let status = reader.gets("curl http://localhost:8000/trace/status");
    assert_eq!(reader.gets("curl http://localhost:8000/trace/status | jq .enabled"), true);
    let consumer = reader.gets("curl http://localhost:8000/trace/status | jq .consumer");
    let told = ["stream_name", "consumer_group", "status"].map(|key| consumer[key].as_str());
    assert_eq!(told, [Some(STREAM), Some(GROUP), Some("running")]);
    let correlator = reader.gets("curl http://localhost:8000/trace/status | jq .correlator");
    assert_eq!((&correlator["active_traces"], &correlator["total_spans"]), (&json!(0), &json!(0)));
    assert_eq!(reader.gets("curl http://localhost:8000/trace/status | jq .correlator.active_traces"), 0);
    assert_eq!((&status["exporter"]["type"], &status["exporter"]["exported_traces"]), (&json!("json"), &json!(71)));
    let list = reader.gets("curl http://localhost:8000/trace/list | jq .");
    assert_eq!((ids(&list["traces"]).len(), &list["count"], &list["total"]), (20, &json!(20), &json!(71)));
}

fn searches(reader: &Reader) {
    let slow = reader.gets(r#"curl "http://localhost:8000/trace/search?min_duration_ms=1000" | jq ."#);
    assert!(!ids(&slow["traces"]).is_empty());
    assert!(slow["traces"].as_array().expect("traces").iter().all(|trace| trace["duration_ms"].as_f64() >= Some(1000.0)));
    let shown =
        r#"curl "http://localhost:8000/trace/search?min_duration_ms=1000&limit=10" | jq '.traces[] | {trace_id, duration, agents}'"#;
    let shown = Value::from(values(&reader.types(shown)));
    assert_eq!(ids(&shown), ids(&slow["traces"]));
    assert!(shown[0]["duration"].as_str().is_some_and(|text| text.ends_with('s')) && shown[0]["agents"].is_array(), "{shown}");

    let failed = reader.gets(r#"curl "http://localhost:8000/trace/search?success=false" | jq ."#);
    assert_eq!(failed["count"], 10);
    let shown = r#"curl "http://localhost:8000/trace/search?success=false&limit=5" | jq '.traces[] | {trace_id, agents, spans: [.spans[] | select(.success == false)]}'"#;
    let shown = Value::from(values(&reader.types(shown)));
    assert_eq!(ids(&shown), ids(&failed["traces"])[..5]);
    assert!(shown.as_array().expect("traces").iter().all(|trace| trace["spans"][0]["success"] == false), "{shown}");

    let one_agent = reader.gets(r#"curl "http://localhost:8000/trace/search?agent_name=weather-service" | jq ."#);
    assert_eq!(ids(&one_agent["traces"]), ["now"]);
}

fn searches_the_last_hour(reader: &Reader, host: &Host) {
    let date = Command::new("date").args(["-u", "-d", "1 hour ago", "+%Y-%m-%dT%H:%M:%SZ"]).output().expect("date");
    let hour_ago = String::from_utf8(date.stdout).expect("UTF-8");
    // All captured ones are older, unless this machine's clock is behind.
    let files = host.json_files();
    let is_recent = |file: &&Value| file["start_time"].as_str().is_some_and(|start| start >= hour_ago.trim());
    let recent = files.values().filter(is_recent).count();
    let found = reader.gets(
        r#"# Get traces from last hour
HOUR_AGO=$(date -u -d '1 hour ago' +%Y-%m-%dT%H:%M:%SZ)
curl "http://localhost:8000/trace/search?start_time=$HOUR_AGO" | jq ."#,
    );
    assert!(ids(&found["traces"]).contains(&"now"), "{found}");
    let counted = reader.gets(
        r#"# Get traces from last hour
HOUR_AGO=$(date -u -d '1 hour ago' +%Y-%m-%dT%H:%M:%SZ)
curl "http://localhost:8000/trace/search?start_time=$HOUR_AGO&limit=100" | jq '.traces | length'"#,
    );
    assert_eq!(counted, recent);
}

/// Scenario: the scripts of MCP Mesh's documents that hand traces and statistics on to other systems, with the address changed and nothing else.
/// Guarantees: these systems get what the scripts mean to send.
#[test]
fn the_documented_scripts_hand_on_what_they_mean_to() {
    let redis = RedisServer::start();
    let host = exported(&redis);
    let reader = Reader { base: host.url("") };
    hands_on_metrics(&reader, &host.get("/trace/stats").json());
    hands_on_traces(&reader);
}

fn hands_on_metrics(reader: &Reader, stats: &Value) {
    let printed = reader.types(
        r#"#!/bin/bash
# Send trace metrics to external monitoring

# Get trace stats
STATS=$(curl -s http://localhost:8000/trace/stats)
TOTAL_TRACES=$(echo $STATS | jq .total_traces)
SUCCESS_RATE=$(echo $STATS | jq '.success_traces / .total_traces * 100')

# Send to monitoring system
curl -X POST http://monitoring.internal/metrics \
  -d "mcp_mesh_traces_total $TOTAL_TRACES"
curl -X POST http://monitoring.internal/metrics \
  -d "mcp_mesh_traces_success_rate $SUCCESS_RATE""#,
    );
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[0], "curl -X POST http://monitoring.internal/metrics -d mcp_mesh_traces_total 71");
    let rate = lines[1].strip_prefix("curl -X POST http://monitoring.internal/metrics -d mcp_mesh_traces_success_rate ");
    let rate: f64 = rate.expect("the rate").parse().expect("a number");
    assert!((rate - 100.0 * 61.0 / 71.0).abs() < 1e-9, "{rate}");

    let printed = reader.types(
        r#"#!/bin/bash
# Export trace metrics to Prometheus
STATS=$(curl -s http://localhost:8000/trace/stats)
SUCCESS_RATE=$(echo $STATS | jq .success_rate)
AVG_DURATION=$(echo $STATS | jq .avg_duration_ms)
echo "mcp_mesh_trace_success_rate $SUCCESS_RATE" | curl -X POST --data-binary @- http://pushgateway:9091/metrics/job/mcp-mesh
echo "mcp_mesh_trace_avg_duration_ms $AVG_DURATION" | curl -X POST --data-binary @- http://pushgateway:9091/metrics/job/mcp-mesh"#,
    );
    let lines: Vec<&str> = printed.lines().collect();
    let sending = "curl -X POST --data-binary @- http://pushgateway:9091/metrics/job/mcp-mesh";
    assert_eq!((lines[0], lines[1], lines[2]), (sending, "mcp_mesh_trace_success_rate 85.92", sending));
    let average = lines[3].strip_prefix("mcp_mesh_trace_avg_duration_ms ").expect("the average").parse().ok();
    assert!(average > Some(0.0) && average == stats["avg_duration_ms"].as_f64(), "{average:?} {stats}");
}

fn hands_on_traces(reader: &Reader) {
    let printed = reader.types(
        r#"#!/bin/bash
# Export traces to centralized logging

# Get recent traces and send to logs
curl -s "http://localhost:8000/trace/list?limit=100" | \
  jq -c '.traces[]' | \
  while read trace; do
    echo "$trace" | logger -t mcp-mesh-trace
  done"#,
    );
    // Their `read` takes backslashes out, with which a text's own quotes are escaped.
    let logged: Vec<&str> = printed.lines().filter_map(|line| line.strip_prefix("logger -t mcp-mesh-trace: ")).collect();
    let whole = |line: &&&str| serde_json::from_str::<Value>(line).is_ok_and(|trace| trace["trace_id"].is_string());
    assert_eq!((logged.len(), printed.lines().count()), (71, 71));
    assert!(logged.iter().filter(whole).count() >= 61, "{printed}");

    let printed = reader.types(
        r#"#!/bin/bash
# Send traces to external APM (e.g., Datadog, New Relic)
curl -s "http://localhost:8000/trace/list?limit=100" | \
jq -c '.traces[]' | \
while read trace; do
curl -X POST "https://api.datadoghq.com/api/v1/traces" \
-H "DD-API-KEY: $DD_API_KEY" \
-H "Content-Type: application/json" \
-d "$trace"
done"#,
    );
    let sending = "curl -X POST https://api.datadoghq.com/api/v1/traces -H DD-API-KEY: key -H Content-Type: application/json -d ";
    let sent: Vec<&str> = printed.lines().filter_map(|line| line.strip_prefix(sending)).collect();
    assert_eq!(sent, logged);

    let failed = reader.gets(r#"curl "http://localhost:8000/trace/search?success=false" | jq ."#);
    let printed = reader.types(
        r#"#!/bin/bash
# Correlate traces with application logs
# Extract trace IDs and search logs
curl -s "http://localhost:8000/trace/search?success=false&limit=10" | \
jq -r '.traces[].trace_id' | \
while read trace_id; do
echo "=== Logs for trace $trace_id ==="
grep "$trace_id" /var/log/mcp-mesh/*.log
done"#,
    );
    let looked_for = |id: &&str| format!("=== Logs for trace {id} ===\ngrep {id} /var/log/mcp-mesh/*.log\n");
    assert_eq!(printed, ids(&failed["traces"]).iter().map(looked_for).collect::<String>());
}

/// Scenario: the requests that MCP Mesh's reference of the API has as its examples.
/// Guarantees: each is answered with what it asks for.
#[test]
fn the_documented_requests_are_answered() {
    let redis = RedisServer::start();
    let host = exported(&redis);
    let found = host.get("/trace/search?agent_name=weather&success=true&start_time=2024-01-01T00:00:00Z").json();
    assert_eq!(ids(&found["traces"]), ["now"]);
    let list = host.get("/trace/list?limit=20&offset=0").json();
    assert_eq!((ids(&list["traces"]).len(), &list["limit"], &list["offset"]), (20, &json!(20), &json!(0)));
    let trace = host.get("/trace/now").json();
    assert_eq!((&trace["duration"], &trace["agents"]), (&json!("250ms"), &json!(["weather-service", "weather"])));
    assert_eq!(host.get("/trace/status").json()["enabled"], true);
    assert_eq!(host.get("/trace/stats").json()["total_traces"], 71);
}
