//! `meshtrace dead retry`: what nobody took is tried again, once and whole.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};

use redis::Commands;
use serde_json::Value;

use crate::support::dead::{Bytes, bury_by_hand, done, entries, failed, length, letter_ids, with_guests};
use crate::support::events::{entry, lone, publish, span, spans_of, with};
use crate::support::eventually;
use crate::support::host::{Host, HostBuilder};
use crate::support::redis_server::{DEAD, GROUP, RedisServer, STREAM, dead_letters, wait_until_settled};

/// Scenario: a plugin refuses one trace of two; it is replaced by a good one, and the trace is retried.
/// Guarantees: the new one gets it, once and whole; nothing is pending, and no dead letter is left.
#[test]
fn a_refused_trace_comes_back_when_the_plugin_has_been_replaced() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let spans = [lone("t", "unwanted"), span("t", "b", Some("a"))];
    publish(&mut connection, STREAM, &[&spans[..], &[lone("other", "work")]].concat());
    let mut bad = with_guests(&redis, &[("mine", "reject")]).start();
    letter_ids(&mut connection, 2);
    wait_until_settled(&mut connection, GROUP);
    assert!(bad.terminate().success());
    let good = with_guests(&redis, &[("mine", "trap")]).start();
    assert_eq!(done(&redis, &["retry", "t"]), "put 2 entries back on mesh:trace\n");
    good.wait_for_exports(1);
    wait_until_settled(&mut connection, GROUP);
    assert_eq!(good.log_of("mine"), ["took t"]);
    assert_eq!(spans_of(&good.json_files()["t"]), BTreeSet::from(["a", "b"]));
    assert_eq!(good.json_files()["t"], bad.json_files()["t"]);
    assert_eq!((length(&mut connection, DEAD), length(&mut connection, STREAM)), (0, 5));
    assert_eq!(done(&redis, &["list"]), "no dead letters in {mesh:trace}:dead\n");
}

/// Scenario: a plugin refuses a trace and a late part of it, then takes what comes again, in a host that remembers the trace all the while.
/// Guarantees: the retried entries are no late part but the trace, decided anew; a span that comes later is one.
#[test]
fn a_retry_goes_past_what_the_host_remembers() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let host = with_guests(&redis, &[("mine", "relents")]).start();
    publish(&mut connection, STREAM, &[lone("t", "unwanted")]);
    letter_ids(&mut connection, 1);
    publish(&mut connection, STREAM, &[span("t", "late", Some("a"))]);
    eventually("the late part is exported", || (host.log_of("mine").len() == 1).then_some(()));
    assert_eq!(done(&redis, &["retry", "t"]), "put 1 entry back on mesh:trace\n");
    eventually("the trace is exported", || (host.log_of("mine").len() == 2).then_some(()));
    publish(&mut connection, STREAM, &[span("t", "later", Some("a"))]);
    eventually("the next late part is exported", || (host.log_of("mine").len() == 3).then_some(()));
    wait_until_settled(&mut connection, GROUP);
    assert_eq!(host.log_of("mine"), ["took part 1 of t, 1 spans", "took part 0 of t, 1 spans", "took part 2 of t, 1 spans"]);
    assert_eq!(length(&mut connection, DEAD), 0);
}

/// The fields that an entry goes back with: its own, behind the mark.
fn retried(fields: &[(Bytes, Bytes)], mark: &str) -> Vec<(Bytes, Bytes)> {
    [&[(b"meshtrace:retry".to_vec(), mark.into())], fields].concat()
}

/// Scenario: entries that are no events, with fields that look like the host's own, of any bytes, or with very many; retried twice, with a host that
/// buries them again in between.
/// Guarantees: each goes back just as it came, behind one mark that differs from retry to retry; the one with too many fields to be put back stays, and
/// is said to.
#[test]
fn entries_go_back_as_they_came() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let many = |count: usize| -> Vec<(Bytes, Bytes)> { (0..count).map(|n| (format!("key {n}").into(), b"".to_vec())).collect() };
    let pair = |key: &[u8], value: &[u8]| (key.to_vec(), value.to_vec());
    let odd = [
        vec![pair(b"dead:plugin", b"mine"), pair(b"dead:end", b""), pair(b"z", b"1"), pair(b"z", b"2")],
        vec![pair(b"\xff\x00", b"\x80\r\n"), pair(b"", b""), pair(b"dead:reason", b"mine")],
        vec![pair(b"dead:end", b"")],
        many(3_000),
        many(3_001),
    ];
    for fields in &odd {
        connection.xadd::<_, _, _, _, String>(STREAM, "*", fields).expect("XADD");
    }
    for _ in 0..2 {
        let mut host = HostBuilder::new(&redis.url()).start();
        let ids = letter_ids(&mut connection, 5);
        wait_until_settled(&mut connection, GROUP);
        assert!(host.terminate().success());
        let kept = entries(&mut connection, DEAD)
            .into_iter()
            .find(|(_, fields)| fields.iter().any(|(key, _)| key == b"key 3000"))
            .expect("the largest")
            .0;
        let (printed, said) = failed(&redis, &["retry", "--all"]);
        assert_eq!(printed, "put 4 entries back on mesh:trace\n");
        let expected = format!(
            "meshtrace: {kept} stays a dead letter: it has 3001 fields, and at most 3000 can be put back\n\
             `meshtrace dead drop ID` removes what is not wanted any more\n"
        );
        assert_eq!(said, expected);
        let marks: Vec<&String> = ids.iter().filter(|id| **id != kept).collect();
        let stream = entries(&mut connection, STREAM);
        let back: Vec<_> = stream[stream.len() - 4..].iter().map(|(_, fields)| fields.clone()).collect();
        let expected: Vec<_> = odd.iter().zip(marks).map(|(fields, mark)| retried(fields, mark)).collect();
        assert_eq!(back, expected);
        assert_eq!(letter_ids(&mut connection, 1), [kept]);
    }
}

/// Scenario: `retry --all` is killed half-way, another's connection is cut, then two run at once, then one more.
/// Guarantees: every entry is put back just once, those of a trace together, and no dead letter is left.
#[test]
fn an_interrupted_retry_loses_nothing_and_copies_nothing() {
    const TRACES: usize = 3_000;
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    bury_by_hand(&mut connection, TRACES);
    let start = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_meshtrace"));
        command.args(["dead", "retry", "--all"]).env("REDIS_URL", redis.url()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().expect("it starts")
    };
    let mut begun = |left: usize| eventually("it has begun", || (length(&mut connection, DEAD) < left).then_some(()));
    let mut killed = start();
    begun(2 * TRACES);
    killed.kill().expect("a kill");
    assert!(!killed.wait().expect("an end").success(), "it was killed before its end");
    let left = length(&mut redis.connect(), DEAD);
    assert!((1..2 * TRACES).contains(&left), "{left}");

    let cut = start();
    begun(left);
    redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("yes").exec(&mut redis.connect()).expect("CLIENT KILL");
    let cut = cut.wait_with_output().expect("an end");
    let said = String::from_utf8_lossy(&cut.stderr).into_owned();
    assert!(!cut.status.success() && said.contains(" back; asking again goes on from there: {mesh:trace}:dead: "), "{said}");
    let mut connection = redis.connect();
    assert!(length(&mut connection, DEAD) > 0, "it was cut before its end");

    let both = [start(), start()];
    for process in both {
        assert!(process.wait_with_output().expect("an end").status.success());
    }
    assert_eq!(done(&redis, &["retry", "--all"]), "put 0 entries back on mesh:trace\n");
    let (printed, said) = failed(&redis, &["retry", "0"]);
    assert_eq!(printed, "put 0 entries back on mesh:trace\n");
    assert!(said.starts_with("meshtrace: {mesh:trace}:dead has no dead letter and no trace called 0; "), "{said}");
    assert_eq!(length(&mut connection, DEAD), 0);
    let stream = entries(&mut connection, STREAM);
    let field = |fields: &[(Bytes, Bytes)], key: &str| fields.iter().find(|(own, _)| own == key.as_bytes()).map(|(_, value)| value.clone());
    let spans: BTreeSet<_> = stream.iter().map(|(_, fields)| (field(fields, "trace_id"), field(fields, "span_id"))).collect();
    assert_eq!((stream.len(), spans.len()), (2 * TRACES, 2 * TRACES));
    assert!(stream.chunks(2).all(|pair| field(&pair[0].1, "trace_id") == field(&pair[1].1, "trace_id")), "a trace was torn");
}

/// The document of each poisoned trace.
fn poisoned(host: &Host) -> BTreeMap<String, Value> {
    host.json_files().into_iter().filter(|(id, _)| id.starts_with("poison")).collect()
}

/// Scenario: a plugin traps at two traces, and while the host waits to see whose fault that is, the stream loses all entries of one and the first of
/// the other, which had come in several accounts; then the plugin takes other traces. The plugin is removed, and the two are retried.
/// Guarantees: the dead letters hold both traces whole; what the next host makes of them is, field by field, what the first had made of the entries.
#[test]
fn traces_whose_entries_were_trimmed_are_complete_dead_letters_and_come_back() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let mut host = with_guests(&redis, &[("trap", "trap")]).start();
    let more = [("error", "line1\nline2"), ("success", "False"), ("agent_port", "9091"), ("args_count", "007"), ("made_up", "\u{1b}\"é")];
    let trimmed = [
        entry(&[
            ("trace_id", "poison-1"),
            ("span_id", "a"),
            ("event_type", "span_start"),
            ("timestamp", "1795221702.5"),
            ("operation", "poison"),
        ]),
        entry(&[
            ("trace_id", "poison-1"),
            ("span_id", "a"),
            ("event_type", "span_end"),
            ("timestamp", "1795221703.5"),
            ("error_message", "x"),
        ]),
        with(span("poison-1", "b", Some("a")), &more),
        with(lone("poison-2", "poison"), &more),
    ];
    publish(&mut connection, STREAM, &trimmed);
    let kept = publish(&mut connection, STREAM, &[span("poison-2", "b", Some("a"))]).remove(0);
    eventually("json has taken both, trap has failed", || {
        (poisoned(&host).len() == 2 && host.plugin("trap")["state"] == "holding").then_some(())
    });
    let removed: usize = redis::cmd("XTRIM").arg(STREAM).arg("MINID").arg(&kept).query(&mut connection).expect("XTRIM");
    assert_eq!((removed, length(&mut connection, DEAD)), (4, 0));
    publish(&mut connection, STREAM, &[lone("good", "work")]);
    letter_ids(&mut connection, 4);
    wait_until_settled(&mut connection, GROUP);
    let of_log: Vec<_> = dead_letters(&mut connection)
        .iter()
        .map(|letter| (letter.get("dead:entry").cloned(), letter.get("dead:rebuilt").cloned()))
        .collect();
    let rebuilt = |text: &str| (None, Some(text.to_owned()));
    let mut expected = vec![rebuilt("3 of 3 entries had left the log"); 2];
    expected.extend([(Some(kept), None), rebuilt("1 of 2 entries had left the log")]);
    assert_eq!(of_log, expected);
    let list = done(&redis, &["list"]);
    let marks: Vec<&str> = list.lines().filter_map(|line| line.split_once(" (its log may say why) ")).map(|(_, mark)| mark).collect();
    assert_eq!(marks, ["[2 rebuilt]", "[1 rebuilt]"]);
    let before = poisoned(&host);
    assert!(host.terminate().success());

    let host = with_guests(&redis, &[]).start();
    assert_eq!(done(&redis, &["retry", "poison-1", "poison-2"]), "put 4 entries back on mesh:trace\n");
    host.wait_for_exports(2);
    wait_until_settled(&mut connection, GROUP);
    assert_eq!(poisoned(&host), before);
    assert_eq!(length(&mut connection, DEAD), 0);
}
