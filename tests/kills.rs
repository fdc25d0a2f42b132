//! SIGKILL at the worst moments: what was not acknowledged is read again, whole.

use std::time::Instant;

use crate::support::events::{assert_whole, numbered_traces, publish};
use crate::support::host::{HostBuilder, json_files};
use crate::support::redis_server::{GROUP, RedisServer, STREAM, consumers, pending, undelivered};
use crate::support::{PATIENCE, eventually};

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
    // The consumer of the killed host had nothing left, and is gone.
    eventually("the dead consumer is removed", || (consumers(&mut connection).len() == 1).then_some(()));
}

/// Scenario: the host is killed while acknowledgements are under way, with new traces coming; three times something was acknowledged when the kill came,
/// and something was not.
/// Guarantees: as above.
#[test]
fn killed_during_acknowledgement_nothing_is_lost() {
    /// Traces that come for each kill.
    const EACH: usize = 2_000;
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let (ids, entries) = numbered_traces(20 * EACH);
    let json = tempfile::tempdir().expect("a directory");
    let (mut published, mut interrupted) = (0, 0);
    while interrupted < 3 {
        let more = entries.get(3 * published..3 * (published + EACH));
        publish(&mut connection, STREAM, more.expect("one kill in a few comes before all is acknowledged"));
        published += EACH;
        let before = acknowledged(&mut connection);
        let host = builder(&redis, json.path()).set("MESHTRACE_QUIET_PERIOD", "50ms").start();
        let start = Instant::now();
        // Without a pause: all of it takes no longer than one of those that are taken elsewhere.
        while acknowledged(&mut connection) == before {
            assert!(start.elapsed() < PATIENCE, "nothing is acknowledged: {}", host.stderr());
        }
        std::fs::remove_dir_all(host.kill()).expect("the directory of the killed host");
        // A kill that came too late shows nothing; the next one counts.
        interrupted += usize::from(acknowledged(&mut connection) < 3 * published);
    }
    let last = builder(&redis, json.path()).start();
    eventually("everything is acknowledged", || (acknowledged(&mut connection) == 3 * published).then_some(()));
    assert_whole(&json_files(json.path()), &ids[..published]);
    drop(last);
}

/// Entries of those published so far that are neither pending nor undelivered.
fn acknowledged(connection: &mut redis::Connection) -> usize {
    let length: usize = redis::Commands::xlen(connection, STREAM).unwrap_or(0);
    length.saturating_sub(pending(connection, GROUP)).saturating_sub(undelivered(connection, GROUP).min(length))
}
