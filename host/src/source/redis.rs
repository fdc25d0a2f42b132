//! The Redis source: a consumer group on the stream that agents publish to.
//!
//! Redis is the log, and there is no second one. An entry stays pending in the group until its trace has been disposed of, so whatever
//! happens to this process, the next one reads it again: first all that is pending, in the order of the log, then what is new.
//!
//! - `connect`: URL, TLS, one connection. `group`: which group, and who else reads it. `clock`: stream time. `vigil`: when Redis stood still. `keys`: our own keys beside the stream.
//! - `lease`: who of several meshtraces leads. `fence`: what only the leader may do. `journal`: what was decided, for those who lead later.
//! - `reader`: the loop that reads. `pace`: how much at once. `wire`, `tls`: the reader's connection, on which a reply has an end.
//!   `tap`: entries past the client library; `entries`: found in what came.
//! - `recover`: what was left pending. `strays`: what a former leader is given. `settle`: acknowledging. `dead`: the dead letters.
//! - `upkeep`: retention, dead consumers, foreign readers. `safety`: how long the log can wait.

mod clock;
mod connect;
pub mod dead;
mod entries;
mod fence;
#[cfg(any(test, feature = "fuzz"))]
mod fuzz;
mod group;
mod journal;
mod keys;
mod lease;
mod pace;
mod reader;
mod recover;
mod reply;
mod safety;
mod settle;
mod strays;
mod tap;
#[cfg(test)]
mod tests;
mod tls;
mod upkeep;
mod vigil;
mod wire;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use tokio::sync::{mpsc, watch};

use super::{Batch, Settlement, SourceState, SourceStatus};
use connect::Connector;
pub use connect::{ClientFiles, TlsFiles};
#[cfg(any(test, feature = "fuzz"))]
pub use fuzz::replies as fuzz_replies;
pub use journal::JournalBounds;
use keys::{Keys, dead_stream};
use reply::EntryId;

/// The group that MCP Mesh documents; taking it over is the default.
pub const DOCUMENTED_GROUP: &str = "mcp-mesh-registry-processors";
/// The group of our own, used beside a registry that reads the documented one.
pub const OWN_GROUP: &str = "meshtrace";
/// How the names of our consumers begin.
const CONSUMER_PREFIX: &str = "meshtrace-";
/// The stream is looked at this often while nothing comes.
const BLOCK: Duration = super::TICK;

/// Where and how to read.
#[derive(Debug, Clone)]
pub struct RedisConfig {
    /// `redis://` or `rediss://`, with user, password and database as wanted.
    pub url: String,
    /// From `REDIS_TLS_*`.
    pub tls: TlsFiles,
    /// The stream, `mesh:trace`.
    pub stream: String,
    /// The group, if one was asked for; `None` leaves it to the rule: the documented one, or
    /// our own beside a registry that reads that.
    pub group: Option<String>,
    /// Entries per read.
    pub count: usize,
    /// Entries older than this are trimmed; zero = never.
    pub retention: Duration,
    /// How much of what was decided is journalled.
    pub journal: JournalBounds,
    /// Entries that publishers leave in the stream, about; 0 = all.
    pub max_len: u64,
    /// The quiet period: a log that cannot wait twice as long is warned of.
    pub quiet: Duration,
}

/// A source that has found its Redis and settled on a group.
#[derive(Debug)]
pub struct Redis {
    shared: Arc<Shared>,
}

/// What all parts of the source know.
#[derive(Debug)]
struct Shared {
    connector: Connector,
    stream: String,
    group: String,
    consumer: String,
    dead_stream: String,
    keys: Keys,
    lease: lease::Lease,
    foreign: group::Foreign,
    count: usize,
    retention: Duration,
    journal: JournalBounds,
    /// Stream time up to which everything has been read, and by how much it is ahead of the clock of Redis, in milliseconds.
    read_ms: AtomicU64,
    ahead_ms: AtomicI64,
    /// When Redis stood still.
    vigil: Arc<vigil::Vigil>,
    /// Something may be pending for consumers that will never read it.
    strays: AtomicBool,
    /// Settlements were thrown away that nothing is in the way of any more: all that is pending is to be read again.
    read_again: AtomicBool,
    /// What the leadership that we have, or had last, hashes ids by.
    id_key: Mutex<Option<[u8; 16]>>,
    /// Entries that were handed on without their fields, because they are too large to be read.
    unread: Mutex<HashSet<EntryId>>,
    max_len: u64,
    quiet: Duration,
    status: Arc<SourceStatus>,
}

impl Shared {
    /// Stream time is ahead of the clock of Redis by so many milliseconds.
    fn ahead_ms(&self) -> i64 {
        self.ahead_ms.load(Ordering::Relaxed)
    }

    fn id_key(&self) -> Option<[u8; 16]> {
        *self.id_key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_id_key(&self, key: [u8; 16]) {
        *self.id_key.lock().unwrap_or_else(PoisonError::into_inner) = Some(key);
    }

    /// Hands on an entry that is too large to be read: what becomes of it, it becomes without its fields.
    fn push_unread(&self, batch: &mut Batch, id: EntryId, at_ms: u64) {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        batch.push_unread(id.receipt(), at_ms, pace::REPLY_BYTES);
    }

    /// Whether this entry is one of those.
    fn is_unread(&self, id: EntryId) -> bool {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner).contains(&id)
    }

    /// It has been disposed of.
    fn forget_unread(&self, id: EntryId) {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// What was published before this has been read: milliseconds since 1970, by the clock of Redis as it is, or as it was before it was set, whichever is less.
    fn redis_time_read(&self) -> u64 {
        let read_ms = self.read_ms.load(Ordering::Relaxed);
        read_ms.min(read_ms.saturating_add_signed(self.ahead_ms().saturating_neg()))
    }
}

impl Redis {
    /// Decides which group to read. Waits for Redis with growing pauses, until `stop`, unless what is wrong cannot mend itself.
    ///
    /// # Errors
    /// A URL or certificate that cannot be used, and a group that was asked for and has a live reader that is not ours.
    pub async fn prepare(config: RedisConfig, status: Arc<SourceStatus>, stop: watch::Receiver<bool>) -> anyhow::Result<Option<Redis>> {
        let connector = Connector::new(&config.url, &config.tls).context("REDIS_URL or REDIS_TLS_* cannot be used")?;
        status.set_names(&config.stream, config.group.as_deref().unwrap_or(DOCUMENTED_GROUP));
        status.set_state(SourceState::Connecting);
        let mut pause = connect::Backoff::new(stop);
        let (group, foreign) = loop {
            let Some(error) = (match connector.connect().await {
                Ok(mut connection) => match group::choose(&mut connection, &config).await {
                    Ok(chosen) => break chosen?,
                    Err(error) => Some(error),
                },
                Err(error) => Some(error),
            }) else {
                continue;
            };
            let error = connector.explain(&error);
            tracing::warn!(%error, "Redis is not there yet; trying again");
            status.set_error(error);
            if pause.wait().await.is_break() {
                return Ok(None);
            }
        };
        status.set_names(&config.stream, &group);
        let shared = Shared {
            connector,
            dead_stream: dead_stream(&config.stream),
            keys: Keys::new(&config.stream, &group),
            lease: lease::Lease::default(),
            foreign,
            consumer: consumer_name(),
            stream: config.stream,
            group,
            count: config.count,
            retention: config.retention,
            journal: config.journal,
            read_ms: AtomicU64::default(),
            ahead_ms: AtomicI64::default(),
            vigil: Arc::default(),
            strays: AtomicBool::default(),
            read_again: AtomicBool::default(),
            id_key: Mutex::default(),
            unread: Mutex::default(),
            max_len: config.max_len,
            quiet: config.quiet,
            status,
        };
        Ok(Some(Redis { shared: Arc::new(shared) }))
    }

    /// Reads until `stop`, then ends `out`, and settles until `settlements` ends.
    pub async fn run(self, out: mpsc::Sender<Batch>, settlements: mpsc::Receiver<Settlement>, stop: watch::Receiver<bool>) {
        let shared = self.shared;
        let (ended, upkeep_stop) = watch::channel(false);
        let (settled, lease_stop) = watch::channel(false);
        // Nobody is left to listen to either when that has ended before.
        let reading = async {
            reader::run(&shared, out, stop).await;
            let _ = ended.send(true);
        };
        // The lease is kept until the last receipt has come back, or nothing of it would count.
        let settling = async {
            settle::run(&shared, settlements).await;
            let _ = settled.send(true);
        };
        tokio::join!(reading, settling, upkeep::keep_lease(&shared, lease_stop), upkeep::run(&shared, upkeep_stop));
        group::leave(&shared).await;
        shared.status.set_state(SourceState::Stopped);
    }
}

/// A name that no other process has or had.
fn consumer_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String = host.trim().chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).take(64).collect();
    let started = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{CONSUMER_PREFIX}{host}-{}-{}", std::process::id(), started.as_millis())
}
