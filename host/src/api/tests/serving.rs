//! Over real connections: how they are kept, and how serving ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::api::access::Access;
use crate::api::guard;
use crate::api::server::{Bounds, Server};
use crate::api::traffic::{End, Traffic};

pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes of the answer to `/large`: more than any two sockets hold.
pub(super) const LARGE: usize = 32 << 20;

/// A server of the test's own.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    pub(super) traffic: Arc<Traffic>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

/// All routes, and `/large`.
pub(super) async fn serve(change: impl FnOnce(&mut Bounds)) -> Running {
    let mut bounds = Bounds::default();
    change(&mut bounds);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let api = Api::new(state(store(), Fake::default()), ANSWER_TIMEOUT);
    let traffic = Arc::clone(&api.traffic);
    let routes = routes(api).merge(Router::new().route("/large", axum::routing::get(|| async { vec![b'x'; LARGE] })));
    let server = Server {
        router: guard::before(routes, Access::Local, &bounds, Arc::clone(&traffic)),
        tls: None,
        bounds,
        traffic: Arc::clone(&traffic),
    };
    let shutdown = async { stopped.await.unwrap_or_default() };
    #[expect(clippy::disallowed_methods, reason = "the test owns and awaits it")]
    let served = tokio::spawn(server.serve(listener, shutdown));
    Running { address, traffic, stop, served }
}

impl Running {
    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes on a connection of their own, and reads to its end: status, head, body.
    pub(super) async fn say(&self, bytes: &[u8]) -> (u16, String, Json) {
        let mut stream = self.connect().await;
        // It may be sent away while it still sends.
        let _ = stream.write_all(bytes).await;
        understood(&read_to_end(&mut stream).await)
    }

    /// Waits until so many connections have ended so.
    pub(super) async fn until_ended(&self, end: End, count: u64) {
        let ended = async {
            while self.traffic.count(end) < count {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, ended).await.unwrap_or_else(|_| panic!("{} have ended as {end:?}", self.traffic.count(end)));
    }
}

pub(super) async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

pub(super) fn body_bytes(answer: &str) -> usize {
    answer.split_once("\r\n\r\n").map_or(0, |(_, body)| body.len())
}

/// An answer taken apart: status, head, body.
pub(super) fn understood(answer: &str) -> (u16, String, Json) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_owned(), serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer:?}")))
}

/// Asks for health and keeps the connection.
async fn ask_and_stay(stream: &mut TcpStream) {
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(br#"{"status":"ok"}"#) {
        let count = timeout(PATIENCE, stream.read_buf(&mut answer)).await.unwrap().unwrap();
        assert!(count > 0, "it ended early: {}", answer.escape_ascii());
    }
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(timeout(PATIENCE, stream.read(&mut [0; 1024])).await.unwrap(), Ok(0) | Err(_))
}

#[tokio::test]
async fn a_connection_answers_one_request_after_another() {
    let server = serve(|_| ()).await;
    let mut stream = server.connect().await;
    for _ in 0..3 {
        ask_and_stay(&mut stream).await;
    }
    stream
        .write_all(b"HEAD /health HTTP/1.1\r\nhost: localhost\r\n\r\nGET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let answers = read_to_end(&mut stream).await;
    assert_eq!((answers.matches("200 OK").count(), answers.matches(r#"{"status":"ok"}"#).count()), (2, 1), "{answers}");
    drop(stream);
    server.until_ended(End::Done, 1).await;
    assert_eq!(server.traffic.answers(), [(200, 5)].into());
}

#[tokio::test]
async fn a_connection_that_asks_nothing_is_closed_without_a_word() {
    let server = serve(|bounds| bounds.idle = Duration::from_millis(50)).await;
    let mut silent = server.connect().await;
    let mut asked = server.connect().await;
    ask_and_stay(&mut asked).await;
    assert!(is_closed(&mut silent).await && is_closed(&mut asked).await);
    server.until_ended(End::Idle, 2).await;
    assert_eq!(server.traffic.open(), 0);
}

#[tokio::test]
async fn whoever_has_asked_nothing_for_longest_makes_room() {
    let server = serve(|bounds| bounds.connections = 2).await;
    let (mut older, mut newer) = (server.connect().await, server.connect().await);
    ask_and_stay(&mut newer).await;
    ask_and_stay(&mut older).await;
    let mut next = server.connect().await;
    ask_and_stay(&mut next).await;
    assert!(is_closed(&mut newer).await, "its last answer is the older one");
    ask_and_stay(&mut older).await;
    server.until_ended(End::Crowded, 1).await;
}

#[tokio::test]
async fn when_all_are_being_answered_the_next_is_told_so() {
    let server = serve(|bounds| bounds.connections = 1).await;
    let mut busy = server.connect().await;
    busy.write_all(b"GET /large HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    // The first byte of the answer is there, the last one cannot be.
    busy.readable().await.unwrap();
    let mut next = server.connect().await;
    let (status, head, body) = understood(&read_to_end(&mut next).await);
    assert_eq!((status, body), (503, json!({"error": "too many connections, try again"})));
    assert!(head.contains("retry-after: 1") && head.contains("connection: close"), "{head}");
    server.until_ended(End::Refused, 1).await;
    assert_eq!(body_bytes(&read_to_end(&mut busy).await), LARGE, "whoever is being answered gets all of it");
}

#[tokio::test]
async fn serving_ends_when_told_even_with_idle_and_stuck_connections() {
    let server = serve(|bounds| bounds.shutdown = Duration::from_millis(100)).await;
    let mut idle = server.connect().await;
    ask_and_stay(&mut idle).await;
    let mut stuck = server.connect().await;
    stuck.write_all(b"GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    stuck.readable().await.unwrap();
    server.stop.send(()).unwrap();
    timeout(PATIENCE, server.served).await.unwrap().unwrap();
    assert!(is_closed(&mut idle).await);
}
