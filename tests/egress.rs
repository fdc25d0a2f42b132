//! A plugin's HTTP requests: to what it was granted and nowhere else. What ends them is in `mischief`.

use serde_json::json;

use crate::support::events::{lone, publish};
use crate::support::eventually;
use crate::support::guests::evil;
use crate::support::host::{Host, HostBuilder};
use crate::support::plugin_dir::PluginDir;
use crate::support::redis_server::{GROUP, RedisServer, STREAM, wait_until_settled};
use crate::support::server::{Server, ok};

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
