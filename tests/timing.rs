//! Quiet is judged by the stream's time: pauses cut no trace in two, and a finished trace does not wait.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::support::events::{publish, span, spans_of};
use crate::support::host::{Host, HostBuilder};
use crate::support::redis_server::{GROUP, RedisServer, STREAM, wait_until_settled};
use crate::support::{PATIENCE, eventually};

const QUIET: Duration = Duration::from_secs(2);
/// Shorter than the quiet period.
const STEP: Duration = Duration::from_millis(500);

fn host(redis: &RedisServer) -> Host {
    let host = HostBuilder::new(&redis.url()).set("MESHTRACE_QUIET_PERIOD", "2s").start();
    host.wait_until_running();
    host
}

/// The trace came out once, with these spans.
#[track_caller]
fn assert_one_part(host: &Host, id: &str, spans: BTreeSet<&str>) {
    let status = host.status();
    let counts = [&status["correlator"]["late_parts"], &status["exporter"]["exported_traces"]].map(|count| count.as_u64());
    assert_eq!(counts, [Some(0), Some(1)]);
    assert_eq!(spans_of(&host.json_files()[id]), spans);
}

/// Scenario: the host is stopped for longer than the quiet period, while a trace goes on.
/// Guarantees: the trace comes out in one part, whole.
#[test]
fn a_host_that_was_paused_cuts_no_trace_in_two() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let host = host(&redis);
    publish(&mut connection, STREAM, &[span("t", "a", None)]);
    eventually("its beginning is known", || (host.get("/trace/t").status == 200).then_some(()));
    host.signal(libc::SIGSTOP);
    let paused = Instant::now();
    for id in ["b", "c", "d", "e", "f", "g"] {
        std::thread::sleep(STEP);
        publish(&mut connection, STREAM, &[span("t", id, Some("a"))]);
    }
    assert!(paused.elapsed() > QUIET);
    host.signal(libc::SIGCONT);
    wait_until_settled(&mut connection, GROUP);
    assert_one_part(&host, "t", BTreeSet::from(["a", "b", "c", "d", "e", "f", "g"]));
}

/// Scenario: Redis stands still, by DEBUG SLEEP and by SIGSTOP, in the middle of traces that began less than a quiet period before.
/// Guarantees: nothing comes out meanwhile; what agents publish as soon as Redis moves again belongs to the same trace, not to a late part of
/// it; no connection is given up.
#[test]
fn a_redis_that_was_paused_splits_no_trace() {
    let redis = RedisServer::start_with(&["--enable-debug-command", "yes"]);
    let mut connection = redis.connect();
    let host = host(&redis);
    for (id, by_signal) in [("slept", false), ("stopped", true)] {
        publish(&mut connection, STREAM, &[span(id, "a", None)]);
        eventually("its beginning is known", || (host.get(&format!("/trace/{id}")).status == 200).then_some(()));
        if by_signal {
            redis.signal(libc::SIGSTOP);
            std::thread::sleep(QUIET + STEP);
            assert!(!host.json_files().contains_key(id));
            redis.signal(libc::SIGCONT);
        } else {
            redis::cmd("DEBUG").arg("SLEEP").arg(2.5).exec(&mut connection).expect("DEBUG SLEEP");
        }
        publish(&mut connection, STREAM, &[span(id, "b", Some("a"))]);
        wait_until_settled(&mut connection, GROUP);
        eventually("the whole trace is in its file", || (spans_of(host.json_files().get(id)?) == BTreeSet::from(["a", "b"])).then_some(()));
        assert_eq!(spans_of(&host.get(&format!("/trace/{id}")).json()), BTreeSet::from(["a", "b"]));
    }
    assert_eq!(host.status()["correlator"]["late_parts"], 0);
    assert_eq!(host.counted("disconnects"), 0);
}

/// Scenario: traces of one span, one after the other, each published when the one before has come out.
/// Guarantees: none comes out before its quiet period has passed; on a machine that has time for it one is whole within 100 ms after, over HTTP. Where every
/// one was late by more the machine may have been busy, so this goes on until one is in time; but a host that looked only now and then would be late each time
/// by the same, as its looks would have published the next.
#[test]
fn a_complete_trace_comes_out_when_its_quiet_period_is_over() {
    const SHORT: Duration = Duration::from_millis(300);
    const ON_TIME: Duration = Duration::from_millis(100);
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let host = HostBuilder::new(&redis.url()).set("TRACE_EXPORTER_TYPE", "none").set("TRACE_ENABLE_STATS", "false").start();
    host.wait_until_running();
    let mut soonest = PATIENCE;
    let start = Instant::now();
    for number in 1.. {
        let published = Instant::now();
        publish(&mut connection, STREAM, &[span(&format!("t{number}"), "a", None)]);
        let path = format!("/trace/t{number}");
        while host.get(&path).status == 404 || host.get(&path).json()["complete"] != true {
            assert!(published.elapsed() < PATIENCE, "{path} does not come out");
            std::thread::sleep(Duration::from_millis(1));
        }
        let waited = published.elapsed();
        // Redis stamps whole milliseconds.
        assert!(waited + Duration::from_millis(2) > SHORT, "{waited:?}");
        soonest = soonest.min(waited);
        if soonest <= SHORT + ON_TIME {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "the soonest of {number} took {soonest:?}");
    }
}
