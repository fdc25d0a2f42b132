//! Requests of a guest against servers on this machine: where they go.

mod guest;
mod limits;

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use self::guest::{Guest, OK, Server, body, head, request};
use super::*;
use crate::plugin::HttpGrant;

#[tokio::test]
async fn what_is_not_granted_is_denied_with_the_line_that_grants_it() {
    let server = Server::answering(OK).await;
    let mut guest = Guest::of(&server, Limits::default());
    for uri in ["http://evil.example/", "http://server/", "https://evil.example:1/"] {
        assert!(matches!(guest.get(uri).await, Err(Error::HttpRequestDenied)), "{uri}");
    }
    guest.get("http://evil.example/again").await.unwrap_err();
    let denial = |name: &str, count| (format!("HTTP to {name}"), format!("http = [\"{name}\"]"), count);
    assert_eq!(guest.denials(), [denial("evil.example:1", 1), denial("evil.example:80", 2), denial("server:80", 1)]);
    assert_eq!((server.connections(), guest.asked.load(Ordering::SeqCst)), (0, 0), "nothing was asked, the resolver neither");
}

#[tokio::test]
async fn requests_that_hide_their_destination_are_none() {
    let server = Server::answering(OK).await;
    let mut guest = Guest::of(&server, Limits::default());
    let port = server.address.port();
    let smuggled = guest.get(&format!("http://evil.example@server:{port}/")).await;
    assert!(matches!(smuggled, Err(Error::HttpRequestUriInvalid)));
    let mut tunnel = request(&guest::uri(&server), Bytes::new());
    *tunnel.method_mut() = Method::CONNECT;
    assert!(matches!(guest.send(tunnel).await, Err(Error::HttpRequestMethodInvalid)));
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_name_that_leads_to_this_machine_is_not_connected_to() {
    let server = Server::answering(OK).await;
    let port = server.address.port();
    let granted = HttpGrant::parse(&format!("localhost.example:{port}"), false).unwrap();
    let mut guest = Guest::new(vec![granted], Limits::default(), &[&[server.address]]);
    let sent = guest.get(&format!("http://localhost.example:{port}/")).await;
    assert!(matches!(sent, Err(Error::DestinationIpProhibited)));
    let what = format!("HTTP to localhost.example:{port} at 127.0.0.1");
    let grant = format!("http = [\"localhost.example:{port}\", \"127.0.0.1:{port}\"]");
    assert_eq!(guest.denials(), [(what, grant, 1)]);
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn what_was_checked_is_what_is_connected_to() {
    let (granted, other) = (Server::answering(OK).await, Server::answering(OK).await);
    let port = granted.address.port();
    let grants = [format!("name.example:{port}"), format!("127.0.0.1:{port}")].map(|text| HttpGrant::parse(&text, false).unwrap());
    // The second answer is what an attacker's name server would give once the check is over.
    let mut guest = Guest::new(grants.to_vec(), Limits::default(), &[&[granted.address], &[other.address]]);
    let response = guest.get(&format!("http://name.example:{port}/")).await.unwrap();
    assert_eq!(body(response).await.unwrap(), "ok");
    assert_eq!((guest.asked.load(Ordering::SeqCst), granted.connections(), other.connections()), (1, 1, 0));
}

#[tokio::test]
async fn a_redirect_is_an_answer_like_any_other() {
    let server = Server::answering("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n").await;
    let mut guest = Guest::of(&server, Limits::default());
    let response = guest.get(&guest::uri(&server)).await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["location"].to_str().unwrap()), (302, "http://127.0.0.1:1/"));
    assert!(matches!(guest.get("http://127.0.0.1:1/").await, Err(Error::HttpRequestDenied)));
}

#[tokio::test]
async fn requests_one_after_another_share_a_connection() {
    for answer in [OK, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"] {
        let server = Server::answering(answer).await;
        let mut guest = Guest::of(&server, Limits { http_connections: 1, ..Limits::default() });
        for _ in 0..5 {
            let response = guest.get(&guest::uri(&server)).await.unwrap();
            assert_eq!(body(response).await.unwrap(), "ok");
        }
        assert_eq!((server.connections(), guest.asked.load(Ordering::SeqCst)), (1, 1));
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_replaced() {
    let server = Server::start(|mut stream| async move {
        head(&mut stream).await;
        stream.write_all(OK.as_bytes()).await.unwrap();
    })
    .await;
    let mut guest = Guest::of(&server, Limits::default());
    for round in 1..5 {
        let response = guest.get(&guest::uri(&server)).await.unwrap();
        assert_eq!((body(response).await.unwrap().as_ref(), server.connections()), (&b"ok"[..], round));
    }
}

#[tokio::test]
async fn the_request_arrives_as_it_was_meant() {
    let (seen, mut heads) = tokio::sync::mpsc::channel(1);
    let server = Server::start(move |mut stream| {
        let seen = seen.clone();
        async move {
            let head = head(&mut stream).await.unwrap();
            let mut body = [0; 4];
            stream.read_exact(&mut body).await.unwrap();
            stream.write_all(OK.as_bytes()).await.unwrap();
            seen.send((head, body)).await.unwrap();
        }
    })
    .await;
    let mut guest = Guest::of(&server, Limits::default());
    guest.send(request(&guest::uri(&server), "body".into())).await.unwrap();
    let (head, body) = heads.recv().await.unwrap();
    assert_eq!(head, "POST /v1/traces?a=b HTTP/1.1\r\nhost: server\r\ncontent-length: 4\r\n\r\n");
    assert_eq!(&body, b"body");
}

#[tokio::test]
async fn nobody_there_and_nobody_known_are_ordinary_errors() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let grants = || vec![HttpGrant::parse(&format!("server:{port}"), true).unwrap()];
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let uri = format!("http://server:{port}/");
    assert!(matches!(Guest::new(grants(), Limits::default(), &[&[address]]).get(&uri).await, Err(Error::ConnectionRefused)));
    assert!(matches!(Guest::new(grants(), Limits::default(), &[&[]]).get(&uri).await, Err(Error::DnsError { .. })));
    let closing = Server::start(|mut stream| async move {
        head(&mut stream).await;
    })
    .await;
    let sent = Guest::of(&closing, Limits::default()).get(&guest::uri(&closing)).await;
    assert!(matches!(sent, Err(Error::ConnectionTerminated)));
    let odd = Server::answering("SMTP\r\n\r\n").await;
    let sent = Guest::of(&odd, Limits::default()).get(&guest::uri(&odd)).await;
    assert!(matches!(sent, Err(Error::HttpProtocolError)));
}

#[test]
fn grants_are_read_and_what_is_none_is_refused() {
    let grant = |host: &str, port, private| HttpGrant { host: host.into(), port, private };
    assert_eq!(HttpGrant::parse("API.example.com.:443", false).unwrap(), grant("api.example.com", 443, false));
    assert_eq!(HttpGrant::parse("[0:0::1]:4318", true).unwrap(), grant("::1", 4318, true));
    assert_eq!(HttpGrant::parse("[::ffff:10.0.0.7]:1", true).unwrap(), grant("10.0.0.7", 1, true));
    let mistakes =
        "example.com http://example.com:80 example.com:0 example.com:+1 ::1:4318 *.example.com:80 a:b:1 :80 10.0.0.0/8:80 me@a:80";
    for text in mistakes.split_whitespace() {
        assert!(HttpGrant::parse(text, false).is_err(), "{text}");
    }
}
