//! Publishes numbered traces, straight to Redis: spans in any order, over seconds, some late, some twice.
//!
//! Only what Redis has accepted counts as sent. A reply that was lost tells nothing, so the span is published again: the same event twice is one span.
//! A Redis that comes back may have forgotten what it had accepted last; that was never accepted then, and is published again, too.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use redis::{Connection, RedisResult};

use super::chance::Chance;
use super::traces::{Numbered, Sent, span_id};
use super::trimming::trim;
use crate::support::redis_server::STREAM;

/// Between two looks at what is due.
const TICK: Duration = Duration::from_millis(20);
/// Entries in one go.
const CHUNK: usize = 200;
/// Accepted entries that are looked for when Redis comes back: those of the last minutes.
const REMEMBERED: usize = 30_000;
/// Between two times at which the stream is cut to its length, where publishers do that.
const TRIM_EVERY: Duration = Duration::from_millis(100);
/// A Redis that does not answer for so long is asked anew.
const PATIENCE: Duration = Duration::from_secs(3);

/// What to publish.
#[derive(Clone, Copy)]
pub struct Rate {
    pub traces_per_second: u64,
    /// Entries that publishers leave in the stream, about; `None`: all.
    pub max_len: Option<usize>,
}

/// A publisher at work.
pub struct Publisher {
    orders: Arc<Orders>,
    thread: JoinHandle<BTreeMap<String, Sent>>,
}

#[derive(Default)]
struct Orders {
    finish: AtomicBool,
    /// How many times as many traces as usual.
    more: AtomicU64,
    repeated: AtomicU64,
    trimmed: AtomicU64,
}

impl Publisher {
    /// Publishes to the Redis on the port that `redis` says, whichever that is at the time.
    pub fn start(redis: Arc<AtomicU16>, rate: Rate, chance: Chance) -> Publisher {
        let orders = Arc::new(Orders::default());
        let work = Work {
            redis,
            rate,
            chance,
            orders: Arc::clone(&orders),
            connection: None,
            run: String::new(),
            traces: Vec::new(),
            due: BinaryHeap::new(),
            sent: BTreeMap::new(),
            unsure: BTreeSet::new(),
            recent: VecDeque::new(),
            trimmed_at: Instant::now(),
        };
        let thread = std::thread::Builder::new().name("publisher".into()).spawn(move || work.run()).expect("a thread");
        Publisher { orders, thread }
    }

    /// Begins no more traces, sends what is left of those that were begun, and says what was sent.
    pub fn finish(self) -> BTreeMap<String, Sent> {
        self.orders.finish.store(true, Ordering::Relaxed);
        self.thread.join().expect("the publisher did not fail")
    }

    /// Publishes so many times as much from now on, beside what it always does.
    pub fn publish_more(&self, more: u64) {
        self.orders.more.store(more, Ordering::Relaxed);
    }

    /// Entries that were trimmed, settled or not.
    pub fn trimmed(&self) -> u64 {
        self.orders.trimmed.load(Ordering::Relaxed)
    }

    /// Entries that were published again because nobody knows whether Redis has them, or because it has forgotten them.
    pub fn repeated(&self) -> u64 {
        self.orders.repeated.load(Ordering::Relaxed)
    }
}

/// A span that is due: when, of which trace, which.
type Due = Reverse<(Instant, usize, usize)>;

struct Work {
    redis: Arc<AtomicU16>,
    rate: Rate,
    chance: Chance,
    orders: Arc<Orders>,
    connection: Option<Connection>,
    /// The life of the server that has all of `recent`.
    run: String,
    traces: Vec<Numbered>,
    due: BinaryHeap<Due>,
    sent: BTreeMap<String, Sent>,
    /// Traces of which Redis may have had entries that we do not know, or has forgotten some.
    unsure: BTreeSet<usize>,
    recent: VecDeque<(String, usize, usize)>,
    trimmed_at: Instant,
}

impl Work {
    fn run(mut self) -> BTreeMap<String, Sent> {
        let (mut last, mut to_begin) = (Instant::now(), 0.0);
        loop {
            let finishing = self.orders.finish.load(Ordering::Relaxed);
            let rate = self.rate.traces_per_second * (1 + self.orders.more.load(Ordering::Relaxed));
            to_begin += last.elapsed().as_secs_f64() * rate as f64;
            last = Instant::now();
            while !finishing && to_begin >= 1.0 {
                self.begin();
                to_begin -= 1.0;
            }
            let now = if finishing { Instant::now() + Duration::from_secs(3_600) } else { Instant::now() };
            let chunk = self.take(now);
            // Also with nothing to send: a server that has come back is to be asked what it has forgotten.
            let sent = self.send(&chunk);
            if sent.is_err() {
                // With a connection, they may be there by now.
                if self.connection.take().is_some() {
                    self.orders.repeated.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                    self.unsure.extend(chunk.iter().map(|(trace, _)| *trace));
                }
                self.due.extend(chunk.into_iter().map(|(trace, span)| Reverse((Instant::now(), trace, span))));
            } else if finishing && self.due.is_empty() {
                return self.sent();
            }
            self.trim();
            std::thread::sleep(if self.connection.is_some() { TICK } else { 10 * TICK });
        }
    }

    fn sent(mut self) -> BTreeMap<String, Sent> {
        for trace in self.unsure {
            self.sent.get_mut(&self.traces[trace].id).into_iter().for_each(|sent| sent.unsure = true);
        }
        self.sent
    }

    /// Now and then, as agents do with every entry.
    fn trim(&mut self) {
        let (Some(max_len), Some(connection)) = (self.rate.max_len, &mut self.connection) else { return };
        if self.trimmed_at.elapsed() < TRIM_EVERY {
            return;
        }
        self.trimmed_at = Instant::now();
        match trim(connection, max_len) {
            Ok(entries) => _ = self.orders.trimmed.fetch_add(entries, Ordering::Relaxed),
            Err(_) => self.connection = None,
        }
    }

    fn begin(&mut self) {
        let number = self.traces.len();
        let trace = Numbered::new(number as u64, &mut self.chance);
        let late = trace.spans > 1 && self.chance.percent(5);
        for span in 0..trace.spans {
            let after = if late && span + 1 == trace.spans { 2_500..4_000 } else { 0..900 };
            self.due.push(Reverse((Instant::now() + self.chance.millis(after), number, span)));
            if self.chance.percent(3) {
                self.due.push(Reverse((Instant::now() + self.chance.millis(0..900), number, span)));
            }
        }
        self.traces.push(trace);
    }

    fn take(&mut self, now: Instant) -> Vec<(usize, usize)> {
        let mut chunk = Vec::new();
        while chunk.len() < CHUNK && self.due.peek().is_some_and(|Reverse((due, ..))| *due <= now) {
            chunk.extend(self.due.pop().map(|Reverse((_, trace, span))| (trace, span)));
        }
        chunk
    }

    /// Sends all of `chunk`, or maybe some: then it is an error.
    fn send(&mut self, chunk: &[(usize, usize)]) -> RedisResult<()> {
        self.connect()?;
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let mut pipeline = redis::pipe();
        for (trace, span) in chunk {
            let add = pipeline.cmd("XADD").arg(STREAM).arg("*");
            for (key, value) in self.traces[*trace].entry(*span) {
                add.arg(key).arg(value);
            }
        }
        // With nothing to send, one has to ask whether the server is still the one that has all the rest.
        pipeline.cmd("PING").ignore();
        let ids: Vec<String> = pipeline.query(connection)?;
        for (id, (trace, span)) in ids.into_iter().zip(chunk) {
            let Numbered { id: name, kind, .. } = &self.traces[*trace];
            self.sent.entry(name.clone()).or_insert_with(|| Sent::new(*kind)).accepted(span_id(*span), id.clone());
            self.recent.push_back((id, *trace, *span));
        }
        self.recent.drain(..self.recent.len().saturating_sub(REMEMBERED));
        Ok(())
    }

    /// Sees to a connection, and to what its server has forgotten.
    fn connect(&mut self) -> RedisResult<()> {
        if self.connection.is_some() {
            return Ok(());
        }
        let url = format!("redis://127.0.0.1:{}/", self.redis.load(Ordering::Relaxed));
        let mut connection = redis::Client::open(url)?.get_connection_with_timeout(PATIENCE)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        connection.set_write_timeout(Some(PATIENCE))?;
        let info: String = redis::cmd("INFO").arg("server").query(&mut connection)?;
        let run = info.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap_or_default().to_owned();
        if run != self.run && self.rate.max_len.is_none() {
            self.look_for_forgotten(&mut connection)?;
        }
        (self.run, self.connection) = (run, Some(connection));
        Ok(())
    }

    fn look_for_forgotten(&mut self, connection: &mut Connection) -> RedisResult<()> {
        let mut kept = VecDeque::new();
        let mut forgotten = Vec::new();
        for chunk in self.recent.make_contiguous().chunks(1_000) {
            let mut pipeline = redis::pipe();
            for (id, ..) in chunk {
                pipeline.cmd("XRANGE").arg(STREAM).arg(id).arg(id);
            }
            let found: Vec<redis::streams::StreamRangeReply> = pipeline.query(connection)?;
            for (found, (id, trace, span)) in found.iter().zip(chunk) {
                if found.ids.is_empty() {
                    forgotten.push(Reverse((Instant::now(), *trace, *span)));
                    self.unsure.insert(*trace);
                } else {
                    kept.push_back((id.clone(), *trace, *span));
                }
            }
        }
        self.orders.repeated.fetch_add(forgotten.len() as u64, Ordering::Relaxed);
        self.due.extend(forgotten);
        self.recent = kept;
        Ok(())
    }
}
