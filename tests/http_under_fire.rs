//! Clients of the API that are slow, greedy or hostile; its token and TLS.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};

use crate::support::certificates::Certificates;
use crate::support::events::{assert_whole, numbered_traces, publish};
use crate::support::eventually;
use crate::support::host::{Host, HostBuilder};
use crate::support::redis_server::{GROUP, RedisServer, STREAM, wait_until_settled};

/// This process may have as many files open as the system lets it: a thousand connections have two ends, and one of each is here.
fn allow_many_files() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("up to the maximum it may be set");
}

/// Sends bytes, and reads to the end: the status, and the body as JSON.
fn say(host: &Host, bytes: &[u8]) -> (u16, Value) {
    let mut stream = TcpStream::connect(("127.0.0.1", host.port)).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    // It may be sent away while it still sends.
    let _ = stream.write_all(bytes);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer:?}")))
}

/// The value of a series.
fn metric(host: &Host, series: &str) -> u64 {
    let text = host.get("/metrics").body;
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {series} in {text}"))
}

/// Memory of the host, in KiB.
fn resident(host: &Host) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.process.id())).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn hostile_requests() -> Vec<(u16, Vec<u8>)> {
    let request = |line: &str, more: &str| format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n").into_bytes();
    vec![
        (431, request("GET /health", &format!("x: {}\r\n", "a".repeat(4 << 20)))),
        (414, request(&format!("GET /trace/{}", "a".repeat(10_000)), "")),
        (413, request("POST /trace/list", &format!("Content-Length: {}\r\n\r\n{}", 4 << 20, "a".repeat(4 << 20)))),
        (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec()),
        (400, request("GET /trace/\u{1}", "")),
        (400, request("GET /trace/list?limit=%ff&&=;", "")),
        (404, request("GET /trace/..%2f..%2fetc%2fpasswd", "")),
        (404, request("GET /trace/%252e%252e%252fstatus", "")),
        (404, request("GET /trace/../status", "")),
        (404, request("GET /trace/%00%0d%0a%1b", "")),
        (404, request("GET /plugins/..%2f..%2fetc%2fpasswd/report", "")),
        (404, request("GET /plugins/%00%0d%0a%1b/report", "")),
        (400, request("GET /plugins/%ff/report", "")),
        (405, request("TRACE /trace/list", "")),
        (421, b"GET /trace/list HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n".to_vec()),
    ]
}

/// Scenario: a thousand connections, every second of which begins a request and goes no further, and hostile requests beside them, while traces flow.
/// Guarantees: each request is answered with its status, in JSON; there are never more connections than the bound, and memory stays where it was; every
/// trace comes out whole.
#[test]
fn a_thousand_idle_connections_and_hostile_requests_disturb_nothing() {
    allow_many_files();
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let host = HostBuilder::new(&redis.url()).set("TRACE_ENABLE_STATS", "false").start();
    host.wait_until_running();
    let (ids, entries) = numbered_traces(400);
    let (before, during) = entries.split_at(entries.len() / 2);
    publish(&mut connection, STREAM, before);
    host.wait_for_exports(200);
    let resident_before = resident(&host);
    let mut idle = Vec::new();
    for number in 0..1_000 {
        let mut stream = TcpStream::connect(("127.0.0.1", host.port)).expect("a connection");
        if number % 2 == 0 {
            // Those that have made room by now are closed.
            let _ = stream.write_all(b"GET /trace/list HTTP/1.1\r\nHost: loc");
        }
        idle.push(stream);
    }
    publish(&mut connection, STREAM, during);
    for (status, request) in hostile_requests() {
        let (answered, body) = say(&host, &request);
        assert_eq!(answered, status, "{} {body}", request[..request.len().min(80)].escape_ascii());
        assert!(body["error"].is_string(), "{body}");
    }
    host.wait_for_exports(400);
    wait_until_settled(&mut connection, GROUP);
    assert!(metric(&host, "meshtrace_api_connections") <= 256);
    assert!(metric(&host, "meshtrace_api_connections_ended_total{end=\"crowded\"}") > 700);
    let grown = resident(&host).saturating_sub(resident_before);
    assert!(grown < 64 << 10, "by {grown} KiB");
    assert_whole(&host.json_files(), &ids);
}

/// Raised with the end of this value, also when a test fails.
struct Raised<'a>(&'a AtomicBool);

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Scenario: a dozen clients ask for reports, each again as soon as it is answered, while traces flow.
/// Guarantees: they are answered, by the plugin or by why it cannot; it gets every trace all the same, and every trace comes out whole.
#[test]
fn clients_that_ask_for_reports_without_end_hold_up_no_trace() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let host = HostBuilder::new(&redis.url()).start();
    host.wait_until_running();
    let (ids, entries) = numbered_traces(400);
    let over = AtomicBool::new(false);
    let ask = |path: &str| {
        let mut reports = 0;
        while !over.load(Ordering::Relaxed) {
            let answer = host.get(path);
            assert!([200, 503].contains(&answer.status), "{path}: {} {}", answer.status, answer.body);
            reports += usize::from(answer.status == 200);
        }
        reports
    };
    std::thread::scope(|scope| {
        let paths = ["/trace/stats", "/plugins/stats/report"].into_iter().cycle().take(12);
        let clients: Vec<_> = paths.map(|path| scope.spawn(move || ask(path))).collect();
        let ends = Raised(&over);
        publish(&mut connection, STREAM, &entries);
        host.wait_for_exports(400);
        eventually("they are all counted", || (host.get("/trace/stats").json()["total_traces"] == 400).then_some(()));
        drop(ends);
        let reports: Vec<usize> = clients.into_iter().map(|client| client.join().expect("no panic")).collect();
        assert!(reports.iter().all(|reports| *reports > 0), "{reports:?}");
    });
    wait_until_settled(&mut connection, GROUP);
    assert_whole(&host.json_files(), &ids);
}

/// Scenario: the API is to listen where others reach it, with nothing, with a token, and with a certificate that is none.
/// Guarantees: the start is refused, and says what is missing.
#[test]
fn where_others_reach_it_the_api_does_not_start_without_a_token_and_tls() {
    let outside = || HostBuilder::idle().listen_on("0.0.0.0");
    let said = outside().refused();
    let expected = ": others could reach the API there and read every trace; set MESHTRACE_API_TOKEN_FILE (or MESHTRACE_API_TOKEN), and \
                    MESHTRACE_TLS_CERT and MESHTRACE_TLS_KEY, listen on 127.0.0.1:";
    assert!(said.starts_with("meshtrace: MESHTRACE_LISTEN=0.0.0.0:") && said.contains(expected), "{said}");
    assert!(said.ends_with("or start with --insecure-bind if something in front of it asks for a password and encrypts\n"), "{said}");
    let said = outside().set("MESHTRACE_API_TOKEN", "0123456789abcdef").refused();
    assert!(said.contains("set MESHTRACE_TLS_CERT and MESHTRACE_TLS_KEY, listen on"), "{said}");
    let broken = outside().set("MESHTRACE_API_TOKEN", "0123456789abcdef").file("c.pem", "no certificate").file("c.key", "no key");
    let said = broken.set("MESHTRACE_TLS_CERT", "c.pem").set("MESHTRACE_TLS_KEY", "c.key").refused();
    assert!(said.starts_with("meshtrace: MESHTRACE_TLS_CERT=c.pem: expected a PEM file with a certificate"), "{said}");
    let settings = HostBuilder::idle().arguments(&["config", "--insecure-bind"]).ended().stdout;
    assert!(settings.lines().any(|line| line.starts_with("insecure_bind          = true  ") && line.contains("# flag;")), "{settings}");
}

/// What curl got: the status, 0 for none, and the body.
fn curl(host: &Host, certificates: &Certificates, path: &str, more: &[&str]) -> (u16, String) {
    let url = format!("https://127.0.0.1:{}{path}", host.port);
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--max-time", "30", "--write-out", "\n%{http_code}", "--cacert", &certificates.path("ca.pem")]);
    let output = curl.args(more).arg(url).output().expect("curl, which the project's set-up installs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').expect("a status");
    (status.parse().expect("a number"), body.to_owned())
}

/// Scenario: a certificate and a token in a file; requests without it, with another one, and with it; no TLS, and another authority.
/// Guarantees: only who has the token is answered, and only over TLS; probes need none; the token is in no log, no answer and no list of settings.
#[test]
fn with_a_token_and_tls_only_who_knows_it_is_answered() {
    const TOKEN: &str = "s3cret-s3cret-s3cret";
    let certificates = Certificates::new();
    let settings = || {
        let host = HostBuilder::idle().file("token", &format!("{TOKEN}\n")).set("MESHTRACE_API_TOKEN_FILE", "token");
        host.set("MESHTRACE_TLS_CERT", &certificates.path("server.pem")).set("MESHTRACE_TLS_KEY", &certificates.path("server.key"))
    };
    let host = settings().set("MESHTRACE_LOG", "trace").start_until(|host| curl(host, &certificates, "/ready", &[]).0 == 200);
    let bearer = |token: &str| format!("Authorization: Bearer {token}");
    let (status, body) = curl(&host, &certificates, "/trace/list", &[]);
    let told: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((status, told), (401, json!({"error": "no token", "expected": "one header Authorization: Bearer TOKEN"})));
    assert_eq!(curl(&host, &certificates, "/metrics", &["--header", &bearer("s3cret-s3cret-s3creT")]).0, 401);
    let (status, body) = curl(&host, &certificates, "/trace/list", &["--header", &bearer(TOKEN)]);
    assert!(status == 200 && body.contains("\"total\":0"), "{status} {body}");
    assert_eq!(curl(&host, &certificates, "/health", &[]), (200, "{\"status\":\"ok\"}".to_owned()));
    assert_eq!(curl(&host, &certificates, "/ready", &[]), (200, "{\"ready\":true}".to_owned()));
    assert_eq!(curl(&host, &certificates, "/health", &["--tls-max", "1.2"]).0, 200);
    assert_eq!(curl(&host, &certificates, "/health", &["--cacert", &certificates.path("client.pem")]).0, 0, "another authority");
    assert!(host.try_get("/health").is_none(), "it speaks TLS only");
    eventually("the API's address is logged", || host.stderr().contains(&format!("API on https://127.0.0.1:{}", host.port)).then_some(()));
    assert!(!host.stderr().contains(TOKEN) && !host.stdout().contains(TOKEN));
    let given = HostBuilder::idle().set("MESHTRACE_API_TOKEN", TOKEN).config();
    assert!(given.contains("api_token              = ***") && !given.contains(TOKEN), "{given}");
}
