//! A plugin's HTTP requests: to what it was granted and nowhere else, and no longer than they may take.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::events::{lone, publish};
use serde_json::json;

use crate::support::eventually;
use crate::support::guests::evil;
use crate::support::host::{Host, HostBuilder};
use crate::support::plugin_dir::PluginDir;
use crate::support::redis_server::{GROUP, RedisServer, STREAM, wait_until_settled};

/// A server that answers every connection with the same bytes, without end if so told; it runs until the tests end.
struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl Server {
    fn answering(answer: String, endless: &'static [u8]) -> Server {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let serve = move || {
            for stream in listener.incoming() {
                counted.fetch_add(1, Ordering::SeqCst);
                // Whoever goes away early has had enough.
                let _ = stream.and_then(|stream| converse(stream, answer.as_bytes(), endless));
            }
        };
        std::thread::Builder::new().name("server".into()).spawn(serve).expect("a thread");
        Server { port, connections }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn converse(mut stream: TcpStream, answer: &[u8], endless: &[u8]) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    stream.write_all(answer)?;
    while !endless.is_empty() {
        stream.write_all(endless)?;
    }
    Ok(())
}

fn ok() -> Server {
    Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok".into(), b"")
}

/// A host with the guest that asks for URLs, and the json exporter beside it.
fn asking(redis: &RedisServer, plugins: &PluginDir, toml: &str) -> Host {
    plugins.put("http.toml", toml);
    plugins.put("http.wasm", evil("http"));
    let host = HostBuilder::new(&redis.url()).set("TRACE_ENABLE_STATS", "false");
    host.set("MESHTRACE_PLUGIN_DIR", &plugins.path().display().to_string()).start()
}

/// What the guest says came of asking for `url`.
#[track_caller]
fn said(redis: &RedisServer, host: &Host, trace: &str, url: &str) -> String {
    publish(&mut redis.connect(), STREAM, &[lone(trace, url)]);
    let prefix = format!("{trace}: ");
    eventually("the guest has asked", || host.log_of("http").into_iter().find_map(|line| Some(line.strip_prefix(&prefix)?.to_owned())))
}

/// Scenario: a guest asks for hosts that it was not granted, by name, by address, by a redirect, and by a name that leads to this machine.
/// Guarantees: what is granted is answered; everything else is an ordinary error to the guest and no connection to the server; the log has, once each,
/// what would grant it; the other exporter has every trace.
#[test]
fn requests_go_where_they_are_granted_to_and_nowhere_else() {
    let (redis, plugins) = (RedisServer::start(), PluginDir::new());
    let (granted, other) = (ok(), ok());
    let redirect = format!("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:{}/\r\ncontent-length: 0\r\n\r\n", other.port);
    let leading = Server::answering(redirect, b"");
    // "127.1" is a name to us, and 127.0.0.1 to the resolver.
    let http = format!("\"localhost:{}\", \"localhost:{}\", \"127.1:{}\"", granted.port, leading.port, other.port);
    let host = asking(&redis, &plugins, &format!("[permissions]\nhttp = [{http}]\n"));
    let ask = |trace: &str, url: String| said(&redis, &host, trace, &url);
    assert_eq!(ask("granted", format!("http://localhost:{}/", granted.port)), "200 with 2 bytes");
    let denied = "ErrorCode::HttpRequestDenied";
    assert_eq!(ask("ungranted", format!("http://127.0.0.1:{}/", other.port)), denied);
    assert_eq!(ask("again", format!("http://127.0.0.1:{}/", other.port)), denied);
    assert_eq!(ask("redirected", format!("http://localhost:{}/", leading.port)), denied);
    assert_eq!(ask("user", format!("http://localhost:1@127.0.0.1:{}/", other.port)), "ErrorCode::HttpRequestUriInvalid");
    assert_eq!(ask("metadata", "http://169.254.169.254/latest".into()), denied);
    assert_eq!(ask("rebound", format!("http://127.1:{}/", other.port)), "ErrorCode::DestinationIpProhibited");
    assert_eq!((granted.connections(), leading.connections(), other.connections()), (1, 1, 0));
    let port = other.port;
    let row = |what: String, hosts: &[String], count: u64| {
        let line = format!("http = [{}]", hosts.iter().map(|host| format!("\"{host}\"")).collect::<Vec<_>>().join(", "));
        json!({"what": format!("HTTP to {what}"), "grant": line, "count": count})
    };
    let (address, name) = (format!("127.0.0.1:{port}"), format!("127.1:{port}"));
    let denied = [
        row(address.clone(), std::slice::from_ref(&address), 3),
        row(format!("{name} at 127.0.0.1"), &[name, address], 1),
        row("169.254.169.254:80".into(), &["169.254.169.254:80".into()], 1),
    ];
    assert_eq!(host.get("/plugins/http").json()["denied"], json!(denied));
    for row in denied {
        let line = format!("{} was denied; what grants it: {}", row["what"].as_str().expect("text"), row["grant"].as_str().expect("text"));
        assert_eq!(host.stderr().matches(&line).count(), 1, "{line}");
    }
    wait_until_settled(&mut redis.connect(), GROUP);
    assert_eq!(host.json_files().len(), 7);
}

/// Scenario: answers without end, one as a flood and one of nothing, to a guest that reads them.
/// Guarantees: each ends with an ordinary error at its limit; the guest and the other exporter go on.
#[test]
fn answers_without_end_are_ended() {
    let (redis, plugins) = (RedisServer::start(), PluginDir::new());
    let flood = Server::answering("HTTP/1.1 200 OK\r\n\r\n".into(), &[b'x'; 16 * 1024]);
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let nothing = silent.local_addr().expect("its address").port();
    let granted = ok();
    let http = [flood.port, nothing, granted.port].map(|port| format!("\"127.0.0.1:{port}\"")).join(", ");
    let limits = "[limits]\nhttp-time = \"700ms\"\nhttp-response-bytes = \"1MiB\"\n";
    let host = asking(&redis, &plugins, &format!("[permissions]\nhttp = [{http}]\n{limits}"));
    let ask = |trace: &str, port: u16| said(&redis, &host, trace, &format!("http://127.0.0.1:{port}/"));
    // What goes wrong once an answer has begun is told in words.
    let ended = "ErrorCode::InternalError(Some(\"HTTP response body size exceeds limit: 1048576 bytes\"))";
    assert_eq!(ask("flood", flood.port), ended);
    assert_eq!(ask("nothing", nothing), "ErrorCode::HttpResponseTimeout");
    assert_eq!(ask("good", granted.port), "200 with 2 bytes");
    wait_until_settled(&mut redis.connect(), GROUP);
    let limits = &host.get("/plugins/http").json()["limits"];
    assert_eq!((&limits["http-response-bytes"]["hits"], &limits["http-time"]["hits"]), (&json!(1), &json!(1)));
    let plugin = host.plugin("http");
    assert_eq!((&plugin["failures"], &plugin["exported"]), (&json!(0), &json!(3)));
    assert_eq!(host.json_files().len(), 3);
}
