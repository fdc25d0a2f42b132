//! Consumers that are not ours: what a registry with tracing does in the documented group.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use redis::streams::{StreamReadOptions, StreamReadReply};
use redis::{Commands, Connection};

use super::redis_server::{GROUP, RedisServer, STREAM};

/// Reads the documented group in a loop, as a registry does, until it is stopped.
pub struct ForeignReader {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ForeignReader {
    /// One that acknowledges what it has read, as a registry does, or leaves it pending.
    pub fn start(redis: &RedisServer, name: &'static str, acknowledges: bool) -> ForeignReader {
        ForeignReader::in_group(redis, GROUP, name, acknowledges)
    }

    /// As above, in another group than the documented one.
    pub fn in_group(redis: &RedisServer, group: &'static str, name: &'static str, acknowledges: bool) -> ForeignReader {
        let stop = Arc::new(AtomicBool::new(false));
        let mut connection = redis.connect();
        let stopped = Arc::clone(&stop);
        let reading = move || {
            while !stopped.load(Ordering::Relaxed) {
                let ids = read(&mut connection, group, name, Some(1_000), 10).expect("XREADGROUP");
                if acknowledges && !ids.is_empty() {
                    let _: redis::RedisResult<()> = connection.xack(STREAM, group, &ids);
                }
            }
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn(reading).expect("a thread");
        ForeignReader { stop, thread: Some(thread) }
    }

    /// Stops reading, as a registry that is shut down does: its name stays in the group.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for ForeignReader {
    fn drop(&mut self) {
        self.end();
    }
}

/// An earlier run: reads up to `count` new entries for `consumer`, and is gone, its connection with it. Returns their ids.
pub fn read_and_leave(redis: &RedisServer, consumer: &str, count: usize) -> Vec<String> {
    read(&mut redis.connect(), GROUP, consumer, None, count).expect("XREADGROUP")
}

/// Reads up to `count` new entries of `group` for `consumer`, and returns their ids.
fn read(connection: &mut Connection, group: &str, consumer: &str, block: Option<usize>, count: usize) -> redis::RedisResult<Vec<String>> {
    let options = StreamReadOptions::default().group(group, consumer).count(count);
    let options = block.into_iter().fold(options, StreamReadOptions::block);
    let reply: Option<StreamReadReply> = connection.xread_options(&[STREAM], &[">"], &options)?;
    let streams = reply.map(|reply| reply.keys).unwrap_or_default();
    Ok(streams.into_iter().flat_map(|stream| stream.ids).map(|entry| entry.id).collect())
}
