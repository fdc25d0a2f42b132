//! How much, how many, how long.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Frame;
use tokio::io::AsyncWriteExt;

use super::super::*;
use super::guest::{Guest, OK, Server, body, head, request, uri};

#[tokio::test]
async fn only_so_many_requests_are_under_way() {
    let server = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok").await;
    let mut guest = Guest::of(&server, Limits { http_connections: 2, ..Limits::default() });
    let held = [guest.get(&uri(&server)).await.unwrap(), guest.get(&uri(&server)).await.unwrap()];
    assert!(matches!(guest.get(&uri(&server)).await, Err(Error::ConnectionLimitReached)));
    assert_eq!(guest.hits(Limit::HttpConnections), 1);
    drop(held);
    assert!(guest.get(&uri(&server)).await.is_ok(), "what was dropped is no longer under way");
}

/// Limits with a short time for HTTP.
fn hurried() -> Limits {
    Limits {
        http_time: Duration::from_millis(100),
        ..Limits::default()
    }
}

#[tokio::test]
async fn an_answer_that_never_ends_is_ended() {
    let server = Server::start(|mut stream| async move {
        head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
        while stream.write_all(b"1\r\nx\r\n").await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut guest = Guest::of(&server, hurried());
    let response = guest.get(&uri(&server)).await.unwrap();
    assert!(matches!(body(response).await, Err(Error::HttpResponseTimeout)));
    assert_eq!(guest.hits(Limit::HttpTime), 1);
}

#[tokio::test]
async fn an_answer_that_never_begins_or_stands_still_is_ended() {
    for beginning in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok"] {
        let server = Server::start(move |mut stream| async move {
            head(&mut stream).await;
            stream.write_all(beginning.as_bytes()).await.unwrap();
            head(&mut stream).await;
        })
        .await;
        let mut guest = Guest::of(&server, hurried());
        let ended = match guest.get(&uri(&server)).await {
            Ok(response) => body(response).await,
            Err(error) => Err(error),
        };
        assert!(matches!(ended, Err(Error::HttpResponseTimeout)), "{beginning:?}");
        assert_eq!(guest.hits(Limit::HttpTime), 1, "{beginning:?}");
    }
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_ended_too() {
    let (closed, mut closes) = tokio::sync::mpsc::channel(2);
    let server = Server::start(move |mut stream| {
        let closed = closed.clone();
        async move {
            head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok").await.unwrap();
            // Nothing more comes but the end.
            drop(head(&mut stream).await);
            closed.send(()).await.unwrap();
        }
    })
    .await;
    let limits = Limits { http_connections: 1, ..hurried() };
    let mut guest = Guest::of(&server, limits);
    let held = guest.get(&uri(&server)).await.unwrap();
    closes.recv().await.unwrap();
    assert_eq!(guest.hits(Limit::HttpTime), 1);
    let next = guest.get(&uri(&server)).await;
    assert!(next.is_ok(), "what was cut off is no longer under way");
    assert!(matches!(body(held).await, Err(Error::HttpResponseTimeout)));
    drop(next);
    assert_eq!((guest.hits(Limit::HttpTime), guest.hits(Limit::HttpConnections)), (1, 0));
}

#[tokio::test]
async fn the_guests_own_patience_may_be_shorter() {
    let server = Server::start(|mut stream| async move {
        let asked = head(&mut stream).await.unwrap_or_default();
        if asked.contains("/half") {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok").await.unwrap();
        }
        head(&mut stream).await;
    })
    .await;
    let short = RequestOptions {
        connect_timeout: None,
        first_byte_timeout: Some(Duration::from_millis(50)),
        between_bytes_timeout: Some(Duration::from_millis(50)),
    };
    let mut guest = Guest::of(&server, Limits::default());
    let mut send = |path: &str| {
        let request = request(&format!("http://server:{}{path}", server.address.port()), Bytes::new());
        Pin::from(guest.policy.send_request(request, Some(short), Box::new(async { Ok(()) })))
    };
    assert!(matches!(send("/none").await, Err(Error::ConnectionReadTimeout)));
    let (half, _) = send("/half").await.unwrap();
    assert!(matches!(body(half).await, Err(Error::ConnectionReadTimeout)));
    assert_eq!(guest.hits(Limit::HttpTime), 0);
}

#[tokio::test]
async fn bodies_have_their_limits() {
    let limits = || Limits {
        http_request_bytes: 10,
        http_response_bytes: 1,
        ..Limits::default()
    };
    let server = Server::answering(OK).await;
    let mut guest = Guest::of(&server, limits());
    let response = guest.get(&uri(&server)).await.unwrap();
    assert!(matches!(body(response).await, Err(Error::HttpResponseBodySize(Some(1)))));
    assert_eq!(guest.hits(Limit::HttpResponseBytes), 1);
    let pieces = Pieces(vec![Bytes::from_static(b"12345"); 3]).boxed_unsync();
    let sent = guest.send(Request::post(uri(&server)).body(pieces).unwrap()).await;
    assert!(matches!(sent, Err(Error::HttpRequestBodySize(Some(10)))), "{sent:?}");
    assert_eq!(guest.hits(Limit::HttpRequestBytes), 1);
}

/// A body of these pieces, whose length nobody knows before.
struct Pieces(Vec<Bytes>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<Option<Result<Frame<Bytes>, Error>>> {
        std::task::Poll::Ready(self.0.pop().map(|piece| Ok(Frame::data(piece))))
    }
}
