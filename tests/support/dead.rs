//! `meshtrace dead`, and what lies in the stream of dead letters.

use redis::{Commands, Connection};

use super::events::{Fields, entry, publish, span};
use super::eventually;
use super::guests::evil;
use super::host::{Ended, HostBuilder};
use super::redis_server::{DEAD, RedisServer};

/// Of a key or a value.
pub type Bytes = Vec<u8>;
/// Entries of a stream as they are: ids, and fields in order.
pub type Entries = Vec<(String, Vec<(Bytes, Bytes)>)>;

/// `meshtrace dead` with these arguments, on that Redis.
pub fn dead(redis: &RedisServer, arguments: &[&str]) -> Ended {
    HostBuilder::new(&redis.url()).arguments(&[&["dead"], arguments].concat()).ended()
}

/// As [`dead`], for what is to succeed: what it printed.
#[track_caller]
pub fn done(redis: &RedisServer, arguments: &[&str]) -> String {
    let ended = dead(redis, arguments);
    assert!(ended.success, "{arguments:?}: {}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.stderr, "");
    ended.stdout
}

/// As [`dead`], for what is not to succeed: what it printed, and what it said is wrong.
#[track_caller]
pub fn failed(redis: &RedisServer, arguments: &[&str]) -> (String, String) {
    let ended = dead(redis, arguments);
    assert!(!ended.success, "{arguments:?}: {}", ended.stdout);
    (ended.stdout, ended.stderr)
}

/// The entries of `stream`.
pub fn entries(connection: &mut Connection, stream: &str) -> Entries {
    connection.xrange_all(stream).expect("XRANGE")
}

/// How many there are.
pub fn length(connection: &mut Connection, stream: &str) -> usize {
    connection.xlen(stream).expect("XLEN")
}

/// The ids of the dead letters, once there are so many.
#[track_caller]
pub fn letter_ids(connection: &mut Connection, count: usize) -> Vec<String> {
    eventually("the dead letters are there", || (length(connection, DEAD) == count).then_some(()));
    entries(connection, DEAD).into_iter().map(|(id, _)| id).collect()
}

/// When an entry with this id was written, as the command says it.
pub fn time_of(id: &str) -> String {
    let ms: i64 = id.split('-').next().and_then(|ms| ms.parse().ok()).expect("an id");
    format!("{:.3}", jiff::Timestamp::from_millisecond(ms).expect("a time"))
}

/// A host with the json exporter and these guests, each under a name.
pub fn with_guests(redis: &RedisServer, guests: &[(&str, &str)]) -> HostBuilder {
    let host = HostBuilder::new(&redis.url()).set("TRACE_ENABLE_STATS", "false");
    guests.iter().fold(host, |host, (name, guest)| host.plugin(name, &evil(guest)))
}

/// Dead letters as a host writes them, without a host: `count` traces of two entries that the plugin `gone` refused.
pub fn bury_by_hand(connection: &mut Connection, count: usize) {
    let letter = |trace: &str, id: &str| {
        let about = entry(&[("dead:entry", "1-1"), ("dead:stage", "export"), ("dead:reason", "no"), ("dead:plugin", "gone")]);
        [about, span(trace, id, None)].concat()
    };
    let letters: Vec<Fields> = (0..count).flat_map(|n| [letter(&n.to_string(), "a"), letter(&n.to_string(), "b")]).collect();
    publish(connection, DEAD, &letters);
}
