//! Several hosts on one stream and group: one leads, the others stand by.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use redis::Commands;
use serde_json::json;

use crate::support::events::{assert_whole, lone, numbered_traces, publish, span, spans_of};
use crate::support::eventually;
use crate::support::guests::evil;
use crate::support::host::{Answer, Host, HostBuilder, json_files};
use crate::support::load::Load;
use crate::support::plugin_dir::PluginDir;
use crate::support::redis_server::{GROUP, RedisServer, STREAM, consumers, pending, wait_until_settled};

const LEASE: &str = "{mesh:trace}:lease:mcp-mesh-registry-processors";

#[track_caller]
fn wait_until(host: &Host, role: &str) {
    eventually(&format!("the host is {role}"), || (host.consumer("role") == role).then_some(()));
}

/// A host that leads and has the beginning of the trace `t`, and one that stands by.
fn in_the_middle_of_a_trace(connection: &mut redis::Connection, builder: impl Fn() -> HostBuilder) -> (Host, Host) {
    let first = builder().start();
    first.wait_until_running();
    let second = builder().start();
    wait_until(&second, "standby");
    publish(connection, STREAM, &[span("t", "a", None)]);
    eventually("its beginning is known", || (first.get("/trace/t").status == 200).then_some(()));
    (first, second)
}

/// Scenario: three hosts, traces without end; the one that leads is killed, then the next one that leads.
/// Guarantees: the others take over one after the other, when a lease of at most four seconds has ended, and every trace comes out with exactly its spans; nothing stays pending.
#[test]
fn when_leaders_are_killed_under_load_others_take_over_and_nothing_is_lost() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let json = tempfile::tempdir().expect("a directory");
    let builder = || HostBuilder::new(&redis.url()).json_dir(json.path());
    let first = builder().start();
    first.wait_until_running();
    let mut others = vec![builder().start(), builder().start()];
    others.iter().for_each(|host| wait_until(host, "standby"));
    let load = Load::start(&redis);
    first.wait_for_exports(50);
    std::fs::remove_dir_all(first.kill()).expect("the directory of the killed host");
    // That bounds the time without a leader, however busy this machine is.
    let lease_ms: i64 = connection.pttl(LEASE).expect("PTTL");
    assert!(lease_ms <= 4_000 && lease_ms != -1, "the lease of one that was killed lasts {lease_ms} ms");
    let leader = eventually("another one leads", || others.iter().position(|host| host.consumer("role") == "leader"));
    let second = others.remove(leader);
    second.wait_for_exports(50);
    assert_eq!(others[0].consumer("leader"), second.consumer("leader"));
    std::fs::remove_dir_all(second.kill()).expect("the directory of the killed host");
    wait_until(&others[0], "leader");
    others[0].wait_for_exports(50);
    let mut ids = load.end();
    wait_until_settled(&mut connection, GROUP);
    ids.sort_unstable();
    assert_whole(&json_files(json.path()), &ids);
    assert_eq!(others[0].counted("role_changes"), 2, "it stood by, and leads");
}

/// Scenario: the host that leads is told to end while another stands by.
/// Guarantees: the one that stands by says so, and answers nothing about traces; the lead is free as soon as the other has ended, without waiting for the
/// end of its lease; a trace that was open is one trace.
#[test]
fn a_clean_end_hands_the_lead_over_and_a_standby_says_that_it_is_one() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let json = tempfile::tempdir().expect("a directory");
    let builder = || HostBuilder::new(&redis.url()).json_dir(json.path()).set("MESHTRACE_QUIET_PERIOD", "2s");
    let mut first = builder().start();
    first.wait_until_running();
    let second = builder().start();
    wait_until(&second, "standby");
    assert_eq!(second.consumer("status"), "standing_by");
    let statuses = ["/health", "/trace/status", "/metrics", "/ready", "/trace/list", "/trace/t"].map(|path| second.get(path).status);
    assert_eq!(statuses, [200, 200, 200, 503, 503, 503]);
    assert_eq!(second.get("/trace/list").json()["leader"], first.consumer("leader"));

    publish(&mut connection, STREAM, &[span("t", "a", None)]);
    eventually("its beginning is known", || (first.get("/trace/t").status == 200).then_some(()));
    assert!(first.terminate().success(), "{}", first.stderr());
    let holder: Option<String> = connection.get(LEASE).expect("GET");
    assert!(holder.is_none_or(|holder| holder.ends_with(&second.consumer("leader"))), "the lead is not free");
    wait_until(&second, "leader");
    publish(&mut connection, STREAM, &[span("t", "b", Some("a"))]);
    wait_until_settled(&mut connection, GROUP);
    assert_eq!(spans_of(&second.get("/trace/t").json()), BTreeSet::from(["a", "b"]));
    assert_eq!((second.status()["correlator"]["late_parts"].as_u64(), second.get("/ready").status), (Some(0), 200));
}

/// How long it takes until a standby leads: the best of three times, or the first that is within `bound`, since this machine does much besides.
fn without_a_leader(redis: &RedisServer, bound: Duration, end: impl Fn(Host) -> Instant) -> Duration {
    let builder = || HostBuilder::new(&redis.url()).set("TRACE_EXPORTER_TYPE", "none").set("TRACE_ENABLE_STATS", "false");
    let mut best = Duration::MAX;
    let mut leader = builder().start();
    for _ in 0..3 {
        wait_until(&leader, "leader");
        let standby = builder().start();
        wait_until(&standby, "standby");
        let since = end(std::mem::replace(&mut leader, standby));
        wait_until(&leader, "leader");
        best = best.min(since.elapsed());
        if best <= bound {
            break;
        }
    }
    best
}

/// Scenario: the host that leads is killed, or told to end, while another stands by.
/// Guarantees: that one leads within five seconds of the kill, and within one second of the end.
#[test]
fn a_standby_leads_within_five_seconds_of_a_kill_and_within_one_of_an_end() {
    let redis = RedisServer::start();
    let five = Duration::from_secs(5);
    let killed = without_a_leader(&redis, five, |leader| {
        let since = Instant::now();
        std::fs::remove_dir_all(leader.kill()).expect("the directory of the killed host");
        since
    });
    assert!(killed <= five, "{killed:?} after a kill");
    let one = Duration::from_secs(1);
    let ended = without_a_leader(&redis, one, |mut leader| {
        assert!(leader.terminate().success(), "{}", leader.stderr());
        Instant::now()
    });
    assert!(ended <= one, "{ended:?} after an end");
}

/// An endpoint of the otlp exporter that answers when it is told to.
struct Gate {
    port: u16,
    requests: Arc<AtomicUsize>,
    open: Arc<AtomicBool>,
}

impl Gate {
    fn start() -> Gate {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let gate = Gate {
            port: listener.local_addr().expect("its address").port(),
            requests: Arc::default(),
            open: Arc::default(),
        };
        let (requests, open) = (Arc::clone(&gate.requests), Arc::clone(&gate.open));
        let serve = move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let (requests, open) = (Arc::clone(&requests), Arc::clone(&open));
                let answer = move || {
                    // What is asked makes no difference.
                    let _ = stream.read(&mut [0; 1_024]);
                    requests.fetch_add(1, Ordering::Relaxed);
                    while !open.load(Ordering::Relaxed) {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
                };
                std::thread::Builder::new().name("answer".into()).spawn(answer).expect("a thread");
            }
        };
        // It ends with the process: nobody can make it stop waiting for connections.
        std::thread::Builder::new().name("gate".into()).spawn(serve).expect("a thread");
        gate
    }
}

/// Scenario: the host that leads is stopped for longer than its lease lasts, with traces that are open and traces that an exporter is just taking. Another one
/// leads and finishes all of them. Then the first one is continued, and its exporter takes what it had been given.
/// Guarantees: the first one acknowledges nothing, holds nothing, and stands by; it takes over again when the other ends.
#[test]
fn a_leader_that_was_paused_past_its_lease_settles_nothing_and_stands_by() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let gate = Gate::start();
    let first =
        HostBuilder::new(&redis.url()).set("TRACE_EXPORTER_TYPE", "otlp").set("TELEMETRY_ENDPOINT", &format!("127.0.0.1:{}", gate.port));
    let first = first.set("MESHTRACE_PARENT_WAIT", "1h").start();
    first.wait_until_running();
    let mut second = HostBuilder::new(&redis.url()).start();
    wait_until(&second, "standby");
    let (ids, entries) = numbered_traces(20);
    publish(&mut connection, STREAM, &entries);
    eventually("the exporter is asked", || (gate.requests.load(Ordering::Relaxed) > 0).then_some(()));
    publish(&mut connection, STREAM, &[span("orphan", "a", Some("gone"))]);
    eventually("a trace is open", || (first.get("/trace/orphan").status == 200).then_some(()));

    first.signal(libc::SIGSTOP);
    wait_until(&second, "leader");
    second.wait_for_exports(21);
    wait_until_settled(&mut connection, GROUP);
    let mut documents = second.json_files();
    assert!(documents.remove("orphan").is_some());
    assert_whole(&documents, &ids);
    gate.open.store(true, Ordering::Relaxed);
    first.signal(libc::SIGCONT);
    wait_until(&first, "standby");
    eventually("what it had given to the exporter is thrown away", || (first.counted("settlements_fenced") > 0).then_some(()));
    assert_eq!((first.counted("entries_acknowledged"), &first.status()["correlator"]["active_traces"]), (0, &json!(0)));
    assert_eq!(first.get("/trace/orphan").status, 503);

    assert!(second.terminate().success(), "{}", second.stderr());
    wait_until(&first, "leader");
    publish(&mut connection, STREAM, &[span("last", "a", None)]);
    eventually("it settles again", || (first.counted("entries_acknowledged") == 1).then_some(()));
    assert_eq!(pending(&mut connection, GROUP), 0);
}

/// Scenario: entries are given to a host that leads no longer, in the moment before it notices.
/// Guarantees: the one that leads reads them, and removes the other's name from the group.
#[test]
fn what_a_former_leader_was_given_is_read_by_the_one_that_leads() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let host = HostBuilder::new(&redis.url()).start();
    host.wait_until_running();
    let (ids, entries) = numbered_traces(5);
    // Nobody else can be faster.
    let mut giving = redis::pipe();
    giving.atomic();
    for fields in &entries {
        giving.xadd(STREAM, "*", fields);
    }
    giving.cmd("XREADGROUP").arg("GROUP").arg(GROUP).arg("meshtrace-former-1-1").arg("STREAMS").arg(STREAM).arg(">");
    giving.exec(&mut connection).expect("they are given");
    assert_eq!(pending(&mut connection, GROUP), entries.len());
    wait_until_settled(&mut connection, GROUP);
    assert_whole(&host.json_files(), &ids);
    eventually("its name is gone", || (consumers(&mut connection).len() == 1).then_some(()));
}

/// Scenario: alone on its stream, the host is stopped for longer than its lease lasts, while a trace goes on; then Redis is.
/// Guarantees: it goes on as if nothing had been: each trace comes out once, in one part.
#[test]
fn a_lease_that_ended_while_nobody_else_led_costs_nothing() {
    const PAUSE: Duration = Duration::from_millis(4_500);
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let host = HostBuilder::new(&redis.url()).set("MESHTRACE_QUIET_PERIOD", "10s").start();
    host.wait_until_running();
    publish(&mut connection, STREAM, &[span("t", "a", None)]);
    eventually("its beginning is known", || (host.get("/trace/t").status == 200).then_some(()));
    host.signal(libc::SIGSTOP);
    eventually("the lease has ended", || (!connection.exists::<_, bool>(LEASE).expect("EXISTS")).then_some(()));
    publish(&mut connection, STREAM, &[span("t", "b", Some("a"))]);
    host.signal(libc::SIGCONT);
    eventually("it has taken the lease again", || connection.exists::<_, bool>(LEASE).expect("EXISTS").then_some(()));
    redis.signal(libc::SIGSTOP);
    std::thread::sleep(PAUSE);
    redis.signal(libc::SIGCONT);
    publish(&mut connection, STREAM, &[span("t", "c", Some("a"))]);
    wait_until_settled(&mut connection, GROUP);
    assert_eq!(spans_of(&host.json_files()["t"]), BTreeSet::from(["a", "b", "c"]));
    let status = host.status();
    let counts = [&status["correlator"]["late_parts"], &status["exporter"]["exported_traces"], &status["consumer"]["role_changes"]];
    assert_eq!(counts, [&json!(0), &json!(1), &json!(1)]);
    assert_eq!(status["consumer"]["settlements_fenced"], 0);
}

/// Scenario: a trace is kept and one is dropped, and both are settled. The host is killed and started again, and then hands over to another one; each time
/// spans of both come late.
/// Guarantees: those of the first one join it as further parts, those of the other are dropped with a reason that says why; there is no second decision.
#[test]
fn late_spans_follow_the_old_decision_after_a_restart_and_after_a_take_over() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let json = tempfile::tempdir().expect("a directory");
    let plugins = PluginDir::new();
    plugins.put("judge.toml", "");
    plugins.put("judge.wasm", evil("judge"));
    let dir = plugins.path().display().to_string();
    let builder = || HostBuilder::new(&redis.url()).json_dir(json.path()).set("MESHTRACE_PLUGIN_DIR", &dir);
    let first = builder().start();
    publish(&mut connection, STREAM, &[lone("kept", "wanted"), lone("dropped", "unwanted")]);
    first.wait_for_exports(1);
    wait_until_settled(&mut connection, GROUP);
    std::fs::remove_dir_all(first.kill()).expect("the directory of the killed host");
    // Its lease does not end at once.
    let mut second = builder().start();
    wait_until(&second, "leader");
    let mut late = |host: &Host, span_id: &str| {
        publish(&mut connection, STREAM, &["kept", "dropped"].map(|id| span(id, span_id, Some("a"))));
        host.wait_for_exports(1);
        wait_until_settled(&mut connection, GROUP);
        let status = host.status();
        assert_eq!((&status["correlator"]["late_parts"], &status["filters"]["late_dropped"]), (&json!(2), &json!(1)));
        assert_eq!(status["filters"]["dropped"], 0, "nothing is decided anew");
        let decision = host.get("/trace/dropped/decision").json();
        assert_eq!(decision["filter"], "(journal)", "{decision}");
    };
    late(&second, "after a restart");
    let third = builder().start();
    wait_until(&third, "standby");
    assert!(second.terminate().success(), "{}", second.stderr());
    wait_until(&third, "leader");
    late(&third, "after a take-over");
    let documents = json_files(json.path());
    assert_eq!(documents.keys().collect::<Vec<_>>(), ["kept"]);
    assert_eq!(spans_of(&documents["kept"]), BTreeSet::from(["a", "after a restart", "after a take-over"]));
}

/// Scenario: somebody removes everything from Redis under the host that leads; a trace comes, and is settled; the host is killed, another one leads, and a span comes late.
/// Guarantees: it joins its trace: the one that leads can read what was journalled since.
#[test]
fn late_spans_follow_decisions_that_were_made_since_everything_was_removed() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let json = tempfile::tempdir().expect("a directory");
    let builder = || HostBuilder::new(&redis.url()).json_dir(json.path());
    let first = builder().start();
    publish(&mut connection, STREAM, &[lone("before", "work")]);
    first.wait_for_exports(1);
    wait_until_settled(&mut connection, GROUP);
    redis::cmd("FLUSHALL").exec(&mut connection).expect("FLUSHALL");
    publish(&mut connection, STREAM, &[lone("t", "work")]);
    first.wait_for_exports(2);
    wait_until_settled(&mut connection, GROUP);
    std::fs::remove_dir_all(first.kill()).expect("the directory of the killed host");
    let second = builder().start();
    wait_until(&second, "leader");
    publish(&mut connection, STREAM, &[span("t", "late", Some("a"))]);
    second.wait_for_exports(1);
    wait_until_settled(&mut connection, GROUP);
    assert_eq!(late_and_exported(&second), [Some(1), Some(1)]);
    assert_eq!(spans_of(&json_files(json.path())["t"]), BTreeSet::from(["a", "late"]));
}

/// What the status says of late parts and of traces that came out.
fn late_and_exported(host: &Host) -> [Option<u64>; 2] {
    let status = host.status();
    [&status["correlator"]["late_parts"], &status["exporter"]["exported_traces"]].map(|count| count.as_u64())
}

/// Scenario: Redis stands still for longer than the quiet period and than the lease lasts, in the middle of a trace; when it moves again, the other host leads. Then the same
/// with the host that leads killed meanwhile, and started again when Redis moves.
/// Guarantees: what is published after each pause belongs to the same trace, and not to a late part of it.
#[test]
fn a_redis_that_was_paused_splits_no_trace_for_whoever_leads_then() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let json = tempfile::tempdir().expect("a directory");
    let builder = || HostBuilder::new(&redis.url()).json_dir(json.path()).set("MESHTRACE_QUIET_PERIOD", "3s");
    let (first, second) = in_the_middle_of_a_trace(&mut connection, builder);
    redis.signal(libc::SIGSTOP);
    // So that it is the other one that leads.
    first.signal(libc::SIGSTOP);
    std::thread::sleep(Duration::from_millis(4_500));
    redis.signal(libc::SIGCONT);
    wait_until(&second, "leader");
    publish(&mut connection, STREAM, &[span("t", "b", Some("a"))]);
    let is_whole = |answer: &Answer| answer.status == 200 && spans_of(&answer.json()).len() == 2;
    eventually("it is known", || is_whole(&second.get("/trace/t")).then_some(()));
    redis.signal(libc::SIGSTOP);
    std::fs::remove_dir_all(second.kill()).expect("the directory of the killed host");
    std::fs::remove_dir_all(first.kill()).expect("the directory of the killed host");
    std::thread::sleep(Duration::from_millis(4_500));
    redis.signal(libc::SIGCONT);
    let third = builder().start();
    third.wait_until_running();
    publish(&mut connection, STREAM, &[span("t", "c", Some("a"))]);
    wait_until_settled(&mut connection, GROUP);
    third.wait_for_exports(1);
    assert_eq!(late_and_exported(&third), [Some(0), Some(1)]);
    assert_eq!(spans_of(&json_files(json.path())["t"]), BTreeSet::from(["a", "b", "c"]));
}

/// Scenario: the host that leads is killed in the middle of a trace. An entry of another trace comes, then Redis stands still for longer than the quiet period and
/// the lease last, then the trace goes on; only then the host that stood by leads.
/// Guarantees: what was published on either side of the standstill belongs to the same trace, and not to a late part of it.
#[test]
fn a_redis_that_was_paused_between_a_leaders_death_and_the_take_over_splits_no_trace() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let json = tempfile::tempdir().expect("a directory");
    let builder = || HostBuilder::new(&redis.url()).json_dir(json.path()).set("MESHTRACE_QUIET_PERIOD", "3s");
    let (first, second) = in_the_middle_of_a_trace(&mut connection, builder);
    std::fs::remove_dir_all(first.kill()).expect("the directory of the killed host");
    publish(&mut connection, STREAM, &[lone("other", "work"), span("t", "b", Some("a"))]);
    redis.signal(libc::SIGSTOP);
    std::thread::sleep(Duration::from_millis(4_500));
    redis.signal(libc::SIGCONT);
    publish(&mut connection, STREAM, &[span("t", "c", Some("a"))]);
    wait_until_settled(&mut connection, GROUP);
    second.wait_for_exports(2);
    assert_eq!(late_and_exported(&second), [Some(0), Some(2)]);
    assert_eq!(spans_of(&json_files(json.path())["t"]), BTreeSet::from(["a", "b", "c"]));
}

/// Scenario: again and again, a host that leads no longer is given a part of each trace, before or after the part that the leader is given, in the moment
/// before it notices.
/// Guarantees: no trace comes out without what the other was given.
#[test]
fn a_trace_of_which_a_former_leader_was_given_a_part_comes_out_whole() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let host = HostBuilder::new(&redis.url()).start();
    host.wait_until_running();
    for round in 0..6 {
        let id = format!("t{round}");
        let mut giving = redis::pipe();
        giving.atomic();
        giving.xadd(STREAM, "*", &span(&id, "a", None)).xadd(STREAM, "*", &span(&id, "b", Some("a")));
        giving
            .cmd("XREADGROUP")
            .arg("GROUP")
            .arg(GROUP)
            .arg("meshtrace-former-1-1")
            .arg("COUNT")
            .arg(2)
            .arg("STREAMS")
            .arg(STREAM)
            .arg(">");
        if round % 2 == 0 {
            giving.xadd(STREAM, "*", &span(&id, "c", Some("a")));
        } else {
            publish(&mut connection, STREAM, &[span(&id, "c", Some("a"))]);
            eventually("it is read", || (host.get(&format!("/trace/{id}")).status == 200).then_some(()));
        }
        giving.exec(&mut connection).expect("they are given");
    }
    wait_until_settled(&mut connection, GROUP);
    host.wait_for_exports(6);
    assert_eq!(late_and_exported(&host), [Some(0), Some(6)]);
    assert!(host.json_files().values().all(|trace| spans_of(trace) == BTreeSet::from(["a", "b", "c"])));
}
