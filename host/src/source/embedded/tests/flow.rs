//! From `XADD` to the settlement, and the end.

use std::time::Duration;

use tokio::sync::mpsc::error::TryRecvError;

use super::{Host, soon, until_held, xadd};
use crate::source::{Fate, SourceState};

#[tokio::test]
async fn an_entry_arrives_with_its_exact_fields_and_is_held_until_it_is_settled() {
    let mut host = Host::start(|_| ()).await;
    let mut client = host.client().await;
    let mut add = redis::cmd("XADD");
    add.arg(&["mesh:trace", "MAXLEN", "~", "100000", "*"]);
    add.arg(&["trace_id", "abc", "error", "", "operation", "a\r\nb\0", "trace_id", "again"]);
    let id: String = soon(add.query_async(&mut client)).await.unwrap();
    let entries = host.entries(1).await;
    let fields: Vec<(&str, &str)> = entries[0].fields.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(fields, [("trace_id", "abc"), ("error", ""), ("operation", "a\r\nb\0"), ("trace_id", "again")]);
    assert_eq!((entries[0].receipt.to_string(), entries[0].receipt.stream), (id, 0));
    until_held(&mut client, 1).await;
    host.until(|host| host.status.snapshot().held_bytes > 60).await;
    host.settle(entries, Fate::Delivered).await;
    until_held(&mut client, 0).await;
    host.until(|host| host.status.snapshot().held_bytes == 0).await;
    let status = host.status.snapshot();
    assert_eq!((status.entries_read, status.entries_acknowledged, status.entries_dead), (1, 1, 0));
    assert_eq!((status.state, status.stream.as_str()), (SourceState::Running, "mesh:trace"));
}

#[tokio::test]
async fn a_full_log_refuses_and_recovers_when_something_is_settled() {
    let mut host = Host::start(|config| config.bounds.held_bytes = 10_000).await;
    let mut client = host.client().await;
    let mut accepted = 0;
    let error = loop {
        match xadd(&mut client, &[b'x'; 1_000]).await {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((accepted, error.code()), (8, Some("OOM")), "{error}");
    assert_eq!(error.detail(), Some("command not allowed when used memory > 'maxmemory'."));
    assert!(host.status.snapshot().last_error.unwrap().contains("10000 bytes"));
    assert_eq!(host.status.snapshot().entries_refused, 1);
    let entries = host.entries(accepted).await;
    assert!(xadd(&mut client, &[b'x'; 1_000]).await.is_err(), "handing on makes no room");
    host.settle(entries, Fate::Delivered).await;
    until_held(&mut client, 0).await;
    host.until(|host| host.status.snapshot().last_error.is_none()).await;
    xadd(&mut client, &[b'x'; 1_000]).await.unwrap();
    host.entries(1).await;
}

#[tokio::test]
async fn nothing_is_handed_on_faster_than_it_is_taken() {
    let mut host = Host::start(|_| ()).await;
    let mut client = host.client().await;
    for _ in 0..50 {
        xadd(&mut client, b"value").await.unwrap();
    }
    // Nobody takes: four batches wait in the channel, the rest is held; then all of it comes, in order.
    host.entries(50).await;
}

#[tokio::test]
async fn stream_time_is_told_while_nothing_comes() {
    let mut host = Host::start(|_| ()).await;
    assert!(host.batch().await.unwrap().is_empty());
    let first_ms = host.watermark_ms;
    while host.watermark_ms < first_ms + 100 {
        assert!(host.batch().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn what_nobody_will_take_is_let_go_of_and_the_status_says_why() {
    let mut host = Host::start(|_| ()).await;
    let mut client = host.client().await;
    let id = xadd(&mut client, b"value").await.unwrap();
    let entries = host.entries(1).await;
    let dead = Fate::Dead {
        stage: "decode",
        plugin: None,
        reason: "no trace_id".into(),
        trace: None,
    };
    host.settle(entries, dead).await;
    host.until(|host| !host.status.snapshot().given_up.is_empty()).await;
    let status = host.status.snapshot();
    let told = &status.given_up[0];
    assert_eq!((&told.entry, told.entries, told.stage, told.reason.as_str()), (&id, 1, "decode", "no trace_id"));
    until_held(&mut client, 0).await;
    assert_eq!((status.entries_acknowledged, status.entries_dead), (1, 1));
}

#[tokio::test]
async fn a_stop_hands_on_what_was_accepted_and_then_waits_for_settlements() {
    let mut host = Host::start(|_| ()).await;
    let mut client = host.client().await;
    for _ in 0..10 {
        xadd(&mut client, b"value").await.unwrap();
    }
    host.stop.send(true).unwrap();
    let entries = host.entries(10).await;
    while let Some(late) = host.batch().await {
        assert!(late.is_empty());
    }
    assert!(xadd(&mut client, b"value").await.is_err(), "the connection has ended");
    assert!(tokio::net::TcpStream::connect(host.address).await.is_err(), "nobody listens");
    host.settle(entries, Fate::Delivered).await;
    host.until(|host| host.status.snapshot().entries_acknowledged == 10).await;
    assert_eq!(host.status.snapshot().state, SourceState::Running);
    drop(host.settlements);
    soon(host.running).await.unwrap();
    assert_eq!(host.status.snapshot().state, SourceState::Stopped);
}

#[tokio::test]
async fn a_stop_ends_though_nobody_takes_anything() {
    let mut host = Host::start(|config| config.bounds.stop_timeout = Duration::from_millis(10)).await;
    let mut client = host.client().await;
    // More than fits into the channel, so that it is full when the stop comes.
    host.until(|host| host.batches.len() == host.batches.max_capacity()).await;
    xadd(&mut client, b"value").await.unwrap();
    host.stop.send(true).unwrap();
    drop(host.settlements);
    soon(host.running).await.unwrap();
    assert_eq!(host.status.snapshot().entries_read, 0);
    while host.batches.try_recv().is_ok() {}
    assert_eq!(host.batches.try_recv().unwrap_err(), TryRecvError::Disconnected);
}
