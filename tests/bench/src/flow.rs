//! One backlog through one host, and whether all of it came out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use redis::Connection;
use serde_json::Value;

use crate::host::{Host, HostBuilder};
use crate::load::{Publisher, SPANS, Shape};
use crate::measure::{Stopwatch, Used, micros_each, processors};
use crate::server::{Progress, Server, progress, wait_within};

/// Stream time of the backlog: entries per second. As many are open at one time as come within the quiet period, 5 s.
pub const RATE: u64 = 50_000;
/// How long ago the backlog was published.
const AGO_MS: u64 = 3_600_000;
/// A host that has taken longer than this over a backlog has stopped.
const PATIENCE: Duration = Duration::from_secs(600);
/// Traces of one span that come after the backlog: they move stream time past its quiet period.
const TICKS: u64 = 70;
const TICK_MS: u64 = 100;
/// What is due is published this often, when it is published as time goes by.
const STEP: Duration = Duration::from_millis(2);
/// Traces that are published in one go, at most.
const STEP_TRACES: u64 = 200;

/// A stream full of entries that nobody has read.
#[derive(Debug, Clone, Copy)]
pub struct Backlog {
    pub shape: Shape,
}

/// What a host did with a backlog.
#[derive(Debug)]
pub struct Run {
    pub entries: u64,
    pub used: Used,
    /// Processor time by thread.
    pub threads: BTreeMap<String, Duration>,
    pub peak_bytes: u64,
    /// Its status at the end.
    pub status: Value,
    /// Answers to what was asked at the end.
    pub answers: BTreeMap<String, Value>,
}

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

impl Backlog {
    /// Fills the stream.
    pub fn publish(server: &Server, entries: u64) -> Result<Backlog> {
        server.empty()?;
        let mut publisher = Publisher::new(server)?;
        let shape = Shape {
            traces: entries / SPANS,
            rate: RATE,
            first_ms: now_ms() - AGO_MS,
            first_trace: 0,
        };
        publisher.publish(&shape)?;
        let backlog = Backlog { shape };
        // Roots alone: the last span of a trace that has no other.
        for tick in 1..=TICKS {
            let at_ms = shape.at_ms(shape.entries()) + tick * TICK_MS;
            publisher.add(&format!("{at_ms}-0"), shape.first_trace + shape.traces + tick, SPANS - 1, at_ms);
        }
        publisher.flush()?;
        Ok(backlog)
    }

    /// All traces of it.
    pub fn traces(&self) -> u64 {
        self.shape.traces + TICKS
    }

    /// Entries in the stream.
    pub fn in_stream(&self) -> u64 {
        self.shape.entries() + TICKS
    }

    /// Starts a host on the backlog. Measured is from the first entry read to the acknowledgement of the last entry before the ticks; then waits until
    /// those are acknowledged too, asks the host the questions in `ask`, and checks that nothing is missing.
    pub fn run(&self, server: &Server, builder: HostBuilder, ask: &[&str]) -> Result<Run> {
        server.forget_readers()?;
        let mut connection = server.connect()?;
        let mut host = builder.start()?;
        reach(&mut host, &mut connection, "the host reads the first entry", |progress| progress.read > 0)?;
        let (threads, watch) = (host.process().threads()?, Stopwatch::start(&[server.process(), host.process()])?);
        let entries = self.shape.entries();
        let waited = reach(&mut host, &mut connection, "the host acknowledges the backlog", |progress| progress.acknowledged() >= entries);
        let used = watch.stop()?;
        waited.with_context(|| host.stderr())?;
        let threads = since(&threads, host.process().threads()?);
        let all = self.in_stream();
        reach(&mut host, &mut connection, "the host acknowledges what came last", |progress| progress.acknowledged() >= all)?;
        let status = host.status()?;
        self.check(&status).with_context(|| host.stderr())?;
        let answers = ask.iter().map(|path| Ok(((*path).to_owned(), host.json(path)?))).collect::<Result<_>>()?;
        let left = progress(&mut connection)?;
        if left.read != all || left.pending != 0 {
            bail!("{} of {all} entries were read, {} of them are not acknowledged", left.read, left.pending);
        }
        let peak_bytes = host.stop()?;
        Ok(Run {
            entries,
            used,
            threads,
            peak_bytes,
            status,
            answers,
        })
    }

    /// Whether every entry became an event, and every trace was decided once, as a whole.
    fn check(&self, status: &Value) -> Result<()> {
        let number = |value: &Value| value.as_u64().unwrap_or(u64::MAX);
        let (filters, decided) = (&status["filters"], &status["correlator"]["decided"]);
        for (what, found, wanted) in [
            ("entries decoded", number(&status["input"]["events"]), self.in_stream()),
            ("traces decided as complete", number(&decided["complete"]), self.traces()),
            ("late parts", number(&status["correlator"]["late_parts"]), 0),
            ("dead letters", number(&status["consumer"]["entries_dead"]), 0),
            ("traces kept or dropped", number(&filters["kept"]).saturating_add(number(&filters["dropped"])), self.traces()),
        ] {
            if found != wanted {
                bail!("{what}: {found}, expected {wanted}; the host says {status}");
            }
        }
        Ok(())
    }
}

/// Publishes whole traces at this rate as time goes by, for as long as `goes_on` says; says how many entries. Without a rate, as fast as Redis takes them.
pub fn publish_live(server: &Server, entries_per_second: Option<f64>, goes_on: impl Fn(Duration) -> bool) -> Result<u64> {
    let mut publisher = Publisher::new(server)?;
    let (begin, mut trace) = (Instant::now(), 0);
    while goes_on(begin.elapsed()) {
        let due = entries_per_second.map_or(u64::MAX, |rate| (begin.elapsed().as_secs_f64() * rate) as u64 / SPANS);
        // Not all that is due after a standstill: it would wait for long after the time that it is said to be of.
        let due = due.min(trace + STEP_TRACES);
        let at_ms = now_ms();
        while trace < due {
            (0..SPANS).for_each(|span| publisher.add("*", trace, span, at_ms));
            trace += 1;
        }
        publisher.flush()?;
        if entries_per_second.is_some() {
            std::thread::sleep(STEP);
        }
    }
    Ok(trace * SPANS)
}

/// What threads have used between two looks.
pub fn since(before: &BTreeMap<String, Duration>, after: BTreeMap<String, Duration>) -> BTreeMap<String, Duration> {
    after.into_iter().map(|(name, time)| (name.clone(), time.saturating_sub(before.get(&name).copied().unwrap_or_default()))).collect()
}

impl Run {
    pub fn entries_per_second(&self) -> f64 {
        self.entries as f64 / self.used.wall.as_secs_f64()
    }

    /// Processor time of the host for an entry.
    pub fn host_micros(&self) -> f64 {
        micros_each(self.used.cpu.get(1).copied().unwrap_or_default(), self.entries)
    }

    pub fn redis_micros(&self) -> f64 {
        micros_each(self.used.cpu.first().copied().unwrap_or_default(), self.entries)
    }

    /// What the processor times would come to on a machine of our own: all processors busy, unless Redis or one of the host's threads has more to do
    /// than one of them can.
    pub fn by_cpu(&self) -> f64 {
        let together = (self.host_micros() + self.redis_micros()) / processors() as f64;
        let busiest = self.threads.iter().filter(|(name, _)| !name.starts_with("tokio")).map(|(_, time)| micros_each(*time, self.entries));
        1e6 / busiest.fold(together.max(self.redis_micros()), f64::max)
    }
}

/// Processor time per entry by thread, the busiest first: for people.
pub fn by_stage(threads: &BTreeMap<String, Duration>, entries: u64) -> String {
    let mut stages: Vec<(&str, f64)> = threads.iter().map(|(name, time)| (name.as_str(), micros_each(*time, entries))).collect();
    stages.sort_by(|a, b| b.1.total_cmp(&a.1));
    stages.retain(|(_, micros)| *micros >= 0.005);
    let stages: Vec<String> = stages.into_iter().map(|(thread, micros)| format!("{thread} {micros:.2}")).collect();
    stages.join(", ")
}

/// Waits until the group has come so far.
pub fn reach(host: &mut Host, connection: &mut Connection, what: &str, reached: impl Fn(Progress) -> bool) -> Result<Progress> {
    wait_within(PATIENCE, what, || {
        host.check()?;
        Ok(Some(progress(connection)?).filter(|progress| reached(*progress)))
    })
}
