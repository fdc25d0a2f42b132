//! The way to Redis: TLS, passwords, databases, other streams, and connections that break.

use std::time::Duration;

use redis::{Commands, Connection};

use crate::support::certificates::Certificates;
use crate::support::events::{Fields, assert_whole, numbered_traces, publish, span, spans_of};
use crate::support::host::{Host, HostBuilder};
use crate::support::redis_server::{GROUP, RedisServer, STREAM, pending_in, wait_until_settled};
use crate::support::{eventually, free_port};
use crate::torture::server::Server;

/// Waits until everything published is exported whole, and acknowledged.
fn settle(host: &Host, connection: &mut Connection, ids: &[String]) {
    host.wait_for_exports(ids.len() as u64);
    wait_until_settled(connection, GROUP);
    assert_whole(&host.json_files(), ids);
}

/// Waits until the host says why it is not connected.
fn why_not_connected(host: &Host) -> String {
    let error = eventually("the host says what is wrong", || Some(host.consumer("last_error")).filter(|error| !error.is_empty()));
    assert_eq!(host.consumer("status"), "connecting");
    error
}

/// Scenario: a server that demands a certificate of its clients, reached through `rediss://` and the documented `REDIS_TLS_*` files.
/// Guarantees: traces come out as ever; with TLS files a `redis://` URL means TLS too.
#[test]
fn a_server_with_tls_and_client_certificates_is_read() {
    let (certificates, port) = (Certificates::new(), free_port());
    let redis = certificates.server(port, &["--tls-auth-clients", "yes"]);
    let mut connection = redis.connect();
    let (ids, entries) = numbered_traces(20);
    publish(&mut connection, STREAM, &entries);
    for scheme in ["rediss", "redis"] {
        let mut host = HostBuilder::new(&format!("{scheme}://127.0.0.1:{port}"))
            .set("REDIS_TLS_CA", &certificates.path("ca.pem"))
            .set("REDIS_TLS_CERT", &certificates.path("client.pem"))
            .set("REDIS_TLS_KEY", &certificates.path("client.key"))
            .start();
        if scheme == "rediss" {
            settle(&host, &mut connection, &ids);
        }
        host.wait_until_running();
        assert!(host.terminate().success());
    }
}

/// Scenario: the server's certificate is signed by an authority that is not trusted.
/// Guarantees: nothing is read, and status and log say that it is the certificate; `REDIS_TLS_SKIP_VERIFY` reads all the same.
#[test]
fn a_certificate_that_is_not_trusted_is_refused_unless_verifying_is_skipped() {
    let (certificates, other, port) = (Certificates::new(), Certificates::new(), free_port());
    let redis = certificates.server(port, &["--tls-auth-clients", "no"]);
    let mut connection = redis.connect();
    let (ids, entries) = numbered_traces(20);
    publish(&mut connection, STREAM, &entries);
    let url = format!("rediss://127.0.0.1:{port}");
    let distrustful = HostBuilder::new(&url).set("REDIS_TLS_CA", &other.path("ca.pem")).start();
    let error = why_not_connected(&distrustful);
    assert!(error.to_lowercase().contains("certificate"), "{error}");
    assert!(distrustful.stderr().contains(&error));
    assert_eq!(pending_in(&mut connection, STREAM, GROUP), 0);
    drop(distrustful);

    let trustful = HostBuilder::new(&url).set("REDIS_TLS_SKIP_VERIFY", "true").start();
    settle(&trustful, &mut connection, &ids);
}

/// Scenario: the URL names a password and a database.
/// Guarantees: that database is read; with another password the status says what is wrong, and no password appears in status, log or
/// `meshtrace config`.
#[test]
fn password_and_database_of_the_url_are_used_and_never_shown() {
    const SECRET: &str = "correct-horse";
    const WRONG: &str = "wrong-battery";
    let mut redis = RedisServer::start_with(&["--requirepass", SECRET]);
    redis.path = format!(":{SECRET}@127.0.0.1:{}/3", redis.port);
    let mut connection = redis.connect();
    let (ids, entries) = numbered_traces(20);
    publish(&mut connection, STREAM, &entries);
    assert_eq!(redis::cmd("INFO").arg("keyspace").query::<String>(&mut connection).expect("INFO").matches("db3:keys=1").count(), 1);
    let chatty = |url: &str| HostBuilder::new(url).set("MESHTRACE_LOG", "info,meshtrace=trace,redis=trace");
    let shown = |builder: HostBuilder, host: &Host| [builder.config(), host.stderr(), host.get("/trace/status").body].concat();
    let host = chatty(&redis.url()).start();
    settle(&host, &mut connection, &ids);
    assert!(!shown(chatty(&redis.url()), &host).contains(SECRET));

    let url = redis.url().replace(SECRET, WRONG);
    let refused = chatty(&url).start();
    let error = why_not_connected(&refused);
    assert!(error.to_lowercase().contains("password"), "{error}");
    assert!(!shown(chatty(&url), &refused).contains(WRONG));
}

/// Scenario: older agents write `mcp-mesh:traces`.
/// Guarantees: `MESHTRACE_STREAM` reads that stream, and its dead letters lie beside it.
#[test]
fn the_older_stream_is_read_when_it_is_named() {
    const OLDER: &str = "mcp-mesh:traces";
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let (ids, entries) = numbered_traces(20);
    publish(&mut connection, OLDER, &entries);
    connection.xadd::<_, _, _, _, String>(OLDER, "*", &[("no", "event")]).expect("XADD");
    let host = HostBuilder::new(&redis.url()).set("MESHTRACE_STREAM", OLDER).start();
    host.wait_for_exports(ids.len() as u64);
    eventually("everything is acknowledged", || {
        (host.counted("entries_acknowledged") == 61 && pending_in(&mut connection, OLDER, GROUP) == 0).then_some(())
    });
    assert_whole(&host.json_files(), &ids);
    assert_eq!(host.consumer("stream_name"), OLDER);
    assert_eq!(connection.xlen::<_, usize>(format!("{{{OLDER}}}:dead")).expect("XLEN"), 1);
    assert!(!connection.exists::<_, bool>(STREAM).expect("EXISTS"));
}

/// Publishes, as often as it takes: the same event twice is one span.
fn publish_stubbornly(redis: &RedisServer, entries: &[Fields]) {
    let publish = || {
        let mut pipeline = redis::pipe();
        for fields in entries {
            pipeline.xadd(STREAM, "*", fields);
        }
        pipeline.exec(&mut redis.try_connect()?).ok()
    };
    eventually("entries are published", publish);
}

/// Scenario: the server is killed and started again four times while agents publish; it logs every command it takes.
/// Guarantees: every trace comes out with exactly its spans, and nothing stays pending.
#[test]
fn a_server_that_is_killed_and_restarted_costs_nothing() {
    let mut redis = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let (ids, entries) = numbered_traces(600);
    let host = HostBuilder::new(&redis.url()).start();
    host.wait_until_running();
    for (number, chunk) in entries.chunks(50).enumerate() {
        publish_stubbornly(&redis, chunk);
        if number % 10 == 5 {
            redis.kill();
            eventually("the host has noticed", || (host.consumer("status") == "connecting").then_some(()));
            redis.restart();
            host.wait_until_running();
        }
    }
    settle(&host, &mut redis.connect(), &ids);
    assert_eq!(host.counted("disconnects"), 4, "attempts to connect again are not counted");
    assert_eq!(host.consumer("last_error"), "");
}

/// Scenario: the host's connections are cut again and again while agents publish.
/// Guarantees: every trace comes out with exactly its spans, and nothing stays pending.
#[test]
fn connections_cut_under_load_cost_nothing() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let (ids, entries) = numbered_traces(2_000);
    let host = HostBuilder::new(&redis.url()).set("MESHTRACE_QUIET_PERIOD", "100ms").start();
    host.wait_until_running();
    for chunk in entries.chunks(100) {
        publish(&mut connection, STREAM, chunk);
        let before = host.counted("disconnects");
        redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").exec(&mut connection).expect("CLIENT KILL");
        // The next cut shall meet a host that works.
        eventually("the host has noticed, and reads again", || {
            (host.counted("disconnects") > before && host.consumer("status") == "running").then_some(())
        });
    }
    settle(&host, &mut connection, &ids);
}

/// Scenario: Redis is killed under the running host, and its replica is promoted.
/// Guarantees: the host goes on with the replica, where the first one's group and journal are: what comes then comes out, late spans join the traces of before,
/// and nothing stays pending there.
#[test]
fn a_host_goes_on_with_the_replica_that_is_promoted() {
    let mut server = Server::start();
    let host = HostBuilder::new(&server.proxy.url()).start();
    host.wait_until_running();
    let (ids, entries) = numbered_traces(40);
    let (before, after) = entries.split_at(60);
    publish(&mut server.connect(), STREAM, before);
    wait_until_settled(&mut server.connect(), GROUP);
    let first = server.redis.port;
    server.fail_over(Duration::ZERO);
    assert_ne!(server.redis.port, first);
    publish(&mut server.connect(), STREAM, &[span(&ids[0], "late", Some("a"))]);
    publish(&mut server.connect(), STREAM, after);
    wait_until_settled(&mut server.connect(), GROUP);
    let mut documents = host.json_files();
    assert!(spans_of(&documents.remove(&ids[0]).expect("the trace with the late span")).contains("late"));
    assert_whole(&documents, &ids[1..]);
    assert_eq!(host.status()["correlator"]["late_parts"], 1, "{}", host.stderr());
}
