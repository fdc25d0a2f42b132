//! Beside a registry: a consumer that is not ours would silently take a part of every trace.

use crate::support::events::{assert_whole, numbered_traces, publish};
use crate::support::eventually;
use crate::support::foreign::ForeignReader;
use crate::support::host::{HostBuilder, json_files};
use crate::support::redis_server::{GROUP, RedisServer, STREAM, consumers, make_group, wait_until_settled};

const OWN_GROUP: &str = "meshtrace";
const REGISTRY: &str = "registry-x-1";

/// Scenario: a registry reads the documented group when the host starts; later the registry is gone, and the host is started again.
/// Guarantees: the host reads with a group of its own, from the stream's first entry, says so in one line, gets every trace whole, and
/// stays with that group.
#[test]
fn beside_a_live_registry_the_host_reads_with_a_group_of_its_own_and_stays_with_it() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let (ids, entries) = numbered_traces(60);
    let json = tempfile::tempdir().expect("a directory");
    make_group(&mut connection);
    // Published and acknowledged by the registry before there is a host.
    publish(&mut connection, STREAM, &entries[..60]);
    let registry = ForeignReader::start(&redis, REGISTRY, true);
    wait_until_settled(&mut connection, GROUP);
    let mut host = HostBuilder::new(&redis.url()).json_dir(json.path()).start();
    host.wait_until_running();
    publish(&mut connection, STREAM, &entries[60..120]);
    wait_until_settled(&mut connection, OWN_GROUP);
    assert_eq!(host.consumer("consumer_group"), OWN_GROUP);
    assert_whole(&json_files(json.path()), &ids[..40]);
    let log = host.stderr();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(REGISTRY)).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains(OWN_GROUP) && lines[0].contains("a group of our own"), "{}", lines[0]);
    assert!(host.terminate().success());

    registry.stop();
    publish(&mut connection, STREAM, &entries[120..]);
    let again = HostBuilder::new(&redis.url()).json_dir(json.path()).start();
    again.wait_until_running();
    wait_until_settled(&mut connection, OWN_GROUP);
    assert_eq!(again.consumer("consumer_group"), OWN_GROUP);
    assert_whole(&json_files(json.path()), &ids);
    assert!(consumers(&mut connection).iter().all(|name| name == REGISTRY), "the registry's group was left alone");
}

/// Scenario: a registry waits in the documented group of a stream that has never had an entry.
/// Guarantees: the host does not join that group.
#[test]
fn a_registry_that_has_not_been_given_anything_yet_is_noticed() {
    let redis = RedisServer::start();
    make_group(&mut redis.connect());
    let _registry = ForeignReader::start(&redis, REGISTRY, true);
    eventually("the registry waits", || redis.clients().contains("cmd=xreadgroup").then_some(()));
    let host = HostBuilder::new(&redis.url()).start();
    host.wait_until_running();
    assert_eq!(host.consumer("consumer_group"), OWN_GROUP);
}

/// Scenario: the documented group was read to its end by a registry that is gone; a dashboard waits in a group of its own.
/// Guarantees: the dashboard is not taken for the registry: the host takes over the documented group.
#[test]
fn who_waits_in_another_group_keeps_the_host_out_of_none() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    make_group(&mut connection);
    redis::Commands::xgroup_create::<_, _, _, ()>(&mut connection, STREAM, "dashboard", "0").expect("a group");
    publish(&mut connection, STREAM, &numbered_traces(1).1);
    let registry = ForeignReader::start(&redis, REGISTRY, true);
    wait_until_settled(&mut connection, GROUP);
    registry.stop();
    let _dashboard = ForeignReader::in_group(&redis, "dashboard", "dashboard-1", true);
    wait_until_settled(&mut connection, "dashboard");
    eventually("the dashboard waits", || redis.clients().contains("cmd=xreadgroup").then_some(()));
    let host = HostBuilder::new(&redis.url()).start();
    host.wait_until_running();
    assert_eq!(host.consumer("consumer_group"), GROUP);
}

/// Scenario: the group that a live registry reads, on a mesh that is quiet at the moment, is asked for by name.
/// Guarantees: the start is refused, and the reader named.
#[test]
fn a_group_that_was_asked_for_and_has_a_live_reader_stops_the_start() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    make_group(&mut connection);
    publish(&mut connection, STREAM, &numbered_traces(1).1);
    let _registry = ForeignReader::start(&redis, REGISTRY, true);
    wait_until_settled(&mut connection, GROUP);
    let said = HostBuilder::new(&redis.url()).set("MCP_MESH_TRACE_CONSUMER_GROUP", GROUP).refused();
    for part in ["MCP_MESH_TRACE_CONSUMER_GROUP", GROUP, REGISTRY] {
        assert!(said.contains(part), "{said}");
    }
}

/// Scenario: a registry begins to read the host's group, takes entries, and goes away without acknowledging them; the host is started again.
/// Guarantees: status and log name the reader while it is there, and no longer than that; what it took is read by the next start.
#[test]
fn a_reader_that_comes_later_is_named_until_it_leaves_and_costs_nothing_for_good() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let (ids, entries) = numbered_traces(30);
    let json = tempfile::tempdir().expect("a directory");
    let builder = || HostBuilder::new(&redis.url()).json_dir(json.path());
    let mut host = builder().start();
    host.wait_until_running();
    assert_eq!(host.consumer("foreign_reader"), "");
    let registry = ForeignReader::start(&redis, REGISTRY, false);
    // Who waits and is given nothing takes no part of any trace, and cannot be seen in every version of Redis.
    let mut chunks = entries.chunks(3);
    eventually("the status names the reader", || {
        publish(&mut connection, STREAM, chunks.next().unwrap_or_default());
        (host.consumer("foreign_reader") == REGISTRY).then_some(())
    });
    eventually("the log names the reader", || host.stderr().contains(REGISTRY).then_some(()));
    chunks.for_each(|chunk| drop(publish(&mut connection, STREAM, chunk)));
    registry.stop();
    eventually("the status names nobody", || host.consumer("foreign_reader").is_empty().then_some(()));
    assert!(host.stderr().contains("is gone"), "{}", host.stderr());
    assert!(host.terminate().success());

    let again = builder().start();
    again.wait_until_running();
    wait_until_settled(&mut connection, GROUP);
    assert_whole(&json_files(json.path()), &ids);
}
