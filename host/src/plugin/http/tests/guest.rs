//! A guest that asks, servers on this machine, and a resolver that says what a test wants.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::super::*;
use crate::plugin::HttpGrant;

/// A server that does with each connection what it is told; ends with the test.
pub struct Server {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    _accepting: JoinSet<()>,
}

impl Server {
    pub async fn start<F: Future<Output = ()> + Send + 'static>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Server {
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
    pub async fn answering(answer: &'static str) -> Server {
        Self::start(move |mut stream| async move {
            while head(&mut stream).await.is_some() {
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        })
        .await
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// The head of the next request, whose body, if any, is not looked at.
pub async fn head(stream: &mut TcpStream) -> Option<String> {
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

pub struct Guest {
    pub policy: HttpPolicy,
    counters: Arc<Counters>,
    pub asked: Arc<AtomicUsize>,
}

impl Guest {
    pub fn new(grants: Vec<HttpGrant>, limits: Limits, turns: &[&[SocketAddr]]) -> Guest {
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
    pub fn of(server: &Server, limits: Limits) -> Guest {
        let grant = HttpGrant::parse(&format!("server:{}", server.address.port()), true).unwrap();
        Guest::new(vec![grant], limits, &[&[server.address]])
    }

    pub async fn send(&mut self, request: Request<WasiBody>) -> Result<http::Response<WasiBody>, Error> {
        let sent = self.policy.send_request(request, None, Box::new(async { Ok(()) }));
        Ok(Pin::from(sent).await?.0)
    }

    pub async fn get(&mut self, uri: &str) -> Result<http::Response<WasiBody>, Error> {
        self.send(request(uri, Bytes::new())).await
    }

    pub fn hits(&self, limit: Limit) -> u64 {
        self.counters.hits().find(|(own, _)| *own == limit).unwrap().1
    }

    pub fn denials(&self) -> Vec<(String, String, u64)> {
        self.counters.denials().into_iter().map(|(denial, count)| (denial.what, denial.grant, count)).collect()
    }
}

pub fn request(uri: &str, body: Bytes) -> Request<WasiBody> {
    let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
    Request::post(uri).header("host", "server").body(body).unwrap()
}

pub fn uri(server: &Server) -> String {
    format!("http://server:{}/v1/traces?a=b", server.address.port())
}

pub async fn body(response: http::Response<WasiBody>) -> Result<Bytes, Error> {
    Ok(response.into_body().collect().await?.to_bytes())
}

pub const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
