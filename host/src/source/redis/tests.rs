//! What has to hold whoever is paused when: the lease, the fence and the journal on a real Redis, without a host around them.

mod burying;
mod cost;
mod demoting;
mod fencing;
mod forgetting;
mod journalling;
mod large;
mod reading;
mod refusing;
mod server;
mod trimmed;

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use tokio::sync::watch;

use self::server::Server;
use super::fence::{self, Fenced};
use super::journal::Lines;
use super::lease::Term;
use super::reply::EntryId;
use super::{JournalBounds, Redis, RedisConfig, Shared, TlsFiles, group};
use crate::model::{Mark, Receipt};
use crate::source::SourceStatus;

const STREAM: &str = "mesh:trace";
const GROUP: &str = "g";

/// Waits for a minute at most until it is so.
async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect(what);
}

/// One of several hosts on the same stream and group: what its source knows, and a connection.
struct Host {
    shared: Arc<Shared>,
    connection: MultiplexedConnection,
}

impl Host {
    /// Hosts that have no tracks in common but the server. Each gets a name of its own.
    async fn on(server: &Server, name: &str) -> Host {
        let config = RedisConfig {
            url: server.url(),
            tls: TlsFiles::default(),
            stream: STREAM.to_owned(),
            group: Some(GROUP.to_owned()),
            count: 500,
            retention: Duration::ZERO,
            journal: JournalBounds { keep_ms: 600_000, max: 10 },
            max_len: 0,
            quiet: Duration::ZERO,
        };
        let (_stop, stopping) = watch::channel(false);
        let redis = Redis::prepare(config, Arc::<SourceStatus>::default(), stopping).await.unwrap().unwrap();
        let mut shared = Arc::into_inner(redis.shared).unwrap();
        shared.consumer = format!("meshtrace-{name}");
        let connection = shared.connector.connect().await.unwrap();
        Host { shared: Arc::new(shared), connection }
    }

    /// Takes the lead; fails if that is not free.
    async fn lead(&mut self) -> Term {
        let term = self.shared.lease.acquire(&self.shared, &mut self.connection, || ());
        tokio::time::timeout(std::time::Duration::from_secs(20), term).await.expect("the lead is free").unwrap()
    }

    async fn keep(&mut self) -> bool {
        self.shared.lease.keep(&self.shared, &mut self.connection).await.unwrap()
    }

    /// Makes the group, and reads so many entries, which are pending then.
    async fn read(&mut self, count: usize) -> Vec<Receipt> {
        group::ensure(&self.shared, &mut self.connection).await.unwrap();
        let mut adding = redis::pipe();
        for _ in 0..count {
            adding.cmd("XADD").arg(STREAM).arg("*").arg("key").arg("value");
        }
        let ids: Vec<String> = adding.query_async(&mut self.connection).await.unwrap();
        let mut read = redis::cmd("XREADGROUP");
        read.arg("GROUP").arg(GROUP).arg(&self.shared.consumer).arg("COUNT").arg(count).arg("STREAMS").arg(STREAM).arg(">");
        read.exec_async(&mut self.connection).await.unwrap();
        ids.iter().map(|id| EntryId::parse(id.as_bytes()).unwrap().receipt()).collect()
    }

    async fn settle(&mut self, term: &Term, receipts: &[Receipt], lines: &Lines) -> Fenced<bool> {
        fence::settle(&self.shared, &mut self.connection, term, receipts.iter(), lines).await.unwrap()
    }

    async fn pending(&mut self) -> u64 {
        let groups = redis::cmd("XINFO").arg("GROUPS").arg(STREAM).query_async(&mut self.connection).await.unwrap();
        group::backlog(&groups, GROUP).pending.unwrap()
    }

    async fn run<T: redis::FromRedisValue>(&mut self, command: &str) -> T {
        let mut parts = command.split(' ');
        let mut command = redis::cmd(parts.next().unwrap());
        for part in parts {
            command.arg(part);
        }
        command.query_async(&mut self.connection).await.unwrap()
    }

    /// What happens when nobody has kept the lease alive for long enough.
    async fn let_the_lease_end(&mut self) {
        let key = self.shared.keys.lease.clone();
        self.run::<()>(&format!("DEL {key}")).await;
    }
}

/// A line for each of these ids, decided at `at_ms`.
fn lines(ids: &[u64], dropped: bool, at_ms: u64) -> Lines {
    let mut lines = Lines::default();
    for id_hash in ids {
        let mark = Mark { id_hash: *id_hash, parts: 1, at_ms };
        lines.add(mark, dropped, 0);
    }
    lines
}
