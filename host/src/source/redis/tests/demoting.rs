//! A server that is made a replica, and lets nobody go who is connected to it.

use tokio::task::JoinSet;

use super::super::{connect, upkeep};
use super::*;

/// Connections that the server has ever taken.
async fn connections(host: &mut Host) -> u64 {
    let told: String = host.run("INFO stats").await;
    let number = told.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
    number.and_then(|number| number.trim().parse().ok()).expect("a number of connections")
}

#[tokio::test]
async fn whoever_looks_after_the_stream_connects_anew_when_its_server_is_made_a_replica() {
    let server = Server::start();
    let mut host = Host::on(&server, "a").await;
    host.lead().await;
    host.read(1).await;
    let (_stop, stopping) = watch::channel(false);
    let (shared, settled) = (Arc::clone(&host.shared), host.shared.keys.settled.clone());
    let mut running = JoinSet::new();
    running.spawn(async move { upkeep::run(&shared, stopping).await });
    eventually("it has looked", async || host.run(&format!("EXISTS {settled}")).await).await;
    let before = connections(&mut host).await;
    // Nobody is there, so it stays as it is, and reads no more than that.
    host.run::<()>("REPLICAOF 127.0.0.1 1").await;
    eventually("it connects anew", async || connections(&mut host).await > before).await;
}

#[tokio::test]
async fn a_server_that_takes_no_writes_is_known_by_its_answer_to_one_command_or_to_many() {
    let server = Server::start();
    let mut host = Host::on(&server, "a").await;
    host.run::<()>("REPLICAOF 127.0.0.1 1").await;
    let (mut alone, mut pipeline) = (redis::cmd("SET"), redis::pipe());
    alone.arg("key").arg("value");
    pipeline.cmd("TIME").add_command(alone.clone());
    let mut transaction = pipeline.clone();
    transaction.atomic();
    let script = redis::Script::new("return redis.call('SET', 'key', 'value')");
    let refused = [
        alone.exec_async(&mut host.connection).await,
        pipeline.exec_async(&mut host.connection).await,
        transaction.exec_async(&mut host.connection).await,
        script.invoke_async(&mut host.connection).await,
    ];
    for refused in refused {
        let error = refused.expect_err("it is a replica");
        assert!(connect::is_of_no_use(&error), "{error}");
    }
    let wrong = host.connection.send_packed_command(&redis::cmd("NO-SUCH-COMMAND")).await.and_then(redis::Value::extract_error);
    assert!(!connect::is_of_no_use(&wrong.expect_err("there is none")));
}
