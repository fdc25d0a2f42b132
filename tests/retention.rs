//! `MCP_MESH_TRACE_RETENTION` in Redis.

use std::time::Duration;

use redis::{Commands, Connection};

use crate::support::events::{assert_whole, millis_ago, numbered_traces, publish_at};
use crate::support::eventually;
use crate::support::foreign::read_and_leave;
use crate::support::host::{HostBuilder, json_files};
use crate::support::redis_server::{GROUP, RedisServer, STREAM, consumers, entry_ids, make_group, pending, wait_until_settled};

const TWO_DAYS: Duration = Duration::from_secs(48 * 60 * 60);

/// A server whose trims are exact to ten entries.
fn server() -> RedisServer {
    RedisServer::start_with(&["--stream-node-max-entries", "10"])
}

/// An earlier run reads `count` entries and acknowledges them.
fn acknowledged(redis: &RedisServer, connection: &mut Connection, count: usize) {
    let ids = read_and_leave(redis, "meshtrace-earlier", count);
    assert_eq!(connection.xack::<_, _, _, usize>(STREAM, GROUP, &ids).expect("XACK"), count);
}

/// Scenario: the stream holds two days old entries, a third of them acknowledged, a third pending for a host that is gone, a third unread.
/// Guarantees: connecting removes the acknowledged ones and none of the others; those are exported, and removed by the next start.
#[test]
fn old_entries_are_trimmed_but_never_those_that_are_pending_or_unread() {
    let redis = server();
    let mut connection = redis.connect();
    let (ids, entries) = numbered_traces(100);
    make_group(&mut connection);
    let published = publish_at(&mut connection, &entries, millis_ago(TWO_DAYS), 1);
    acknowledged(&redis, &mut connection, 99);
    assert_eq!(read_and_leave(&redis, "meshtrace-earlier", 99).len(), 99);

    // Old as they are, a quiet period and an age of days keep this host from finishing them.
    let first = HostBuilder::new(&redis.url()).set("MESHTRACE_QUIET_PERIOD", "100h").set("MESHTRACE_MAX_TRACE_AGE", "200h").start();
    eventually("the rest has been read", || (pending(&mut connection, GROUP) == 201).then_some(()));
    let kept = eventually("old entries are trimmed", || Some(entry_ids(&mut connection)).filter(|kept| kept.len() < published.len()));
    assert!(published.ends_with(&kept) && (201..=210).contains(&kept.len()), "{} are left", kept.len());
    std::fs::remove_dir_all(first.kill()).expect("the directory of the killed host");

    let json = tempfile::tempdir().expect("a directory");
    let mut second = HostBuilder::new(&redis.url()).json_dir(json.path()).start();
    second.wait_for_exports(67);
    wait_until_settled(&mut connection, GROUP);
    assert_whole(&json_files(json.path()), &ids[33..]);
    assert!(second.terminate().success());

    let _third = HostBuilder::new(&redis.url()).start();
    eventually("what was processed is trimmed", || (entry_ids(&mut connection).len() <= 10).then_some(()));
}

/// Scenario: the same old entries, all acknowledged, and a retention of 0.
/// Guarantees: none is removed.
#[test]
fn a_retention_of_0_trims_nothing() {
    let redis = server();
    let mut connection = redis.connect();
    let (_, entries) = numbered_traces(100);
    make_group(&mut connection);
    publish_at(&mut connection, &entries, millis_ago(TWO_DAYS), 1);
    acknowledged(&redis, &mut connection, entries.len());
    let host = HostBuilder::new(&redis.url()).set("MCP_MESH_TRACE_RETENTION", "0").start();
    host.wait_until_running();
    // Removed by the look at the group that comes after the one that would have trimmed.
    eventually("the earlier consumer is removed", || {
        let names = consumers(&mut connection);
        (!names.iter().any(|name| name == "meshtrace-earlier")).then_some(())
    });
    assert_eq!(entry_ids(&mut connection).len(), entries.len());
}

/// Scenario: far more has grown old than Redis removes at one time.
/// Guarantees: all of it is removed.
#[test]
fn however_much_has_grown_old_it_is_all_trimmed() {
    let redis = server();
    let mut connection = redis.connect();
    let (_, entries) = numbered_traces(1_500);
    make_group(&mut connection);
    publish_at(&mut connection, &entries, millis_ago(TWO_DAYS), 1);
    acknowledged(&redis, &mut connection, entries.len());
    let host = HostBuilder::new(&redis.url()).start();
    host.wait_until_running();
    eventually("a node is left", || (entry_ids(&mut connection).len() <= 10).then_some(()));
}
