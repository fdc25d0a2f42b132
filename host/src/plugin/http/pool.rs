//! Connections that wait for their next request, so that not every batch pays for a handshake.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::{AbortHandle, JoinSet};

use super::connect::Connection;
use super::destination::Destination;

/// Connections of one instance that wait, at most.
const IDLE_MAX: usize = 4;
/// How long one may wait for its next request: less than servers usually keep them.
const IDLE_TIME: Duration = Duration::from_secs(30);

/// The connections of one instance. They end with it.
#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// The youngest last.
    idle: Vec<Idle>,
    /// What moves bytes on each connection, idle or not, and what watches the time of each answer.
    drivers: JoinSet<()>,
}

#[derive(Debug)]
struct Idle {
    destination: Destination,
    connection: Connection,
    since: Instant,
}

impl Pool {
    /// A connection to `destination` that may still be open.
    pub fn take(&self, destination: &Destination) -> Option<Connection> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.idle.retain(|idle| idle.since.elapsed() < IDLE_TIME && !idle.connection.sender.is_closed());
        let found = inner.idle.iter().rposition(|idle| idle.destination == *destination)?;
        Some(inner.idle.remove(found).connection)
    }

    /// Keeps a connection whose last answer has been read to its end.
    pub fn put(&self, destination: Destination, connection: Connection) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.idle.len() >= IDLE_MAX {
            inner.idle.remove(0);
        }
        inner.idle.push(Idle {
            destination,
            connection,
            since: Instant::now(),
        });
    }

    /// Runs what moves the bytes of a connection or watches its time, until it ends or the pool does.
    pub fn drive(&self, driver: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while inner.drivers.try_join_next().is_some() {}
        inner.drivers.spawn(driver)
    }
}
