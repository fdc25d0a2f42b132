//! What an answer holds until its end, and the end that it comes to if nobody reads it: a guest that keeps an answer unread keeps a connection, and the
//! time of its request passes all the same.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use super::connect::Connection;
use super::destination::Destination;
use super::pool::Pool;
use crate::plugin::{Counters, Limit};

/// What an answer holds. Given back when the answer has been read to its end; dropped before, the connection ends with it.
pub(super) struct Lease {
    shared: Arc<Shared>,
    pool: Arc<Pool>,
    watch: AbortHandle,
}

/// A connection that is in use, and its place among those.
pub(super) struct Held {
    pub connection: Connection,
    pub destination: Destination,
    pub permit: OwnedSemaphorePermit,
}

struct Shared {
    held: Mutex<Option<Held>>,
    is_over: AtomicBool,
}

impl Shared {
    fn take(&self) -> Option<Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Lease {
    /// Of `held`, until then at most: it is cut off and counted if it is still held.
    pub fn new(held: Held, until: Instant, pool: &Arc<Pool>, counters: Arc<Counters>) -> Lease {
        let shared = Arc::new(Shared {
            held: Mutex::new(Some(held)),
            is_over: AtomicBool::new(false),
        });
        let watched = Arc::clone(&shared);
        let watch = pool.drive(async move {
            sleep_until(until).await;
            if let Some(Held { connection, .. }) = watched.take() {
                counters.hit(Limit::HttpTime);
                watched.is_over.store(true, Ordering::Release);
                connection.cut_off();
            }
        });
        Lease { shared, pool: Arc::clone(pool), watch }
    }

    /// Whether its time is over.
    pub fn is_over(&self) -> bool {
        self.shared.is_over.load(Ordering::Acquire)
    }

    /// Gives the connection back: the answer has been read to its end.
    pub fn give_back(self) {
        if let Some(Held { connection, destination, permit }) = self.shared.take() {
            self.pool.put(destination, connection);
            drop(permit);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.watch.abort();
        drop(self.shared.take());
    }
}
