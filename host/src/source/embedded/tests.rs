//! Whole listeners on real sockets, and what is better tested without one.

mod beside_redis;
mod clients;
mod flow;
mod hostile;
mod log;
mod request;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::fuzz::{feed, start as conversation};
use super::{Embedded, EmbeddedConfig};
use crate::model::{Receipt, Receipts};
use crate::source::{Batch, Fate, Settlement, SourceStatus};

/// A listener that runs, and both ends of what it is connected to.
struct Host {
    address: SocketAddr,
    batches: mpsc::Receiver<Batch>,
    settlements: mpsc::Sender<Settlement>,
    status: Arc<SourceStatus>,
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
    watermark_ms: u64,
    last: Option<(u64, u64)>,
}

/// An entry as it was handed on.
struct Got {
    receipt: Receipt,
    fields: Vec<(String, String)>,
}

/// Nothing here takes long; what never comes must fail the test.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), what).await.expect("took too long")
}

impl Host {
    async fn start(change: impl FnOnce(&mut EmbeddedConfig)) -> Host {
        let mut config = EmbeddedConfig::new("127.0.0.1:0");
        change(&mut config);
        let embedded = Embedded::bind(config).await.unwrap();
        let address = embedded.local_addr();
        let (out, batches) = mpsc::channel(4);
        let (settlements, settled) = mpsc::channel(4);
        let (stop, stopping) = watch::channel(false);
        let status = Arc::new(SourceStatus::default());
        #[expect(clippy::disallowed_methods, reason = "the test owns and awaits it")]
        let running = tokio::spawn(embedded.run(out, settled, Arc::clone(&status), stopping));
        Host {
            address,
            batches,
            settlements,
            status,
            stop,
            running,
            watermark_ms: 0,
            last: None,
        }
    }

    /// The next batch; checks what holds for every one.
    async fn batch(&mut self) -> Option<Vec<Got>> {
        let mut batch = soon(self.batches.recv()).await?;
        let before_ms = std::mem::replace(&mut self.watermark_ms, batch.watermark_ms);
        assert!(before_ms <= batch.watermark_ms);
        let last = &mut self.last;
        let entries = batch.drain().map(|entry| {
            assert!(entry.at_ms >= before_ms, "the watermark had passed an entry that was not handed on");
            let id = (entry.receipt.ms, entry.receipt.seq);
            assert!(last.replace(id) < Some(id), "handed on in order");
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let fields = entry.fields().map(|(key, value)| (text(key), text(value))).collect();
            Got { receipt: entry.receipt, fields }
        });
        Some(entries.collect())
    }

    async fn entries(&mut self, count: usize) -> Vec<Got> {
        let mut entries = Vec::new();
        while entries.len() < count {
            entries.extend(self.batch().await.expect("ended early"));
        }
        assert_eq!(entries.len(), count);
        entries
    }

    async fn settle(&self, entries: Vec<Got>, fate: Fate) {
        let receipts = receipts(entries.into_iter().map(|entry| entry.receipt).collect());
        self.settlements.send(Settlement { receipts, fate }).await.unwrap();
    }

    async fn client(&self) -> MultiplexedConnection {
        self.client_with("").await.unwrap()
    }

    async fn client_with(&self, user: &str) -> redis::RedisResult<MultiplexedConnection> {
        let client = redis::Client::open(format!("redis://{user}{}", self.address))?;
        soon(client.get_multiplexed_async_connection()).await
    }

    async fn socket(&self) -> TcpStream {
        soon(TcpStream::connect(self.address)).await.unwrap()
    }

    /// Waits until a condition of the status holds; the host runs meanwhile.
    async fn until(&self, condition: impl Fn(&Host) -> bool) {
        soon(async {
            while !condition(self) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

/// Waits until so many entries are held.
async fn until_held(client: &mut MultiplexedConnection, count: usize) {
    soon(async { while redis::cmd("XLEN").arg("mesh:trace").query_async::<usize>(client).await.unwrap() != count {} }).await;
}

async fn xadd(client: &mut MultiplexedConnection, value: &[u8]) -> redis::RedisResult<String> {
    soon(redis::cmd("XADD").arg("mesh:trace").arg("*").arg("key").arg(value).query_async(client)).await
}

/// Everything that comes until the other side closes.
async fn read_to_end(socket: &mut TcpStream) -> String {
    let mut all = Vec::new();
    soon(socket.read_to_end(&mut all)).await.unwrap();
    String::from_utf8_lossy(&all).into_owned()
}

async fn ask(socket: &mut TcpStream, request: &str, reply: &str) {
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut got = vec![0; reply.len()];
    soon(socket.read_exact(&mut got)).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&got), reply);
}

/// A request as client libraries send it.
fn packed(arguments: &[&[u8]]) -> Vec<u8> {
    let mut command = redis::Cmd::new();
    arguments.iter().for_each(|argument| {
        command.arg(*argument);
    });
    command.get_packed_command()
}

/// Receipts that go back together.
fn receipts(list: Vec<Receipt>) -> Receipts {
    Receipts { list, ..Receipts::default() }
}
