//! Clients that are broken, slow, too many, or mean harm.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tokio::io::AsyncWriteExt;

use super::{Host, ask, conversation, feed, packed, read_to_end, soon, xadd};
use crate::source::embedded::bounds;
use crate::source::embedded::conversation::Conversation;
use crate::source::embedded::fuzz::are_replies;

fn some_argument() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        "XADD",
        "mesh:trace",
        "*",
        "0-1",
        "5-*",
        "MAXLEN",
        "MINID",
        "LIMIT",
        "~",
        "=",
        "NOMKSTREAM",
        "HELLO",
        "2",
        "3",
        "AUTH",
        "default",
        "secret",
        "SETNAME",
        "CLIENT",
        "SETINFO",
        "GETNAME",
        "ID",
        "SELECT",
        "PING",
        "ECHO",
        "INFO",
        "COMMAND",
        "DOCS",
        "XLEN",
        "EXISTS",
        "TYPE",
        "RESET",
        "-1",
        "",
    ]);
    prop_oneof![4 => word.prop_map(|word| word.as_bytes().to_vec()), 1 => prop::collection::vec(any::<u8>(), 0..20)]
}

fn some_input() -> impl Strategy<Value = Vec<u8>> {
    let request =
        prop::collection::vec(some_argument(), 1..9).prop_map(|arguments| packed(&arguments.iter().map(Vec::as_slice).collect::<Vec<_>>()));
    prop_oneof![6 => request, 1 => prop::collection::vec(any::<u8>(), 0..60), 1 => "[*$0-9A-Z\r\n -]{0,30}".prop_map(String::into_bytes)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// No panic, no memory kept, replies that can be read, and the same ones however the bytes are cut.
    #[test]
    fn arbitrary_input_gives_readable_replies(inputs in prop::collection::vec(some_input(), 0..8), password: bool, cut in 1..50usize) {
        let change = |config: &mut crate::source::embedded::EmbeddedConfig| config.password = password.then(|| "secret".into());
        let bytes = inputs.concat();
        let (shared, mut whole) = conversation(change);
        let replies = feed(&mut whole, &bytes);
        prop_assert!(are_replies(&replies), "{}", replies.escape_ascii());
        let (_, mut pieces) = conversation(change);
        let mut cut_replies = Vec::new();
        for piece in bytes.chunks(cut) {
            cut_replies.extend(feed(&mut pieces, piece));
        }
        prop_assert_eq!(without_ids(&replies), without_ids(&cut_replies));
        drop(whole);
        prop_assert_eq!(shared.allowance.left(), shared.config.bounds.buffer_bytes);
    }
}

/// Ids given by the clock differ from run to run, all else does not.
fn without_ids(replies: &[u8]) -> String {
    let replies = replies.escape_ascii().to_string();
    replies.split(|byte: char| !byte.is_ascii_digit()).filter(|number| number.len() < 10 && number.len() != 2).collect::<Vec<_>>().join("/")
        + &replies.replace(|byte: char| byte.is_ascii_digit(), "")
}

#[tokio::test]
async fn garbage_ends_its_own_connection_and_no_other() {
    let mut host = Host::start(|_| ()).await;
    let mut client = host.client().await;
    let long = packed(&[b"XADD", b"mesh:trace", b"*", b"key", &vec![0; bounds::REQUEST_BYTES]]);
    let deep = b"*1\r\n".repeat(1_000_000);
    let noise: Vec<u8> = (0..100_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).filter(|byte| *byte != b'\n').collect();
    for garbage in [&long[..], &deep, &noise, b"*1\r\n$x\r\n", b"*99999999\r\n"] {
        let mut socket = host.socket().await;
        // It may be sent away while it still sends.
        let _ = socket.write_all(garbage).await;
        let reply = read_to_end(&mut socket).await;
        assert!(reply.starts_with("-ERR Protocol error: ") && reply.ends_with("\r\n"), "{reply}");
        xadd(&mut client, b"value").await.unwrap();
    }
    host.entries(5).await;
}

#[tokio::test]
async fn a_browser_is_sent_away() {
    let host = Host::start(|_| ()).await;
    let mut socket = host.socket().await;
    socket.write_all(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nXADD mesh:trace * key value\r\n").await.unwrap();
    assert_eq!(read_to_end(&mut socket).await, "");
    assert_eq!(host.status.snapshot().entries_read, 0);
}

#[tokio::test]
async fn of_three_hundred_connections_those_that_have_asked_last_are_served() {
    let mut host = Host::start(|_| ()).await;
    let mut first = host.socket().await;
    ask(&mut first, "PING\r\n", "+PONG\r\n").await;
    let mut silent = Vec::new();
    for _ in 1..256 {
        silent.push(host.socket().await);
    }
    // All of them are in when one that came behind them is.
    let mut last = host.socket().await;
    ask(&mut last, "PING\r\n", "+PONG\r\n").await;
    assert_eq!(read_to_end(&mut first).await, "-ERR max number of clients reached\r\n", "it had asked before the others came");
    let mut client = host.client().await;
    xadd(&mut client, b"value").await.unwrap();
    host.entries(1).await;
    let mut others = Vec::new();
    for socket in &mut silent[..43] {
        others.push(host.socket().await);
        ask(others.last_mut().unwrap(), "PING\r\n", "+PONG\r\n").await;
        assert_eq!(read_to_end(socket).await, "-ERR max number of clients reached\r\n");
    }
    ask(&mut last, "PING\r\n", "+PONG\r\n").await;
    ask(&mut silent[254], "PING\r\n", "+PONG\r\n").await;
}

#[tokio::test]
async fn who_does_not_authenticate_is_sent_away_and_who_does_may_be_silent() {
    let host = Host::start(|config| {
        config.password = Some("secret".into());
        config.bounds.login_timeout = Duration::from_secs(1);
    })
    .await;
    let mut known = host.socket().await;
    ask(&mut known, "AUTH secret\r\n", "+OK\r\n").await;
    let mut stranger = host.socket().await;
    assert_eq!(read_to_end(&mut stranger).await, "");
    assert_eq!(host.status.snapshot().connections_refused, 1);
    ask(&mut known, "PING\r\n", "+PONG\r\n").await;
}

#[tokio::test]
async fn strangers_take_the_places_of_strangers_whatever_they_do_and_never_of_who_has_authenticated() {
    let host = Host::start(|config| {
        config.password = Some("secret".into());
        config.bounds.connections = 4;
    })
    .await;
    let mut known = Vec::new();
    for _ in 0..3 {
        known.push(host.socket().await);
        ask(known.last_mut().unwrap(), "AUTH secret\r\n", "+OK\r\n").await;
    }
    let mut strangers = Vec::new();
    for words in ["", "PING\r\n", "AUTH wrong\r\n", "*1\r\n$x\r\n", "POST / HTTP/1.1\r\n"].repeat(4) {
        strangers.push(host.socket().await);
        // It may have been sent away already.
        let _ = strangers.last_mut().unwrap().write_all(words.as_bytes()).await;
    }
    // All of them are in when one that came behind them is.
    let mut last = host.socket().await;
    ask(&mut last, "AUTH secret\r\n", "+OK\r\n").await;
    for client in &mut known {
        ask(client, "PING\r\n", "+PONG\r\n").await;
    }
}

#[tokio::test]
async fn a_request_that_never_ends_is_given_up_and_an_idle_client_is_not() {
    let host = Host::start(|config| config.bounds.request_timeout = Duration::from_millis(50)).await;
    let mut idle = host.socket().await;
    ask(&mut idle, "PING\r\n", "+PONG\r\n").await;
    let mut half = host.socket().await;
    half.write_all(b"*2\r\n$4\r\nEC").await.unwrap();
    assert_eq!(read_to_end(&mut half).await, "");
    assert_eq!(host.status.snapshot().connections_refused, 1);
    ask(&mut idle, "PING\r\n", "+PONG\r\n").await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_given_up() {
    let host = Host::start(|config| config.bounds.write_timeout = Duration::from_millis(50)).await;
    let mut socket = host.socket().await;
    let questions = packed(&[b"ECHO", &[b'x'; bounds::ECHO_BYTES]]).repeat(1_000);
    // Until nobody takes any more: the host holds no more replies than it may, then it leaves.
    let gone = soon(async {
        loop {
            if let Err(error) = socket.write_all(&questions).await {
                break error;
            }
        }
    })
    .await;
    assert!(matches!(gone.kind(), std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe), "{gone}");
    ask(&mut host.socket().await, "PING\r\n", "+PONG\r\n").await;
}

/// The kernel's word for a connection's timer, out of `/proc/net/tcp`: 2 is one that asks now and then whether the other side lives.
fn timer(local: u16, remote: u16) -> Option<String> {
    let ports = |words: &[&str]| [1, 2].map(|at| u16::from_str_radix(words.get(at)?.rsplit(':').next()?, 16).ok());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let row =
        table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).find(|words| ports(words) == [Some(local), Some(remote)]);
    Some(row?.get(5)?.split(':').next()?.to_owned())
}

#[tokio::test]
async fn a_client_whose_machine_is_gone_will_be_noticed() {
    let host = Host::start(|_| ()).await;
    let mut socket = host.socket().await;
    ask(&mut socket, "PING\r\n", "+PONG\r\n").await;
    let remote = socket.local_addr().unwrap().port();
    // The timer stands for what was sent until that has been received.
    soon(async {
        while timer(host.address.port(), remote).as_deref() != Some("02") {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[test]
fn long_requests_share_one_allowance() {
    let (shared, mut first) = conversation(|config| config.bounds.buffer_bytes = 1 << 20);
    let mut second = Conversation::new(Arc::clone(&shared), 2);
    let long = packed(&[b"XADD", b"mesh:trace", b"*", b"key", &vec![b'x'; 1_000_000]]);
    assert_eq!(feed(&mut first, &long[..900_000]), b"");
    assert!(feed(&mut second, &long).starts_with(b"-OOM"));
    assert!(second.is_over());
    let mut third = Conversation::new(shared, 3);
    assert_eq!(feed(&mut third, b"PING\r\n"), b"+PONG\r\n", "short requests need none of it");
    assert!(feed(&mut first, &long[900_000..]).starts_with(b"$"));
}

#[test]
fn memory_of_a_long_request_is_given_back() {
    let (shared, mut conversation) = conversation(|_| ());
    let all = shared.config.bounds.buffer_bytes;
    let long = packed(&[b"XADD", b"mesh:trace", b"*", b"key", &vec![b'x'; 1_000_000]]);
    feed(&mut conversation, &long[..500_000]);
    assert!(shared.allowance.left() < all);
    assert!(feed(&mut conversation, &long[500_000..]).starts_with(b"$"));
    assert!(feed(&mut conversation, b"PING\r\n").starts_with(b"+PONG"));
    assert_eq!(shared.allowance.left(), all);
    feed(&mut conversation, &long[..500_000]);
    drop(conversation);
    assert_eq!(shared.allowance.left(), all);
    assert_eq!(Arc::strong_count(&shared), 1);
}
