//! What connections have in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::EmbeddedConfig;
use super::log::Log;
use super::seldom::Seldom;
use crate::source::SourceStatus;

/// Made once per listener.
#[derive(Debug)]
pub struct Shared {
    /// As configured.
    pub config: EmbeddedConfig,
    /// Where entries go.
    pub log: Log,
    /// What the source says about itself.
    pub status: Arc<SourceStatus>,
    /// Room for long requests.
    pub allowance: Arc<Allowance>,
    /// Warns of refused entries.
    pub full: Seldom,
    /// Warns of refused connections.
    pub crowded: Seldom,
    /// Warns of connections that were closed for what they sent, or did not.
    pub closed: Seldom,
    connected: Arc<AtomicUsize>,
}

/// Bytes that connections may take for requests longer than [`super::bounds::INPUT_BYTES`], all of them together.
#[derive(Debug)]
pub struct Allowance(AtomicUsize);

/// Counts a connection while it lives.
#[derive(Debug)]
pub struct Connected(Arc<AtomicUsize>);

impl Shared {
    /// Nobody is connected.
    pub fn new(config: EmbeddedConfig, log: Log, status: Arc<SourceStatus>) -> Shared {
        let allowance = Arc::new(Allowance(AtomicUsize::new(config.bounds.buffer_bytes)));
        Shared {
            config,
            log,
            status,
            allowance,
            full: Seldom::default(),
            crowded: Seldom::default(),
            closed: Seldom::default(),
            connected: Arc::default(),
        }
    }

    /// Counts one more connection.
    pub fn connect(&self) -> Connected {
        self.connected.fetch_add(1, Ordering::Relaxed);
        Connected(Arc::clone(&self.connected))
    }

    /// Notes that a connection was refused, or has to go, because there are as many as may be.
    pub fn note_crowded(&self) {
        self.status.connections_refused.fetch_add(1, Ordering::Relaxed);
        if let Some(withheld) = self.crowded.now() {
            let connections = self.config.bounds.connections;
            tracing::warn!(connections, withheld, "there are as many connections as may be: one was closed for another");
        }
    }

    /// Connections there are.
    pub fn connected(&self) -> usize {
        self.connected.load(Ordering::Relaxed)
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Allowance {
    /// Takes `bytes`, if so many are left.
    pub fn take(&self, bytes: usize) -> bool {
        let left = |left: usize| left.checked_sub(bytes);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok()
    }

    /// Gives back what was taken.
    pub fn give_back(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What is left.
    #[cfg(any(test, feature = "fuzz"))]
    pub fn left(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}
