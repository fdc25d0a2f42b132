//! A Redis that loses the group, or refuses for a while what the host needs.

use crate::support::events::{assert_whole, numbered_traces, publish};
use crate::support::eventually;
use crate::support::foreign::read_and_leave;
use crate::support::host::{Host, HostBuilder};
use crate::support::load::Load;
use crate::support::redis_server::{DEAD, GROUP, RedisServer, STREAM, consumers, pending, wait_until_settled};
use redis::Commands;

/// Scenario: the group is removed while traces come in; when all is settled, the stream is removed with all that belongs to it, and traces come again.
/// Guarantees: the group is made again, and every trace comes out with exactly its spans; nothing stays pending.
#[test]
fn a_group_or_a_stream_that_is_removed_is_made_again_and_nothing_in_the_log_is_lost() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let host = HostBuilder::new(&redis.url()).start();
    host.wait_until_running();
    let load = Load::start(&redis);
    for round in 1..=3 {
        host.wait_for_exports(round * 40);
        redis::cmd("XGROUP").arg("DESTROY").arg(STREAM).arg(GROUP).exec(&mut connection).expect("XGROUP DESTROY");
    }
    host.wait_for_exports(200);
    let mut ids = load.end();
    wait_until_settled(&mut connection, GROUP);
    redis::cmd("DEL").arg(STREAM).exec(&mut connection).expect("DEL");
    let more: Vec<String> = (0..20).map(|number| format!("again-{number:02}")).collect();
    let entries: Vec<_> = more.iter().flat_map(|id| numbered_traces(1).1.into_iter().map(move |span| renamed(span, id))).collect();
    publish(&mut connection, STREAM, &entries);
    wait_until_settled(&mut connection, GROUP);
    ids.extend(more);
    ids.sort_unstable();
    assert_whole(&host.json_files(), &ids);
}

/// Scenario: Redis is killed after traces have been settled, and started again from what it had written down before that.
/// Guarantees: what is pending again is read again, by the host that runs all the while; every trace comes out with exactly its spans, and nothing stays
/// pending.
#[test]
fn acknowledgements_that_redis_has_forgotten_are_made_again() {
    let mut redis = RedisServer::start();
    let mut connection = redis.connect();
    let host = HostBuilder::new(&redis.url()).set("MESHTRACE_QUIET_PERIOD", "1s").start();
    host.wait_until_running();
    let (ids, entries) = numbered_traces(20);
    let (before, after) = entries.split_at(30);
    publish(&mut connection, STREAM, before);
    eventually("they are pending", || (pending(&mut connection, GROUP) == 30).then_some(()));
    redis::cmd("SAVE").exec(&mut connection).expect("SAVE");
    wait_until_settled(&mut connection, GROUP);
    redis.kill();
    redis.restart();
    let mut connection = redis.connect();
    assert_eq!(pending(&mut connection, GROUP), 30, "it has forgotten");
    publish(&mut connection, STREAM, after);
    wait_until_settled(&mut connection, GROUP);
    assert_whole(&host.json_files(), &ids);
}

fn renamed(fields: Vec<(String, String)>, trace: &str) -> Vec<(String, String)> {
    crate::support::events::with(fields, &[("trace_id", trace)])
}

/// Waits until the status tells of this error.
#[track_caller]
fn told(host: &Host, error: &str) {
    eventually(&format!("the status tells of {error}"), || host.consumer("last_error").to_lowercase().contains(error).then_some(()));
}

/// Scenario: Redis takes the permission to run scripts from the host; then to read; then it becomes a replica that cannot be written; then it wants another
/// password. Each time with traces that are open, and mended after the host has noticed.
/// Guarantees: the status says what Redis says, and afterwards nothing any more; every trace comes out with exactly its spans, and nothing stays pending.
#[test]
fn what_redis_refuses_for_a_while_is_told_and_waited_for() {
    let mut redis = RedisServer::start();
    redis.path = format!("agent:secret@127.0.0.1:{}/", redis.port);
    let mut admin =
        redis::Client::open(format!("redis://127.0.0.1:{}/", redis.port)).expect("a URL").get_connection().expect("a connection");
    let mut run = |command: &str| {
        let mut parts = command.split(' ');
        let mut command = redis::cmd(parts.next().unwrap_or_default());
        for part in parts {
            command.arg(part);
        }
        command.exec(&mut admin).expect("it is done");
    };
    run("ACL SETUSER agent on >secret ~* &* +@all");
    let host = HostBuilder::new(&redis.url()).set("MESHTRACE_QUIET_PERIOD", "500ms").start();
    host.wait_until_running();
    let mut connection = redis.connect();
    let (ids, entries) = numbered_traces(40);
    let cut = "CLIENT KILL USER agent";
    for ((refusal, mended, error), spans) in [
        (vec!["ACL SETUSER agent -evalsha -eval"], vec!["ACL SETUSER agent +evalsha +eval"], "evalsha"),
        (vec!["ACL SETUSER agent -xreadgroup"], vec!["ACL SETUSER agent +xreadgroup"], "xreadgroup"),
        (vec!["REPLICAOF 127.0.0.1 1"], vec!["REPLICAOF NO ONE"], "read only replica"),
        (vec!["ACL SETUSER agent resetpass >other", cut], vec!["ACL SETUSER agent resetpass >secret"], "password"),
    ]
    .into_iter()
    .zip(entries.chunks(30))
    {
        publish(&mut connection, STREAM, spans);
        refusal.into_iter().for_each(&mut run);
        told(&host, error);
        mended.into_iter().for_each(&mut run);
        connection = redis.connect();
        wait_until_settled(&mut connection, GROUP);
        host.wait_until_running();
        eventually("there is no error any more", || host.consumer("last_error").is_empty().then_some(()));
    }
    assert_whole(&host.json_files(), &ids);
}

/// The arguments of the documented `ACL SETUSER`.
fn documented_user() -> Vec<&'static str> {
    let standby = include_str!("../docs/STANDBY.md");
    let from = standby.find("ACL SETUSER meshtrace ").expect("the documented user");
    standby[from..].split("```").next().expect("its end").split_whitespace().skip(1).collect()
}

/// Scenario: the host may do what is documented that it needs, and nothing else; a consumer that is gone has left entries pending, one of them is no span
/// event, and the stream is trimmed.
/// Guarantees: every trace comes out, the dead letter is written, the stray consumer is cleared away, how far all is settled is written down; Redis
/// refuses nothing, neither to the host nor to `meshtrace dead`.
#[test]
fn what_is_documented_to_be_needed_of_redis_is_enough() {
    let mut redis = RedisServer::start();
    let mut admin = redis.connect();
    redis::cmd("ACL").arg(documented_user()).exec(&mut admin).expect("ACL SETUSER");
    let (ids, entries) = numbered_traces(20);
    crate::support::redis_server::make_group(&mut admin);
    publish(&mut admin, STREAM, &entries[..30]);
    admin.xadd::<_, _, _, _, String>(STREAM, "*", &[("no", "event")]).expect("XADD");
    publish(&mut admin, STREAM, &entries[30..59]);
    assert_eq!(read_and_leave(&redis, "meshtrace-gone-1", 40).len(), 40);
    redis.path = format!("meshtrace:PASSWORD@127.0.0.1:{}/", redis.port);
    let mut host = HostBuilder::new(&redis.url()).set("MCP_MESH_TRACE_RETENTION", "1h").start();
    host.wait_for_exports(ids.len() as u64);
    wait_until_settled(&mut admin, GROUP);
    assert_eq!(admin.xlen::<_, usize>(DEAD).expect("XLEN"), 1);
    // It was paused where it had asked for more, and goes on, and ends.
    let mut straying = redis::pipe();
    straying.atomic().xadd(STREAM, "*", &entries[59]);
    straying.cmd("XREADGROUP").arg("GROUP").arg(GROUP).arg("meshtrace-gone-2").arg("STREAMS").arg(STREAM).arg(">");
    straying.exec(&mut admin).expect("it is given something");
    eventually("consumers that are gone are cleared away", || (consumers(&mut admin).len() == 1).then_some(()));
    wait_until_settled(&mut admin, GROUP);
    eventually("how far all is settled is written down", || {
        admin.exists::<_, bool>(format!("{{{STREAM}}}:settled:{GROUP}")).expect("EXISTS").then_some(())
    });
    assert_whole(&host.json_files(), &ids);
    let retried = HostBuilder::new(&redis.url()).arguments(&["dead", "retry", "--all"]).ended();
    assert!(retried.success, "{}", retried.stderr);
    eventually("it is a dead letter again", || (host.counted("entries_dead") == 2).then_some(()));
    let dropped = HostBuilder::new(&redis.url()).arguments(&["dead", "drop", "--all", "--yes"]).ended();
    assert!(dropped.success, "{}", dropped.stderr);
    assert!(host.terminate().success());
    let refused: Vec<redis::Value> = redis::cmd("ACL").arg("LOG").query(&mut admin).expect("ACL LOG");
    assert!(refused.is_empty(), "{refused:?}");
    assert!(!host.stderr().contains("refuses"), "{}", host.stderr());
}

/// Scenario: the host may not ask what it looks at every five seconds.
/// Guarantees: the log says once what is not done; what comes after it is done all the same.
#[test]
fn a_part_of_the_upkeep_that_is_refused_stops_no_other() {
    let mut redis = RedisServer::start();
    let mut admin = redis.connect();
    redis::cmd("ACL").arg(documented_user()).arg("-exists").exec(&mut admin).expect("ACL SETUSER");
    let (ids, entries) = numbered_traces(5);
    redis.path = format!("meshtrace:PASSWORD@127.0.0.1:{}/", redis.port);
    let host = HostBuilder::new(&redis.url()).start();
    publish(&mut admin, STREAM, &entries);
    host.wait_for_exports(ids.len() as u64);
    eventually("how far all is settled is written down", || {
        admin.exists::<_, bool>(format!("{{{STREAM}}}:settled:{GROUP}")).expect("EXISTS").then_some(())
    });
    let said = "how long the log can wait is not known until it takes it";
    eventually("what is refused is told", || host.stderr().contains(said).then_some(()));
    eventually("the journal is looked at again and again", || {
        let stats: String = redis::cmd("INFO").arg("commandstats").query(&mut admin).expect("INFO");
        let set =
            stats.lines().find_map(|line| line.strip_prefix("cmdstat_xinfo|consumers:calls=")).and_then(|rest| rest.split(',').next());
        set.and_then(|calls| calls.parse::<u32>().ok()).filter(|calls| *calls >= 4)
    });
    assert_eq!(host.stderr().matches(said).count(), 1);
}
