//! An OTLP collector of the test's own: `collector.py`, which decodes with OpenTelemetry's Python packages.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::host::HostBuilder;
use super::redis_server::RedisServer;
use super::{eventually, free_port, on_ci};

/// A running collector; ends with this value.
pub struct Collector {
    process: Child,
    pub port: u16,
    dir: TempDir,
    tls: Option<[String; 2]>,
}

/// Python with the packages; `None` where it has not been set up, which is an error on CI.
fn python() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("tmp lies in the target directory");
    let python = target.join("venv/bin/python");
    let probe = Command::new(&python).args(["-c", "import opentelemetry.proto.collector.trace.v1.trace_service_pb2"]).output();
    let found = probe.is_ok_and(|output| output.status.success());
    assert!(found || !on_ci(), "OpenTelemetry's Python packages are missing: cargo xtask setup installs them");
    if !found {
        eprintln!("left out: OpenTelemetry's Python packages are missing (cargo xtask setup)");
    }
    found.then_some(python)
}

impl Collector {
    /// One that takes everything; `None` where there is no Python for it.
    pub fn start() -> Option<Collector> {
        Self::start_with(None)
    }

    /// One that speaks TLS with this certificate and key.
    pub fn start_with(tls: Option<[String; 2]>) -> Option<Collector> {
        let python = python()?;
        let (dir, port) = (tempfile::tempdir().expect("a directory"), free_port());
        let process = spawn(&python, port, dir.path(), tls.as_ref());
        let collector = Collector { process, port, dir, tls };
        collector.wait_until_listening();
        Some(collector)
    }

    /// Kills it; what comes next finds nobody there.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts it again at its old place.
    pub fn restart(&mut self) {
        self.kill();
        self.process = spawn(&python().expect("as at the start"), self.port, self.dir.path(), self.tls.as_ref());
        self.wait_until_listening();
    }

    #[track_caller]
    fn wait_until_listening(&self) {
        eventually("the collector listens", || TcpStream::connect(("127.0.0.1", self.port)).ok());
    }

    /// What it answers next, in order; then it takes everything.
    #[track_caller]
    pub fn answer_next(&self, answers: &[Value]) {
        let body = json!(answers).to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        write!(stream, "PUT /answers HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len()).expect("it is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    }

    /// Every request so far: its headers, what it was answered, and the decoded message.
    pub fn requests(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.dir.path().join("requests")).unwrap_or_default();
        // The last line may be half written.
        text.split_inclusive('\n').filter_map(|line| serde_json::from_str(line.strip_suffix('\n')?).ok()).collect()
    }

    /// A host that sends here.
    pub fn fed_by(&self, redis: &RedisServer) -> HostBuilder {
        sending(redis, &format!("localhost:{}", self.port))
    }

    /// The ids of the traces that it has taken, as agents wrote them, repeats included.
    pub fn taken(&self) -> Vec<String> {
        let spans = self.spans();
        let roots = spans.iter().filter(|span| span["parent_span_id"].is_null());
        roots.map(|span| id(span, "trace_id", "mesh.trace_id")).collect()
    }

    /// The spans that it has taken, each with its resource's attributes under `resource`.
    pub fn spans(&self) -> Vec<Value> {
        let taken = self.requests().into_iter().filter(|request| request["status"] == 200);
        taken.flat_map(|request| spans_of(&request["request"])).collect()
    }
}

/// Attributes as a map. An attribute comes once.
pub fn attributes(list: &Value) -> BTreeMap<String, Value> {
    let list = list.as_array().cloned().unwrap_or_default();
    let count = list.len();
    let map: BTreeMap<String, Value> =
        list.into_iter().map(|pair| (pair["key"].as_str().expect("a key").to_owned(), pair["value"].clone())).collect();
    assert_eq!(map.len(), count, "{map:?}");
    map
}

/// An id of a decoded span as the agent wrote it: an attribute, where it was no hex.
pub fn id(span: &Value, field: &str, attribute: &str) -> String {
    let kept = attributes(&span["attributes"]).get(attribute).map(|value| value["string_value"].clone());
    kept.as_ref().unwrap_or(&span[field]).as_str().expect("an id").to_owned()
}

/// A host that sends to this endpoint and does nothing else with traces.
pub fn sending(redis: &RedisServer, endpoint: &str) -> HostBuilder {
    let host = HostBuilder::new(&redis.url()).set("TRACE_EXPORTER_TYPE", "otlp").set("TRACE_ENABLE_STATS", "false");
    host.set("TELEMETRY_ENDPOINT", endpoint)
}

/// The spans of a decoded request, each with its resource's attributes under `resource`.
pub fn spans_of(request: &Value) -> Vec<Value> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut spans = Vec::new();
    for group in list(&request["resource_spans"]) {
        for mut span in list(&group["scope_spans"]).iter().flat_map(|scope| list(&scope["spans"])) {
            span["resource"] = group["resource"]["attributes"].clone();
            spans.push(span);
        }
    }
    spans
}

fn spawn(python: &Path, port: u16, dir: &Path, tls: Option<&[String; 2]>) -> Child {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/support/collector.py");
    let mut command = Command::new(python);
    command.arg(script).arg(port.to_string()).arg(dir.join("requests")).args(tls.into_iter().flatten());
    command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null());
    command.spawn().expect("python starts")
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.kill();
    }
}
