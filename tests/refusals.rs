//! A Redis that loses the group, or refuses for a while what the host needs.

use crate::support::events::{assert_whole, numbered_traces, publish};
use crate::support::eventually;
use crate::support::host::{Host, HostBuilder};
use crate::support::load::Load;
use crate::support::redis_server::{GROUP, RedisServer, STREAM, pending, wait_until_settled};

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
