//! Requests of a guest against servers on this machine, with a resolver that says what a test wants.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::*;
use crate::plugin::HttpGrant;

/// A server that does with each connection what it is told; ends with the test.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    _accepting: JoinSet<()>,
}

impl Server {
    async fn start<F: Future<Output = ()> + Send + 'static>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let accepted = Arc::clone(&connections);
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut serving = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::SeqCst);
                serving.spawn(serve(stream));
            }
        });
        Server {
            address,
            connections,
            _accepting: accepting,
        }
    }

    /// One that answers every request on a connection with these bytes.
    async fn answering(answer: &'static str) -> Server {
        Self::start(move |mut stream| async move {
            while head(&mut stream).await.is_some() {
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        })
        .await
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// The head of the next request, whose body, if any, is not looked at.
async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

/// Answers in turn, the last one for ever.
struct Answers {
    turns: Mutex<VecDeque<Vec<SocketAddr>>>,
    asked: Arc<AtomicUsize>,
}

#[wasmtime_wasi::async_trait]
impl Resolve for Answers {
    async fn resolve(&self, _name: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut turns = self.turns.lock().unwrap();
        Ok(if turns.len() > 1 { turns.pop_front().unwrap() } else { turns[0].clone() })
    }
}

struct Guest {
    policy: HttpPolicy,
    counters: Arc<Counters>,
    asked: Arc<AtomicUsize>,
}

impl Guest {
    fn new(grants: Vec<HttpGrant>, limits: Limits, turns: &[&[SocketAddr]]) -> Guest {
        let (counters, asked) = (Arc::<Counters>::default(), Arc::<AtomicUsize>::default());
        let resolver = Answers {
            turns: Mutex::new(turns.iter().map(|turn| turn.to_vec()).collect()),
            asked: Arc::clone(&asked),
        };
        let grants = Grants { http: grants, ..Grants::default() };
        let policy = HttpPolicy::with_resolver(&grants, &limits, Arc::clone(&counters), "guest".into(), Box::new(resolver));
        Guest { policy, counters, asked }
    }

    /// One that may talk to this server, which it knows as "server".
    fn of(server: &Server, limits: Limits) -> Guest {
        let grant = HttpGrant::parse(&format!("server:{}", server.address.port()), true).unwrap();
        Guest::new(vec![grant], limits, &[&[server.address]])
    }

    async fn send(&mut self, request: Request<WasiBody>) -> Result<http::Response<WasiBody>, Error> {
        let sent = self.policy.send_request(request, None, Box::new(async { Ok(()) }));
        Ok(Pin::from(sent).await?.0)
    }

    async fn get(&mut self, uri: &str) -> Result<http::Response<WasiBody>, Error> {
        self.send(request(uri, Bytes::new())).await
    }

    fn hits(&self, limit: Limit) -> u64 {
        self.counters.hits().find(|(own, _)| *own == limit).unwrap().1
    }

    fn denials(&self) -> Vec<(String, String, u64)> {
        self.counters.denials().into_iter().map(|(denial, count)| (denial.what, denial.grant, count)).collect()
    }
}

fn request(uri: &str, body: Bytes) -> Request<WasiBody> {
    let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
    Request::post(uri).header("host", "server").body(body).unwrap()
}

fn uri(server: &Server) -> String {
    format!("http://server:{}/v1/traces?a=b", server.address.port())
}

async fn body(response: http::Response<WasiBody>) -> Result<Bytes, Error> {
    Ok(response.into_body().collect().await?.to_bytes())
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

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
    let mut tunnel = request(&uri(&server), Bytes::new());
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
    let response = guest.get(&uri(&server)).await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["location"].to_str().unwrap()), (302, "http://127.0.0.1:1/"));
    assert!(matches!(guest.get("http://127.0.0.1:1/").await, Err(Error::HttpRequestDenied)));
}

#[tokio::test]
async fn requests_one_after_another_share_a_connection() {
    for answer in [OK, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"] {
        let server = Server::answering(answer).await;
        let mut guest = Guest::of(&server, Limits { http_connections: 1, ..Limits::default() });
        for _ in 0..5 {
            let response = guest.get(&uri(&server)).await.unwrap();
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
        let response = guest.get(&uri(&server)).await.unwrap();
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
    guest.send(request(&uri(&server), "body".into())).await.unwrap();
    let (head, body) = heads.recv().await.unwrap();
    assert_eq!(head, "POST /v1/traces?a=b HTTP/1.1\r\nhost: server\r\ncontent-length: 4\r\n\r\n");
    assert_eq!(&body, b"body");
}

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
    let sent = Guest::of(&closing, Limits::default()).get(&super::tests::uri(&closing)).await;
    assert!(matches!(sent, Err(Error::ConnectionTerminated)));
    let odd = Server::answering("SMTP\r\n\r\n").await;
    let sent = Guest::of(&odd, Limits::default()).get(&super::tests::uri(&odd)).await;
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
