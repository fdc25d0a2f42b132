//! SIGKILL at the worst moments: what was not acknowledged is read again, whole.

use crate::support::events::{assert_whole, numbered_traces, publish};
use crate::support::eventually;
use crate::support::host::{HostBuilder, json_files};
use crate::support::redis_server::{GROUP, RedisServer, STREAM, pending, undelivered};

fn builder(redis: &RedisServer, json: &std::path::Path) -> HostBuilder {
    HostBuilder::new(&redis.url()).json_dir(json)
}

/// Scenario: the host is killed when it has read everything and exported nothing; another is started.
/// Guarantees: every trace comes out with exactly its spans, and nothing stays pending.
#[test]
fn killed_between_reading_and_export_nothing_is_lost() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let (ids, entries) = numbered_traces(300);
    publish(&mut connection, STREAM, &entries);
    let json = tempfile::tempdir().expect("a directory");
    // A quiet period that does not end before the kill.
    let first = builder(&redis, json.path()).set("MESHTRACE_QUIET_PERIOD", "1h").start();
    eventually("all entries are read", || (pending(&mut connection, GROUP) == entries.len()).then_some(()));
    std::fs::remove_dir_all(first.kill()).expect("the directory of the killed host");
    assert!(json_files(json.path()).is_empty());
    let second = builder(&redis, json.path()).start();
    second.wait_for_exports(300);
    eventually("nothing is pending", || (pending(&mut connection, GROUP) == 0).then_some(()));
    assert_whole(&json_files(json.path()), &ids);
    // Claiming with JUSTID is no delivery; the consumer of the killed host had nothing left, and is gone.
    let consumers: redis::streams::StreamInfoConsumersReply =
        redis::Commands::xinfo_consumers(&mut connection, STREAM, GROUP).expect("consumers");
    eventually("the dead consumer is removed", || {
        let consumers: redis::streams::StreamInfoConsumersReply =
            redis::Commands::xinfo_consumers(&mut connection, STREAM, GROUP).expect("consumers");
        (consumers.consumers.len() == 1).then_some(())
    });
    assert!(!consumers.consumers.is_empty());
}

/// Scenario: the host is killed again and again while acknowledgements are under way, with new traces coming.
/// Guarantees: as above.
#[test]
fn killed_during_acknowledgement_nothing_is_lost() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let (ids, entries) = numbered_traces(6_000);
    let json = tempfile::tempdir().expect("a directory");
    for round in 0..3 {
        publish(&mut connection, STREAM, &entries[round * 6_000..(round + 1) * 6_000]);
        let before = redis_acknowledged(&mut connection, entries.len());
        let host = builder(&redis, json.path()).set("MESHTRACE_QUIET_PERIOD", "50ms").start();
        eventually("acknowledging has begun", || (redis_acknowledged(&mut connection, entries.len()) > before).then_some(()));
        std::fs::remove_dir_all(host.kill()).expect("the directory of the killed host");
    }
    let last = builder(&redis, json.path()).start();
    eventually("everything is acknowledged", || (pending(&mut connection, GROUP) + undelivered(&mut connection, GROUP) == 0).then_some(()));
    assert_whole(&json_files(json.path()), &ids);
    drop(last);
}

/// Entries of those published so far that are neither pending nor undelivered.
fn redis_acknowledged(connection: &mut redis::Connection, _total: usize) -> usize {
    let length: usize = redis::Commands::xlen(connection, STREAM).unwrap_or(0);
    length.saturating_sub(pending(connection, GROUP)).saturating_sub(undelivered(connection, GROUP).min(length))
}
