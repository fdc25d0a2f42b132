//! Wall clocks that are set an hour ahead, and back: of Redis alone, and of the whole machine.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use redis::Connection;

use crate::support::clock::Clock;
use crate::support::events::{lone, publish, span, spans_of};
use crate::support::eventually;
use crate::support::host::{Host, HostBuilder, json_files};
use crate::support::redis_server::{GROUP, RedisServer, STREAM, wait_until_settled};

const HOUR_S: i64 = 3_600;
const QUIET: Duration = Duration::from_secs(2);
/// Shorter than the quiet period.
const STEP: Duration = Duration::from_millis(500);

/// The clock of Redis, in seconds.
fn clock_of(connection: &mut Connection) -> i64 {
    let (seconds, _): (i64, i64) = redis::cmd("TIME").query(connection).expect("TIME");
    seconds
}

/// Sets the clock, and sees that Redis has noticed.
fn jump(clock: &Clock, connection: &mut Connection, ahead_s: i64, by_s: i64) {
    let before = clock_of(connection);
    clock.set_ahead(ahead_s);
    let jumped = clock_of(connection) - before;
    assert!((jumped - by_s).abs() < HOUR_S / 2, "the clock of Redis jumped by {jumped} s");
}

fn on_this_clock(mut host: HostBuilder, clock: &Clock) -> HostBuilder {
    for (key, value) in clock.environment() {
        host = host.set(&key, &value);
    }
    host
}

#[track_caller]
fn wait_until_known(host: &Host, id: &str) {
    eventually("its beginning is known", || (host.get(&format!("/trace/{id}")).status == 200).then_some(()));
}

/// How many traces, and late parts of them, a host has exported. Where the clock has taken time for silence, a trace may be forgotten when the rest of it comes: then that is no late
/// part, and still another one.
fn came_out(host: &Host) -> u64 {
    host.status()["exporter"]["exported_traces"].as_u64().expect("a number")
}

/// Scenario: in the middle of one trace the clock is set an hour ahead, in the middle of the next one back again, then an hour behind, then right. Once that is the clock of Redis
/// only, once that of the host, too.
/// Guarantees: each trace comes out once, in one part, with all that was published at most a quiet period apart; none comes out before its quiet period is over; a
/// late span is known as one.
#[test]
fn a_clock_that_jumps_splits_no_trace_and_ends_no_quiet_period() {
    for is_of_the_host_too in [false, true] {
        let Some(clock) = Clock::new() else { return };
        let redis = RedisServer::start_by(&clock);
        let mut connection = redis.connect();
        let host = HostBuilder::new(&redis.url()).set("MESHTRACE_QUIET_PERIOD", "2s");
        let host = if is_of_the_host_too { on_this_clock(host, &clock) } else { host }.start();
        host.wait_until_running();
        let jumps = [(HOUR_S, HOUR_S), (0, -HOUR_S), (-HOUR_S, -HOUR_S), (0, HOUR_S)];
        for (number, (ahead_s, by_s)) in jumps.into_iter().enumerate() {
            let id = format!("t{number}");
            publish(&mut connection, STREAM, &[span(&id, "a", None)]);
            wait_until_known(&host, &id);
            jump(&clock, &mut connection, ahead_s, by_s);
            let mut last = Instant::now();
            for child in ["b", "c", "d", "e", "f"] {
                std::thread::sleep(STEP);
                last = Instant::now();
                publish(&mut connection, STREAM, &[span(&id, child, Some("a"))]);
            }
            host.wait_for_exports(number as u64 + 1);
            assert!(last.elapsed() + Duration::from_millis(2) > QUIET, "{id} came out {:?} after its last span", last.elapsed());
            wait_until_settled(&mut connection, GROUP);
            assert_eq!(spans_of(&host.json_files()[&id]), BTreeSet::from(["a", "b", "c", "d", "e", "f"]));
        }
        assert_eq!(host.status()["correlator"]["late_parts"], 0);
        assert_eq!(host.status()["exporter"]["exported_traces"], jumps.len());
        assert_eq!(host.stderr().matches("the clock of Redis jumped").count(), jumps.len(), "{}", host.stderr());
        publish(&mut connection, STREAM, &[span("t0", "late", Some("a"))]);
        wait_until_settled(&mut connection, GROUP);
        eventually("it is a late part", || (host.status()["correlator"]["late_parts"] == 1).then_some(()));
    }
}

/// Scenario: a host stands by when the clock of Redis is set an hour ahead, by which the lease ends, in the middle of a trace; then the one that leads is killed in the middle of the next
/// one, entries come that nobody reads, the clock is set again, ahead and back, and the trace goes on.
/// Guarantees: whoever leads then, each trace comes out in one part, whole.
#[test]
fn a_clock_that_jumps_while_the_lead_changes_splits_no_trace() {
    let Some(clock) = Clock::new() else { return };
    let redis = RedisServer::start_by(&clock);
    let mut connection = redis.connect();
    let json = tempfile::tempdir().expect("a directory");
    let builder = || HostBuilder::new(&redis.url()).json_dir(json.path()).set("MESHTRACE_QUIET_PERIOD", "2s");
    let mut hosts = vec![builder().start()];
    hosts[0].wait_until_running();
    hosts.push(builder().start());
    eventually("the other one stands by", || (hosts[1].consumer("role") == "standby").then_some(()));
    publish(&mut connection, STREAM, &[span("t0", "a", None)]);
    wait_until_known(&hosts[0], "t0");
    jump(&clock, &mut connection, HOUR_S, HOUR_S);
    publish(&mut connection, STREAM, &[span("t0", "b", Some("a"))]);
    wait_until_settled(&mut connection, GROUP);
    assert_eq!(hosts.iter().map(came_out).sum::<u64>(), 1, "in one part");

    for (number, (ahead_s, by_s)) in [(2 * HOUR_S, HOUR_S), (0, -2 * HOUR_S)].into_iter().enumerate() {
        let id = format!("t{}", number + 1);
        let leader = eventually("one of them leads", || hosts.iter().position(|host| host.consumer("role") == "leader"));
        publish(&mut connection, STREAM, &[span(&id, "a", None)]);
        wait_until_known(&hosts[leader], &id);
        std::fs::remove_dir_all(hosts.remove(leader).kill()).expect("the directory of the killed host");
        let before = came_out(&hosts[0]);
        publish(&mut connection, STREAM, &[lone(&format!("other-{number}"), "work"), span(&id, "b", Some("a"))]);
        jump(&clock, &mut connection, ahead_s, by_s);
        publish(&mut connection, STREAM, &[span(&id, "c", Some("a"))]);
        wait_until_settled(&mut connection, GROUP);
        eventually("they come out", || (came_out(&hosts[0]) >= before + 2).then_some(()));
        assert_eq!(came_out(&hosts[0]), before + 2, "each in one part");
        hosts.push(builder().start());
        eventually("the next one stands by", || (hosts[1].consumer("role") == "standby").then_some(()));
    }
    let documents = json_files(json.path());
    let spans = ["t0", "t1", "t2"].map(|id| spans_of(&documents[id]).len());
    assert_eq!((spans, documents.len()), ([2, 3, 3], 5));
}
