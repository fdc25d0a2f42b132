//! Single faults, each with what exactly it may cost. All of them together, at random, are in `torture`.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use redis::{Commands, Connection};
use serde_json::Value;

use crate::hot_reload::counting;
use crate::support::PATIENCE;
use crate::support::disk::Disk;
use crate::support::events::{Fields, assert_whole, entry, lone, numbered_traces, publish};
use crate::support::eventually;
use crate::support::host::{Host, HostBuilder, json_files};
use crate::support::plugin_dir::{holds, plugin_when};
use crate::support::proxy::Proxy;
use crate::support::redis_server::{DEAD, GROUP, RedisServer, STREAM, configure, pending, wait_until_settled};
use crate::torture::guests::{Guests, Mood};
use crate::torture::server::Server;

/// A host behind `proxy` that finishes traces soon.
fn behind(proxy: &Proxy) -> Host {
    let host = HostBuilder::new(&proxy.url()).set("TRACE_ENABLE_STATS", "false").set("MESHTRACE_QUIET_PERIOD", "100ms").start();
    host.wait_until_running();
    host
}

/// Scenario: Redis answers reading, acknowledging, or burying, with every error by which it says that it cannot, will not or must not do it.
/// Guarantees: traces come out whole, all is acknowledged in the end, and the host says of each what it was.
#[test]
fn errors_that_redis_answers_with_cost_nothing() {
    const ERRORS: [&str; 6] = [
        "LOADING Redis is loading the dataset in memory",
        "READONLY You can't write against a read only replica.",
        "OOM command not allowed when used memory > 'maxmemory'.",
        "NOPERM this user has no permissions to run the command",
        "NOAUTH Authentication required.",
        "MISCONF Redis is configured to save RDB snapshots, but it is currently unable to persist to disk.",
    ];
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let proxy = Proxy::start(redis.port);
    let host = behind(&proxy);
    let (ids, entries) = numbered_traces(12 * ERRORS.len());
    let mut published = entries.chunks(18);
    for error in ERRORS {
        let before = proxy.answered();
        proxy.answer("XREADGROUP", error, 1);
        publish(&mut connection, STREAM, published.next().expect("some are left"));
        eventually("reading was refused", || (proxy.answered() > before).then_some(()));
        wait_until_settled(&mut connection, GROUP);
        proxy.answer("EVALSHA", error, 1);
        publish(&mut connection, STREAM, published.next().expect("some are left"));
        eventually("acknowledging, or keeping the lease, was refused", || (proxy.answered() > before + 1).then_some(()));
        wait_until_settled(&mut connection, GROUP);
        proxy.heal();
        // Dead letters are buried in transactions.
        let before = proxy.answered();
        proxy.answer("EXEC", error, 1);
        publish(&mut connection, STREAM, &[entry(&[("span_id", "nothing says of which trace")])]);
        eventually("burying was refused", || (proxy.answered() > before).then_some(()));
        wait_until_settled(&mut connection, GROUP);
        proxy.heal();
    }
    assert_eq!(connection.xlen::<_, usize>(DEAD).expect("XLEN"), ERRORS.len(), "each is buried once");
    assert_whole(&host.json_files(), &ids);
    host.wait_until_running();
    assert_eq!(host.consumer("last_error"), "");
    assert!(host.stderr().matches("reading from Redis failed; connecting again").count() >= ERRORS.len(), "{}", host.stderr());
}

/// Scenario: Redis does what it is told about dead letters, and the connection ends before it has said so.
/// Guarantees: each is there once, is counted once, and nothing stays pending.
#[test]
fn dead_letters_whose_confirmation_is_lost_are_there_once() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let proxy = Proxy::start(redis.port);
    let host = behind(&proxy);
    for round in 1..=3 {
        proxy.lose_replies("EXEC", 1);
        publish(&mut connection, STREAM, &[entry(&[("span_id", "of no trace")]), entry(&[("span_id", "of none either")])]);
        eventually("the confirmation is lost", || (proxy.cut() == round).then_some(()));
        eventually("the host knows that both are written", || (host.counted("entries_dead") == 2 * round).then_some(()));
        wait_until_settled(&mut connection, GROUP);
        assert_eq!(connection.xlen::<_, u64>(DEAD).expect("XLEN"), 2 * round);
    }
}

/// Scenario: connections end when half of a reply, or half of a command, has come through.
/// Guarantees: every trace comes out with exactly its spans, and nothing stays pending.
#[test]
fn connections_cut_in_the_middle_of_a_reply_or_a_command_cost_nothing() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let proxy = Proxy::start(redis.port);
    let host = behind(&proxy);
    let (ids, entries) = numbered_traces(400);
    for (number, chunk) in entries.chunks(60).enumerate() {
        publish(&mut connection, STREAM, chunk);
        let before = proxy.cut();
        if number % 2 == 0 {
            proxy.cut_replies(2)
        } else {
            proxy.cut_commands(2)
        }
        eventually("both are cut", || (proxy.cut() == before + 2).then_some(()));
    }
    wait_until_settled(&mut connection, GROUP);
    assert_whole(&host.json_files(), &ids);
}

/// Scenario: the password of Redis is another than the host's at the start, becomes the right one, and another again under the running host.
/// Guarantees: the host waits and says why; as soon as its password is right it goes on, and nothing is lost.
#[test]
fn a_password_that_is_wrong_for_a_while_costs_nothing() {
    const OURS: &str = "ours";
    let redis = RedisServer::start_with(&["--requirepass", "theirs"]);
    let mut connection = redis::Client::open(format!("redis://:theirs@127.0.0.1:{}/", redis.port))
        .and_then(|client| client.get_connection())
        .expect("a connection");
    let (ids, entries) = numbered_traces(40);
    let (before, after) = entries.split_at(60);
    publish(&mut connection, STREAM, before);
    let host = HostBuilder::new(&format!("redis://:{OURS}@127.0.0.1:{}/", redis.port)).start();
    let why = || eventually("the host says what is wrong", || Some(host.consumer("last_error")).filter(|error| !error.is_empty()));
    assert!(why().to_lowercase().contains("password"), "{}", why());

    configure(&mut connection, "requirepass", OURS);
    host.wait_until_running();
    configure(&mut connection, "requirepass", "theirs");
    redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("yes").exec(&mut connection).expect("CLIENT KILL");
    publish(&mut connection, STREAM, after);
    eventually("the host is refused", || (host.consumer("status") == "connecting").then_some(()));
    configure(&mut connection, "requirepass", OURS);
    wait_until_settled(&mut connection, GROUP);
    assert_whole(&host.json_files(), &ids);
}

/// Scenario: the consumer group is destroyed under the running host; then the whole stream is deleted.
/// Guarantees: the group is made again, and what is published from then on is read; of what was acknowledged before nothing is missing.
#[test]
fn a_group_or_stream_that_is_deleted_is_made_again() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let host = HostBuilder::new(&redis.url()).start();
    host.wait_until_running();
    let (ids, entries) = numbered_traces(30);
    for (number, chunk) in entries.chunks(30).enumerate() {
        match number {
            1 => redis::cmd("XGROUP").arg("DESTROY").arg(STREAM).arg(GROUP).exec(&mut connection).expect("XGROUP DESTROY"),
            2 => connection.del(STREAM).expect("DEL"),
            _ => {}
        }
        publish(&mut connection, STREAM, chunk);
        eventually("all of them come out", || (host.json_files().len() == 10 * (number + 1)).then_some(()));
        wait_until_settled(&mut connection, GROUP);
    }
    assert_whole(&host.json_files(), &ids);
}

/// Scenario: Redis loses what it was told in the last seconds, acknowledgements among it, and comes back.
/// Guarantees: what is pending again is read again, and acknowledged by the same host; every trace comes out with exactly its spans.
#[test]
fn acknowledgements_that_redis_has_forgotten_are_made_again() {
    let mut server = Server::start();
    let (ids, entries) = numbered_traces(20);
    let host = HostBuilder::new(&server.redis.url()).start();
    host.wait_until_running();
    publish(&mut server.connect(), STREAM, &entries);
    // In this time everything is exported and acknowledged; that much is forgotten.
    server.cut_power(Duration::from_secs(3));
    assert_whole(&host.json_files(), &ids);
    assert_eq!(host.counted("entries_acknowledged"), 60);
    host.wait_until_running();
    wait_until_settled(&mut server.connect(), GROUP);
    eventually("all are acknowledged anew", || (host.counted("entries_acknowledged") == 120).then_some(()));
    assert_whole(&host.json_files(), &ids);
}

/// Scenario: Redis is killed, and a replica takes its place to which acknowledgements, and the last trace of all, had not come through.
/// Guarantees: the host notices that they are forgotten, and says so; what is pending there is read again and acknowledged; every trace comes out with exactly
/// its spans.
#[test]
fn acknowledgements_that_did_not_reach_the_replica_in_time_are_made_again() {
    let mut server = Server::start();
    let (ids, entries) = numbered_traces(40);
    let (before, rest) = entries.split_at(60);
    let (unseen, after) = rest.split_at(3);
    let host = HostBuilder::new(&server.proxy.url()).set("MESHTRACE_QUIET_PERIOD", "2s").start();
    host.wait_until_running();
    let replica = server.replicate();
    let mut connection = server.connect();
    publish(&mut connection, STREAM, before);
    eventually("they are read", || (pending(&mut connection, GROUP) == before.len()).then_some(()));
    let followers: usize = redis::cmd("WAIT").arg(1).arg(60_000).query(&mut connection).expect("WAIT");
    assert_eq!(followers, 1, "the replica knows that they are pending");
    replica.fall_behind();
    publish(&mut connection, STREAM, unseen);
    wait_until_settled(&mut connection, GROUP);

    server.promote(replica);
    let mut connection = server.connect();
    eventually("the host notices", || host.stderr().contains("Redis has forgotten acknowledgements").then_some(()));
    publish(&mut connection, STREAM, after);
    wait_until_settled(&mut connection, GROUP);
    assert_whole(&host.json_files(), &ids);
}

/// Scenario: an exporter that is required takes nothing while publishers go on; then it takes again.
/// Guarantees: reading stops, and with it memory grows no more; status, metrics and a line of the log say how much waits and for how long it is safe; when
/// the exporter is back everything comes out.
#[test]
fn while_a_required_exporter_is_down_the_stream_waits_in_redis() {
    const TRACES: usize = 40_000;
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let guests = Guests::new();
    guests.set_mood(Mood::Refuses);
    let host = HostBuilder::new(&redis.url())
        .set("MESHTRACE_PLUGIN_DIR", &guests.path().display().to_string())
        .set("MESHTRACE_JSON_MODE", "lines")
        .set("TRACE_ENABLE_STATS", "false")
        .start();
    host.wait_until_running();
    let entries: Vec<Fields> = (0..TRACES).map(|number| lone(&format!("t{number}"), "work")).collect();
    let (first, more) = entries.split_at(TRACES * 3 / 4);
    // As agents do, one after the other: what comes at once is also decided at once, however much that is.
    for chunk in first.chunks(500) {
        publish(&mut connection, STREAM, chunk);
        std::thread::sleep(Duration::from_millis(40));
    }
    eventually("the log says that nothing is read", || {
        host.stderr().contains("nothing is read: an exporter that is required").then_some(())
    });
    let read = host.counted("entries_read");
    let (_, _, memory) = holds(host.process.id());
    assert!(read < first.len() as u64, "reading has stopped");

    publish(&mut connection, STREAM, more);
    let (lag, status) = eventually("the status shows what waits", || {
        let consumer = host.status()["consumer"].clone();
        let (lag, pending) = (consumer["lag"].as_u64()?, consumer["pending"].as_u64()?);
        (lag + pending == TRACES as u64).then_some((lag, consumer))
    });
    assert!(lag >= more.len() as u64 && host.counted("entries_read") == read, "nothing more was read: {status}");
    assert_eq!(host.counted("entries_acknowledged"), 0);
    let safety = &status["restart_safety"];
    let left = safety["entries"].as_u64().expect("how many may still come");
    // Documented agents cut the stream at 100,000; nothing of it may go before the first.
    assert!((100_000 - TRACES as u64..100_000).contains(&left) && safety["retention_seconds"].as_u64() > Some(86_000), "{safety}");
    assert!(host.get("/metrics").body.contains(&format!("meshtrace_lag_entries {lag}\n")));
    let (_, _, later) = holds(host.process.id());
    assert!(later < memory + 16 * 1024, "{memory} KiB became {later}");
    assert_eq!(host.stderr().matches("nothing is read").count(), 1, "once a minute");

    guests.set_mood(Mood::Takes);
    wait_until_settled(&mut connection, GROUP);
    let lines = fs::read_to_string(host.dir.path().join("json/traces.jsonl")).expect("the file of lines");
    let id = |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["trace_id"].as_str().expect("an id").to_owned();
    assert_eq!(lines.lines().map(id).collect::<BTreeSet<_>>().len(), TRACES);
}

/// Scenario: publishers keep a short stream, and the host waits so long for traces that their entries are trimmed while they are pending; then it is killed.
/// Guarantees: it was warned of, with the setting that helps; the next host counts what is gone, waits for none of it, and exports the rest.
#[test]
fn entries_that_publishers_trim_while_they_are_pending_are_foretold_and_counted() {
    const LENGTH: usize = 150;
    let redis = RedisServer::start_with(&["--stream-node-max-entries", "10"]);
    let mut connection = redis.connect();
    let (ids, entries) = numbered_traces(200);
    let host = HostBuilder::new(&redis.url()).set("MCP_MESH_TRACE_STREAM_MAXLEN", "150").set("MESHTRACE_QUIET_PERIOD", "1h").start();
    host.wait_until_running();
    let mut traces = entries.chunks(3);
    let mut polls = 0;
    eventually("the host warns", || {
        // Slowly, and on and on: how long the stream is safe shows from its pace.
        polls += 1;
        let trace = if polls % 5 == 0 { traces.next() } else { None };
        publish_short(&mut connection, trace.unwrap_or_default(), LENGTH);
        host.stderr().contains("A larger MCP_MESH_TRACE_STREAM_MAXLEN on the agents makes the stream longer").then_some(())
    });
    let mut published = entries.len() - traces.len() * 3;
    for trace in traces {
        publish_short(&mut connection, trace, LENGTH);
        published += trace.len();
        // What is trimmed before it was read is another matter.
        eventually("all is read", || (pending(&mut connection, GROUP) == published).then_some(()));
    }
    let kept: usize = connection.xlen(STREAM).expect("XLEN");
    let gone = (entries.len() - kept) as u64;
    assert!(kept < LENGTH + 20, "{kept} are left");
    fs::remove_dir_all(host.kill()).expect("the directory of the killed host");

    let json = tempfile::tempdir().expect("a directory");
    let next = HostBuilder::new(&redis.url()).json_dir(json.path()).start();
    wait_until_settled(&mut connection, GROUP);
    assert_eq!(next.counted("entries_trimmed"), gone);
    let whole = kept / 3;
    let mut documents = json_files(json.path());
    // Of one trace a part may be left.
    documents.retain(|id, _| ids[ids.len() - whole..].contains(id));
    assert_whole(&documents, &ids[ids.len() - whole..]);
}

/// Publishes as agents do that keep about `length` entries.
fn publish_short(connection: &mut Connection, entries: &[Fields], length: usize) {
    let mut pipeline = redis::pipe();
    for fields in entries {
        let add = pipeline.cmd("XADD").arg(STREAM).arg("MAXLEN").arg("~").arg(length).arg("*");
        for (key, value) in fields {
            add.arg(key).arg(value);
        }
    }
    if !entries.is_empty() {
        pipeline.exec(connection).expect("XADD");
    }
}

/// Scenario: the json exporter's disk becomes full, and read-only, under the running host.
/// Guarantees: nothing is acknowledged, and no file is there in half; when the disk is well again every trace has its file.
#[test]
fn a_disk_that_takes_nothing_loses_nothing() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let disk = Disk::new();
    let host = HostBuilder::new(&redis.url()).json_dir(&disk.json()).set("TRACE_ENABLE_STATS", "false").start();
    host.wait_until_running();
    let (ids, entries) = numbered_traces(40);
    let sick: [fn(&Disk) -> bool; 2] = [Disk::fill, Disk::seal];
    for (round, (sicken, chunk)) in sick.iter().zip(entries.chunks(60)).enumerate() {
        let is_sick = sicken(&disk);
        let retries = host.plugin("json")["retries"].as_u64();
        publish(&mut connection, STREAM, chunk);
        if is_sick {
            eventually("the exporter asks for another try", || (host.plugin("json")["retries"].as_u64() > retries).then_some(()));
            assert_eq!(pending(&mut connection, GROUP), chunk.len(), "nothing is acknowledged");
            // Those that are there can be read: that is checked by reading them.
            assert_eq!(json_files(&disk.json()).len(), 20 * round);
        }
        disk.heal();
        wait_until_settled(&mut connection, GROUP);
    }
    assert_whole(&json_files(&disk.json()), &ids);
    assert_eq!(fs::read_dir(disk.json()).expect("a directory").count(), ids.len(), "nothing else is left there");
}

/// Scenario: under the running host nothing that is written to the json exporter's disk comes to an end, for longer than the exporter's calls may take;
/// then each write takes a while.
/// Guarantees: meanwhile nothing is acknowledged and no file is there in half, but another exporter takes everything; when the call comes back, its
/// instance ends, and the traces are offered again; every trace has its file in the end.
#[test]
fn a_slow_disk_loses_nothing_and_holds_up_nobody_else() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let (disk, plugins) = (Disk::new(), counting());
    plugins.put("json.toml", "[limits]\ncall-time = \"1s\"\n");
    let host = HostBuilder::new(&redis.url()).json_dir(&disk.json()).set("TRACE_ENABLE_STATS", "false");
    let host = host.set("MESHTRACE_PLUGIN_DIR", &plugins.path().display().to_string()).start();
    host.wait_until_running();
    let (ids, entries) = numbered_traces(60);
    let mut chunks = entries.chunks(60);
    let mut publish_twenty = || publish(&mut connection, STREAM, chunks.next().expect("some are left"));
    publish_twenty();
    wait_until_settled(&mut redis.connect(), GROUP);

    let Some(frozen) = disk.slow(PATIENCE, 1) else { return };
    publish_twenty();
    eventually("the other exporter takes everything", || (plugins.taken().len() == 40).then_some(()));
    // Its thread is in the write, and nobody can call it back: so its time runs out, and nothing else happens.
    let call = Instant::now();
    eventually("its time is over", || (call.elapsed() > Duration::from_secs(2)).then_some(()));
    assert_eq!(pending(&mut redis.connect(), GROUP), 60, "nothing is acknowledged");
    assert_eq!(json_files(&disk.json()).len(), 20);
    drop(frozen);
    plugin_when(&host, "json", "its call has ended", |json| json["limits"]["call-time"]["hits"].as_u64() > Some(0));
    wait_until_settled(&mut redis.connect(), GROUP);

    let slow = disk.slow(Duration::from_millis(100), 1_000);
    publish_twenty();
    wait_until_settled(&mut redis.connect(), GROUP);
    drop(slow);
    assert_whole(&json_files(&disk.json()), &ids);
    assert_eq!(fs::read_dir(disk.json()).expect("a directory").count(), ids.len(), "nothing else is left there");
}

/// Scenario: between host and Redis nothing passes for longer than the quiet period, while a trace goes on.
/// Guarantees: the trace comes out in one part, whole.
#[test]
fn a_wire_that_stalls_splits_no_trace() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let proxy = Proxy::start(redis.port);
    let host = HostBuilder::new(&proxy.url()).set("MESHTRACE_QUIET_PERIOD", "1s").start();
    host.wait_until_running();
    let (ids, entries) = numbered_traces(1);
    publish(&mut connection, STREAM, &entries[..1]);
    eventually("its beginning is known", || (host.get(&format!("/trace/{}", ids[0])).status == 200).then_some(()));
    proxy.stall(Duration::from_millis(2_500));
    for entry in &entries[1..] {
        std::thread::sleep(Duration::from_millis(800));
        publish(&mut connection, STREAM, std::slice::from_ref(entry));
    }
    wait_until_settled(&mut connection, GROUP);
    assert_whole(&host.json_files(), &ids);
    assert_eq!(host.status()["correlator"]["late_parts"], 0);
}
