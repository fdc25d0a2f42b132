//! What earlier runs, and other consumers, left pending.

use std::time::Duration;

use redis::Commands;
use serde_json::Value;

use crate::support::events::{assert_whole, millis_ago, numbered_traces, publish, publish_at};
use crate::support::eventually;
use crate::support::foreign::read_and_leave;
use crate::support::host::{HostBuilder, json_files};
use crate::support::redis_server::{GROUP, RedisServer, STREAM, consumers, make_group, pending, pending_rows, wait_until_settled};

/// Scenario: a registry read entries, acknowledged none, and was stopped a moment before the host starts; the host is killed before it has
/// exported anything, and started again.
/// Guarantees: the host takes the documented group over; the entries are claimed without counting as delivered again; the registry's name
/// goes when nothing is pending for it, and not before; every trace comes out whole.
#[test]
fn what_a_registry_left_pending_when_it_was_stopped_is_taken_over() {
    const REGISTRY: &str = "registry-x-1";
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let (ids, entries) = numbered_traces(20);
    let json = tempfile::tempdir().expect("a directory");
    make_group(&mut connection);
    let published = publish(&mut connection, STREAM, &entries);
    // A part of the last traces is left for the host to read itself.
    assert_eq!(read_and_leave(&redis, REGISTRY, 50).len(), 50);
    let first = HostBuilder::new(&redis.url()).set("MESHTRACE_QUIET_PERIOD", "1h").start();
    let rows = eventually("all is pending for the host", || {
        let rows = pending_rows(&mut connection);
        assert!(rows.len() >= 50, "something that was pending is gone: {rows:?}");
        (rows.iter().filter(|row| row.1 != REGISTRY).count() == published.len()).then_some(rows)
    });
    assert_eq!(rows.iter().map(|row| &row.0).collect::<Vec<_>>(), published.iter().collect::<Vec<_>>());
    assert!(rows.iter().all(|row| row.2 == 1), "claiming counted as a delivery: {rows:?}");
    eventually("the registry's name is gone", || (consumers(&mut connection).len() == 1).then_some(()));
    assert_eq!(pending(&mut connection, GROUP), published.len());
    assert_eq!(first.consumer("consumer_group"), GROUP);
    std::fs::remove_dir_all(first.kill()).expect("the directory of the killed host");

    let second = HostBuilder::new(&redis.url()).json_dir(json.path()).start();
    second.wait_for_exports(ids.len() as u64);
    wait_until_settled(&mut connection, GROUP);
    assert_whole(&json_files(json.path()), &ids);
}

/// Scenario: two dead consumers have read by turns, some of it is no longer in the stream, and more has been published since.
/// Guarantees: traces come out in the order of the log, what was pending before what is new; entries that are gone are counted
/// and acknowledged, and nobody waits for them.
#[test]
fn pending_entries_come_first_and_in_order_and_lost_ones_are_counted() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let (ids, entries) = numbered_traces(40);
    make_group(&mut connection);
    // One span each, and more than a quiet period between them: they are decided one by one, as they are read.
    let spaced: Vec<_> = entries.chunks(3).map(|trace| trace[2].clone()).collect();
    let published = publish_at(&mut connection, &spaced, millis_ago(Duration::from_secs(3_600)), 1_000);
    for turn in 0..10 {
        let consumer = ["meshtrace-dead-1", "meshtrace-dead-2"][turn % 2];
        assert_eq!(read_and_leave(&redis, consumer, 3).len(), 3);
    }
    let lost = [&published[0], &published[7], &published[29]];
    assert_eq!(connection.xdel::<_, _, usize>(STREAM, &lost).expect("XDEL"), 3);
    assert_eq!(pending(&mut connection, GROUP), 30);

    let host = HostBuilder::new(&redis.url()).set("MESHTRACE_JSON_MODE", "lines").start();
    host.wait_for_exports(37);
    eventually("nothing is pending", || (pending(&mut connection, GROUP) == 0).then_some(()));
    assert_eq!(host.counted("entries_trimmed"), 3);
    let lines = std::fs::read_to_string(host.dir.path().join("json/traces.jsonl")).expect("the file of lines");
    let id = |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["trace_id"].as_str().expect("an id").to_owned();
    let kept = ids.into_iter().zip(&published).filter(|(_, entry)| !lost.contains(entry)).map(|(id, _)| id);
    assert_eq!(lines.lines().map(id).collect::<Vec<_>>(), kept.collect::<Vec<_>>());
}

/// Scenario: what an earlier run left pending has ids that lie centuries ahead, as a writer may choose them; the stream goes on from there.
/// Guarantees: what is pending comes out, and the traces that follow are not cut in parts.
#[test]
fn pending_ids_from_the_future_hold_nothing_up_and_split_nothing() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let (ids, entries) = numbered_traces(20);
    let json = tempfile::tempdir().expect("a directory");
    make_group(&mut connection);
    publish_at(&mut connection, &entries[..3], 9_999_999_999_999, 1);
    assert_eq!(read_and_leave(&redis, "meshtrace-dead-1", 3).len(), 3);
    let host = HostBuilder::new(&redis.url()).json_dir(json.path()).start();
    host.wait_until_running();
    publish(&mut connection, STREAM, &entries[3..]);
    wait_until_settled(&mut connection, GROUP);
    assert_eq!(host.status()["correlator"]["late_parts"], 0);
    assert_whole(&json_files(json.path()), &ids);
}
