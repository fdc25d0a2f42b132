//! Traces that come in without end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::events::{numbered_traces, publish};
use super::redis_server::{RedisServer, STREAM};

/// Publishes numbered traces of three spans until it is stopped.
pub struct Load {
    stop: Arc<AtomicBool>,
    published: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

impl Load {
    pub fn start(redis: &RedisServer) -> Load {
        let (stop, published) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut connection = redis.connect();
        let (stopped, counter) = (Arc::clone(&stop), Arc::clone(&published));
        let publishing = move || {
            let (ids, entries) = numbered_traces(100_000);
            for traces in entries.chunks(3 * 4) {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                publish(&mut connection, STREAM, traces);
                counter.fetch_add(traces.len() / 3, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(10));
            }
            panic!("{} traces were not enough", ids.len());
        };
        let thread = std::thread::Builder::new().name("load".into()).spawn(publishing).expect("a thread");
        Load { stop, published, thread }
    }

    /// Ends it; the ids of all that was published.
    pub fn end(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the publisher did not fail");
        numbered_traces(self.published.load(Ordering::Relaxed)).0
    }
}
