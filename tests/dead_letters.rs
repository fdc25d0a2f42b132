//! Entries that cannot be decoded: `{mesh:trace}:dead`.

use std::collections::BTreeMap;

use redis::streams::StreamRangeReply;
use redis::{Commands, Connection};

use crate::support::events::{assert_whole, numbered_traces, publish};
use crate::support::eventually;
use crate::support::host::HostBuilder;
use crate::support::redis_server::{DEAD, GROUP, RedisServer, STREAM, configure, pending, undelivered, wait_until_settled};

type Bytes = Vec<u8>;

/// Entries that are no events, each with what the reason must say.
fn undecodable() -> Vec<(BTreeMap<Bytes, Bytes>, &'static str)> {
    let entry = |fields: &[(&[u8], &[u8])]| fields.iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
    let large = vec![b'x'; 2 * 1024 * 1024];
    vec![
        (entry(&[(b"span_id", b"1"), (b"function_name", b"work")]), "no trace_id"),
        (entry(&[(b"trace_id", b"null"), (b"span_id", b"1")]), "no trace_id"),
        (entry(&[(b"trace_id", b"t"), (b"agent_name", b"a")]), "no span_id"),
        (entry(&[(b"trace_id", b"t"), (b"span_id", b"1"), (b"event_type", b"heart\nbeat")]), r#"event_type is "heart\nbeat""#),
        (entry(&[(b"trace_id", b"t"), (b"span_id", b"1"), (b"result", &large)]), "at most 1048576 are taken"),
        (entry(&[(b"\xff\x00\xfe", b"\x80\x81"), (b"", b"\r\n"), (b"dead:reason", b"mine")]), "no trace_id"),
    ]
}

/// Publishes `entries` between good traces, and returns the good traces' ids.
fn publish_among_good(connection: &mut Connection, bad: &[(BTreeMap<Bytes, Bytes>, &str)]) -> (Vec<String>, Vec<String>) {
    let (ids, entries) = numbered_traces(20);
    let mut bad_ids = Vec::new();
    for (chunk, number) in entries.chunks(7).zip(0..) {
        publish(connection, STREAM, chunk);
        let fields = bad.get(number).map(|(fields, _)| fields.iter().collect::<Vec<_>>());
        bad_ids.extend(fields.map(|fields| connection.xadd::<_, _, _, _, String>(STREAM, "*", &fields).expect("XADD")));
    }
    assert_eq!(bad_ids.len(), bad.len());
    (ids, bad_ids)
}

/// The dead letters by the entry that each was.
fn dead_letters(connection: &mut Connection) -> BTreeMap<String, Vec<(Bytes, Bytes)>> {
    let reply: Vec<(String, Vec<(Bytes, Bytes)>)> = connection.xrange_all(DEAD).expect("XRANGE");
    let by_entry = |(_, fields): (String, Vec<(Bytes, Bytes)>)| {
        let entry = fields.iter().find(|(key, _)| key == b"dead:entry").map(|(_, value)| String::from_utf8_lossy(value).into_owned());
        (entry.expect("where it comes from"), fields)
    };
    reply.into_iter().map(by_entry).collect()
}

/// Scenario: entries without ids, of an unknown kind, of two megabytes and of arbitrary bytes, among good traces.
/// Guarantees: each is in the dead-letter stream with all its fields and why, acknowledged and counted; the good traces come out whole.
#[test]
fn undecodable_entries_become_dead_letters_and_cost_no_other_anything() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let bad = undecodable();
    let (ids, bad_ids) = publish_among_good(&mut connection, &bad);
    let host = HostBuilder::new(&redis.url()).start();
    host.wait_for_exports(ids.len() as u64);
    wait_until_settled(&mut connection, GROUP);
    assert_whole(&host.json_files(), &ids);
    let letters = dead_letters(&mut connection);
    assert_eq!(letters.len(), bad.len());
    for ((fields, reason), id) in bad.iter().zip(&bad_ids) {
        let letter = &letters[id];
        let (ours, theirs) = letter.split_at(3);
        assert_eq!(&theirs.iter().cloned().collect::<BTreeMap<_, _>>(), fields, "{id}");
        let ours: BTreeMap<String, String> =
            ours.iter().map(|(key, value)| (String::from_utf8_lossy(key).into(), String::from_utf8_lossy(value).into())).collect();
        assert_eq!(ours["dead:stage"], "decode");
        assert!(ours["dead:reason"].contains(reason), "{}", ours["dead:reason"]);
    }
    let status = host.status();
    assert_eq!(status["consumer"]["entries_dead"], 6);
    let counted = ["no_trace_id", "no_span_id", "unknown_event", "too_large"].map(|key| status["input"][key].as_u64());
    assert_eq!(counted, [Some(3), Some(1), Some(1), Some(1)]);
    assert!(status["consumer"]["last_error"].is_null());
}

/// Scenario: the stream of dead letters is as long as it is kept, and a little longer, and more come.
/// Guarantees: as many as go for them are counted, in the status and as a metric, and the log says so.
#[test]
fn dead_letters_that_later_ones_push_out_are_counted_and_told() {
    // Redis removes whole nodes of its own, of 100 entries here.
    let redis = RedisServer::start_with(&["--stream-node-max-entries", "100"]);
    let mut connection = redis.connect();
    let host = HostBuilder::new(&redis.url()).start();
    host.wait_until_running();
    let fill = redis::Script::new("for number = 1, 100099 do redis.call('XADD', KEYS[1], number .. '-1', 'a', 'b') end");
    fill.key(DEAD).invoke::<()>(&mut connection).expect("it is filled");
    assert_eq!(host.counted("dead_letters_lost"), 0);
    let bad = undecodable();
    let (ids, _) = publish_among_good(&mut connection, &bad);
    host.wait_for_exports(ids.len() as u64);
    wait_until_settled(&mut connection, GROUP);
    let left: u64 = connection.xlen(DEAD).expect("XLEN");
    let lost = 100_099 + bad.len() as u64 - left;
    assert_eq!(lost, 100, "{left} are left");
    eventually("they are counted", || (host.counted("dead_letters_lost") == lost).then_some(()));
    assert!(host.get("/metrics").body.contains("meshtrace_dead_letters_lost_total 100\n"));
    let said = || host.stderr().lines().find(|line| line.contains("dead letters were pushed out by later ones")).map(str::to_owned);
    let said = eventually("the log says so", said);
    assert!(said.contains("letters=100 "), "{said}");
}

/// Scenario: Redis has no memory left when undecodable entries are read, and the host's connections are cut meanwhile.
/// Guarantees: good traces are exported and acknowledged all the same; the undecodable entries stay pending, and move when memory is back.
#[test]
fn dead_letters_that_redis_refuses_stay_pending_until_it_takes_them() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let host = HostBuilder::new(&redis.url()).start();
    host.wait_until_running();
    host.signal(libc::SIGSTOP);
    let bad = undecodable();
    let (ids, _) = publish_among_good(&mut connection, &bad);
    configure(&mut connection, "maxmemory", "1");
    host.signal(libc::SIGCONT);
    host.wait_for_exports(ids.len() as u64);
    eventually("the good ones are acknowledged", || {
        (undelivered(&mut connection, GROUP) == 0 && pending(&mut connection, GROUP) == bad.len()).then_some(())
    });
    redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").exec(&mut connection).expect("CLIENT KILL");
    eventually("the host reads again", || (host.counted("disconnects") > 0 && host.consumer("status") == "running").then_some(()));
    eventually("the refusal is told", || host.stderr().contains("Redis refuses dead letters").then_some(()));
    assert_eq!(host.counted("entries_dead"), 0);
    let letters: StreamRangeReply = connection.xrange_all(DEAD).expect("XRANGE");
    assert!(letters.ids.is_empty());

    configure(&mut connection, "maxmemory", "0");
    wait_until_settled(&mut connection, GROUP);
    assert_eq!(dead_letters(&mut connection).len(), bad.len());
    eventually("all are counted", || (host.counted("entries_dead") == bad.len() as u64).then_some(()));
    assert_whole(&host.json_files(), &ids);
}
