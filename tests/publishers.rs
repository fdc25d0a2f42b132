//! The host's own listener and those who publish to it, unmodified.

use crate::support::events::{Fields, span, with};
use crate::support::free_port;
use crate::support::host::HostBuilder;
use crate::support::publishers::{Publisher, Target};

/// What a text has to survive.
const ODD: &str = "no seats\r\n\"left\"\té 日本 \u{1f600} $5";

fn traces_of(publisher: Publisher) -> Vec<Fields> {
    let id = format!("{publisher:?}");
    let failed = [("error", ODD), ("success", "False"), ("capability", "")];
    vec![with(span(&id, "child", Some("root")), &failed), with(span(&id, "root", None), &[("long", &"x".repeat(100_000))])]
}

/// Scenario: the listener is to be where others reach it, without a password; then with one; then without, because somebody says so.
/// Guarantees: the first start is refused, and says what was given and what to do; the others listen, the last one with a warning.
#[test]
fn where_others_reach_it_the_listener_asks_for_a_password_or_does_not_start() {
    let listening = |who: &str| HostBuilder::idle().set("REDIS_URL", &format!("embedded://{who}0.0.0.0:{}", free_port()));
    let warning = "everybody who can reach this address may send span events";
    let given = format!("0.0.0.0:{}", free_port());
    let said = HostBuilder::idle().set("REDIS_URL", &format!("embedded://{given}")).refused();
    let expected = format!(
        "meshtrace: REDIS_URL=embedded://{given}: others could reach the listener there and write whatever spans they like; ask for a password with \
         embedded://:PASSWORD@{given}, listen on {}, or start with --insecure-bind if something in front of it sees to who may write",
        given.replace("0.0.0.0", "127.0.0.1")
    );
    assert_eq!(said.lines().last(), Some(expected.as_str()));
    for (host, is_warned_of) in [(listening(":secret@"), false), (listening("").set("MESHTRACE_INSECURE_BIND", "true"), true)] {
        let host = host.start();
        host.wait_until_running();
        assert_eq!(host.stderr().contains(warning), is_warned_of, "{}", host.stderr());
    }
}

/// Scenario: redis-py, ioredis, node-redis, redis-cli and the redis crate publish to a listener with a password, all at once, each a trace whose child comes first.
/// Guarantees: each is given ids, and every trace comes out whole, with all its texts; the start says that it is all in memory.
#[test]
fn every_client_that_agents_have_publishes_unmodified() {
    let port = free_port();
    let target = Target {
        port,
        password: "secret".into(),
        stream: "mesh:trace".into(),
    };
    let host = HostBuilder::idle().set("REDIS_URL", &format!("embedded://:secret@127.0.0.1:{port}")).start();
    host.wait_until_running();
    let published = std::thread::scope(|scope| {
        let publish = |publisher: Publisher| {
            let target = &target;
            scope.spawn(move || publisher.publish(target, &traces_of(publisher)).map(|ids| (publisher, ids)))
        };
        let threads: Vec<_> = Publisher::ALL.into_iter().map(publish).collect();
        threads.into_iter().filter_map(|thread| thread.join().expect("it published")).collect::<Vec<_>>()
    });
    host.wait_for_exports(published.len() as u64);
    for (publisher, ids) in &published {
        assert!(ids.len() == 2 && ids.iter().all(|id| id.contains('-')), "{publisher:?} {ids:?}");
        let trace = host.get(&format!("/trace/{publisher:?}")).json();
        assert_eq!((&trace["complete"], &trace["span_count"]), (&true.into(), &2.into()), "{trace}");
        let spans = trace["spans"].as_array().expect("spans");
        let find = |id: &str| spans.iter().find(|span| span["span_id"] == id).unwrap_or_else(|| panic!("no {id} in {trace}"));
        assert_eq!(find("child")["error_message"], ODD, "{publisher:?}");
        assert_eq!(find("root")["attributes"]["long"].as_str().map(str::len), Some(100_000), "{publisher:?}");
    }
    let said = host.stderr();
    assert!(said.contains("in memory only: a crash or a kill loses every trace that was not exported"), "{said}");
}
