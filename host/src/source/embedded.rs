//! A source without Redis: the host listens itself, and unmodified publishers send it what they would send to Redis.
//!
//! It speaks as much RESP2 and RESP3 as clients need to connect, and takes `XADD` to one stream. Whatever it is sent, it neither
//! ends nor grows beyond its [`Bounds`]; agents that are refused an entry drop it and go on, as they do without Redis.
//!
//! **What it guarantees.** An entry that was answered with an id is handed on once, in the order of the ids, and held with all its
//! fields until it is settled. A stop hands on everything that was accepted, as far as it is taken in time. **What it does not.** All of
//! it is in memory: a crash or a kill loses every entry whose trace was not exported. Entries that nobody will ever take are counted and
//! let go of: there is no stream of dead letters that would outlive the process. Nobody else can read the stream, and `MAXLEN` or `MINID`
//! trim nothing: memory is bounded by what is held, not by what publishers think of.
//!
//! ```text
//! connections ──XADD──► log ──► pump ──► next stage        (listener, connection, conversation: bytes to commands
//!                        ▲       │                          request, reply: RESP; command, session, xadd: what they do
//!                        └───────┴◄─── settlements          log, payload, clock: what is held, and since when)
//! ```

mod bounds;
mod clock;
mod command;
mod connection;
mod conversation;
mod entry_id;
#[cfg(any(test, feature = "fuzz"))]
mod fuzz;
mod input;
mod listener;
mod log;
mod payload;
mod pump;
mod reply;
mod request;
mod seldom;
mod session;
mod shared;
#[cfg(test)]
mod tests;
mod xadd;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

pub use bounds::Bounds;
#[cfg(any(test, feature = "fuzz"))]
pub use fuzz::{conversation as fuzz_conversation, requests as fuzz_requests};

use self::log::Log;
use self::shared::Shared;
use super::{Batch, Settlement, SourceState, SourceStatus};
use crate::secret::Secret;

/// What stands in status where a consumer group does beside Redis: there is none.
pub const GROUP: &str = "embedded";

/// Where to listen, and for what.
#[derive(Debug, Clone)]
pub struct EmbeddedConfig {
    /// `host:port`; port 0 for any that is free.
    pub address: String,
    /// What clients must give to `AUTH` or `HELLO` (as user `default`, or none), if anything.
    pub password: Option<Secret>,
    /// Whether it may listen where others reach it without a password.
    pub insecure_bind: bool,
    /// The one key that `XADD` takes. Default `mesh:trace`.
    pub stream: String,
    /// How much is taken.
    pub bounds: Bounds,
}

impl EmbeddedConfig {
    /// With no password, for this machine only, and defaults.
    pub fn new(address: impl Into<String>) -> EmbeddedConfig {
        EmbeddedConfig {
            address: address.into(),
            password: None,
            insecure_bind: false,
            stream: "mesh:trace".into(),
            bounds: Bounds::default(),
        }
    }
}

/// A listener that has its address, and accepts nobody yet.
#[derive(Debug)]
pub struct Embedded {
    listener: TcpListener,
    address: SocketAddr,
    config: EmbeddedConfig,
}

impl Embedded {
    /// Takes the address. Fails if it is none, or somebody else's, or one that others reach where nobody has to know anything.
    pub async fn bind(config: EmbeddedConfig) -> anyhow::Result<Embedded> {
        let bind = async {
            let listener = TcpListener::bind(&config.address).await?;
            let address = listener.local_addr()?;
            anyhow::Ok((listener, address))
        };
        let (listener, address) = bind.await.with_context(|| format!("cannot listen on {} for span events", config.address))?;
        // The address that a name has led to, and before anybody is let in.
        if !is_local(address) && config.password.is_none() && !config.insecure_bind {
            let (given, port) = (&config.address, config.address.rsplit_once(':').map_or("", |(_, port)| port));
            bail!(
                "REDIS_URL=embedded://{given}: others could reach the listener there and write whatever spans they like; ask for a password with \
                 embedded://:PASSWORD@{given}, listen on 127.0.0.1:{port}, or start with --insecure-bind if something in front of it sees to who may write"
            );
        }
        Ok(Embedded { listener, address, config })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Listens until `stop` is true (or its sender is gone), then ends all connections, hands on what it had accepted, drops `out`, and takes
    /// settlements until that channel closes.
    pub async fn run(
        self,
        out: mpsc::Sender<Batch>,
        settlements: mpsc::Receiver<Settlement>,
        status: Arc<SourceStatus>,
        stop: watch::Receiver<bool>,
    ) {
        let Embedded { listener, address, config } = self;
        announce(address, &config);
        status.set_names(&config.stream, GROUP);
        status.set_state(SourceState::Running);
        let log = Log::new(config.bounds.held_bytes);
        let shared = Arc::new(Shared::new(config, log, Arc::clone(&status)));
        let accept = async {
            listener::listen(listener, Arc::clone(&shared), stop).await;
            shared.log.close();
        };
        let hand_on = pump::pump(&shared.log, out, settlements, &status, &shared.config.bounds);
        tokio::join!(accept, hand_on);
        let entries = shared.log.holding().entries;
        if entries > 0 {
            tracing::warn!(entries, "stopped with entries that not every exporter has taken; they are lost");
        }
        status.set_state(SourceState::Stopped);
    }
}

fn announce(address: SocketAddr, config: &EmbeddedConfig) {
    tracing::info!(
        %address,
        stream = config.stream,
        held_bytes_max = config.bounds.held_bytes,
        "listening for span events without Redis. They are in memory only: a crash or a kill loses every trace that was not exported, and what nobody takes is kept nowhere; docs/EMBEDDED.md says more"
    );
    if !is_local(address) && config.password.is_none() {
        tracing::warn!(%address, "everybody who can reach this address may send span events: there is no password");
    }
}

/// Whether only this machine can reach it.
fn is_local(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}
