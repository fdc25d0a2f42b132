//! The Redis source: a consumer group on the stream that agents publish to.
//!
//! Redis is the log, and there is no second one. An entry stays pending in the group until its trace has been disposed of, so whatever
//! happens to this process, the next one reads it again: first all that is pending, in the order of the log, then what is new.
//!
//! - `connect`: URL, TLS, one connection. `group`: which group, and who else reads it. `lease`: who of several meshtraces leads. `clock`: stream time.
//! - `reader`: the loop that reads. `recover`: what earlier runs left pending. `settle`: acknowledging. `dead`: the dead letters.
//! - `upkeep`: retention, dead consumers, foreign readers. `safety`: how long the log can wait.

mod clock;
mod connect;
pub mod dead;
mod group;
mod lease;
mod reader;
mod recover;
mod reply;
mod safety;
mod settle;
mod upkeep;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::{mpsc, watch};

use super::{Batch, Settlement, SourceState, SourceStatus};
use connect::Connector;
pub use connect::TlsFiles;

/// The group that MCP Mesh documents; taking it over is the default.
pub const DOCUMENTED_GROUP: &str = "mcp-mesh-registry-processors";
/// The group of our own, used beside a registry that reads the documented one.
pub const OWN_GROUP: &str = "meshtrace";
/// How the names of our consumers begin.
const CONSUMER_PREFIX: &str = "meshtrace-";
/// The stream is looked at this often while nothing comes. What is due is noticed no later.
const BLOCK: Duration = Duration::from_millis(50);

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
    lease: lease::Lease,
    foreign: group::Foreign,
    count: usize,
    retention: Duration,
    max_len: u64,
    quiet: Duration,
    status: Arc<SourceStatus>,
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
            lease: lease::Lease::default(),
            foreign,
            consumer: consumer_name(),
            stream: config.stream,
            group,
            count: config.count,
            retention: config.retention,
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
        let reading = async {
            reader::run(&shared, out, stop).await;
            // Nobody is left to listen when the upkeep has ended before.
            let _ = ended.send(true);
        };
        let kept = upkeep::keep_lease(&shared, upkeep_stop.clone());
        tokio::join!(reading, kept, upkeep::run(&shared, upkeep_stop), settle::run(&shared, settlements));
        group::leave(&shared).await;
        shared.status.set_state(SourceState::Stopped);
    }
}

/// The stream of dead letters beside `stream`.
fn dead_stream(stream: &str) -> String {
    format!("{}:dead", tagged(stream))
}

/// `stream` as a prefix for keys beside it: they carry its hash tag, so that one command may touch them all in a cluster.
fn tagged(stream: &str) -> String {
    if stream.contains('{') { stream.to_owned() } else { format!("{{{stream}}}") }
}

/// A name that no other process has or had.
fn consumer_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String = host.trim().chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).take(64).collect();
    let started = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{CONSUMER_PREFIX}{host}-{}-{}", std::process::id(), started.as_millis())
}
