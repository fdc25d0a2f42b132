//! Over real connections: what they may take, and how serving ends.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::api::connection::Bounds;

const PATIENCE: Duration = Duration::from_secs(10);

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
}

async fn server(connections: usize, silence: Duration) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let router = router(state(store(), Fake::default()));
    let shutdown = async { stopped.await.unwrap_or_default() };
    #[expect(clippy::disallowed_methods, reason = "the test owns and awaits it")]
    let served = tokio::spawn(crate::api::serve_within(Bounds { connections, silence }, listener, router, shutdown));
    Server { address, stop, served }
}

/// Asks for health and reads to the end of the connection.
async fn ask_and_close(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

#[tokio::test]
async fn a_silent_connection_is_closed_and_makes_room_for_the_next() {
    let server = server(1, Duration::from_millis(100)).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    silent.write_all(b"GET /health HTTP/1.1\r\n").await.unwrap();
    // Accepted only when the first connection is gone.
    let mut next = TcpStream::connect(server.address).await.unwrap();
    assert!(ask_and_close(&mut next).await.starts_with("HTTP/1.1 200 OK"));
    let read = timeout(PATIENCE, silent.read(&mut [0; 1024])).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)), "closed, without an answer: {read:?}");
}

#[tokio::test]
async fn serving_ends_when_told_even_with_an_idle_connection() {
    let server = server(8, PATIENCE).await;
    let idle = TcpStream::connect(server.address).await.unwrap();
    let mut busy = TcpStream::connect(server.address).await.unwrap();
    assert!(ask_and_close(&mut busy).await.ends_with(r#"{"status":"ok"}"#));
    server.stop.send(()).unwrap();
    timeout(PATIENCE, server.served).await.unwrap().unwrap().unwrap();
    drop(idle);
}
