//! An exporter that everybody waits for is down for minutes, and nothing that goes wrong beside it ends that. What is to be seen of it, and that
//! everything comes out afterwards.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::faults::{Fault, Faults};
use super::guests::Mood;
use super::world::World;
use crate::support::host::Host;
use crate::support::plugin_dir::holds;

/// So much of its end nothing else goes wrong: long enough for two of the lines that are logged once a minute.
pub const CALM: Duration = Duration::from_secs(150);
/// What is published meanwhile, in addition: so many times as much as always. So the bounds are reached.
const MORE: u64 = 2;
/// The longest that reading may take to come to its bound, and that what has waited may take to come out.
const STANDSTILL_PATIENCE: Duration = Duration::from_secs(120);
const DRAIN_PATIENCE: Duration = Duration::from_secs(900);
/// What a host may take up while it reads nothing.
const FLAT_KIB: u64 = 16 * 1024;
/// What it says once a minute.
const WORDS: &str = "nothing is read: an exporter that is required";
const EVERY: Duration = Duration::from_secs(60);

/// What a host shows of itself while it waits.
struct View {
    at: Instant,
    read: u64,
    /// Redis cannot always tell.
    lag: Option<u64>,
    memory_kib: u64,
    lines: u64,
    safety: Value,
}

impl View {
    fn of(host: &Host) -> Option<View> {
        let status: Value = serde_json::from_str(&host.try_get("/trace/status")?.body).ok()?;
        let consumer = &status["consumer"];
        let (_, _, memory_kib) = holds(host.process.id());
        Some(View {
            at: Instant::now(),
            read: consumer["entries_read"].as_u64()?,
            lag: consumer["lag"].as_u64(),
            memory_kib,
            lines: host.stderr().matches(WORDS).count() as u64,
            safety: consumer["restart_safety"].clone(),
        })
    }

    /// What is not as it should be, this long after `before`.
    fn complaints_since(&self, before: &View) -> Vec<String> {
        let time = self.at - before.at;
        let lines = self.lines - before.lines;
        let expected = (time.as_secs_f64() / EVERY.as_secs_f64()) as u64;
        let checks = [
            (self.read == before.read, format!("{} entries were read, then {}", before.read, self.read)),
            (
                self.lag.zip(before.lag).is_none_or(|(now, then)| now > then),
                format!("{:?} entries waited, then {:?}", before.lag, self.lag),
            ),
            (self.memory_kib < before.memory_kib + FLAT_KIB, format!("{} KiB were held, then {} KiB", before.memory_kib, self.memory_kib)),
            // The first comes at once, or up to a minute later if one was due just before.
            ((expected.saturating_sub(1)..=expected + 1).contains(&lines), format!("{lines} lines in the log in {time:?}")),
            (
                self.safety["oldest_age_seconds"].as_f64().is_some_and(|age| age >= time.as_secs_f64().floor()),
                format!("restart_safety says {}", self.safety),
            ),
        ];
        checks.into_iter().filter(|(is_well, _)| !is_well).map(|(_, complaint)| complaint).collect()
    }
}

impl World {
    /// The moody exporter refuses for so long, while other things go wrong: those are returned.
    pub fn outage(&mut self, lasts: Duration, faults: &mut Faults) -> Vec<Fault> {
        self.breathe();
        self.tally.outages += 1;
        self.guests.set_mood(Mood::Refuses);
        self.publish_more(MORE);
        let start = Instant::now();
        let mut struck = Vec::new();
        while start.elapsed() + CALM < lasts && self.faults().is_empty() {
            let fault = faults.draw_beside_an_outage();
            self.strike(&fault);
            struck.push(fault);
            std::thread::sleep(faults.pause());
            self.look_after();
        }
        self.server.proxy.heal();
        if let Err(complaint) = self.watch(start + lasts) {
            self.hosts.faults.push(format!("while an exporter was down: {complaint}; {}", self.hosts.words()));
        }
        self.publish_more(0);
        let last = self.server.last_entry();
        self.guests.set_mood(Mood::Takes);
        let begin = Instant::now();
        while !self.server.is_settled_up_to(&last) && begin.elapsed() < DRAIN_PATIENCE && self.faults().is_empty() {
            self.look_after();
            std::thread::sleep(Duration::from_millis(200));
        }
        if begin.elapsed() >= DRAIN_PATIENCE {
            self.hosts
                .faults
                .push(format!("what waited for an exporter did not come out within {DRAIN_PATIENCE:?}; {}", self.hosts.words()));
        }
        println!(
            "after an outage of {:.0} s everything came out within {:.0} s",
            (begin - start).as_secs_f64(),
            begin.elapsed().as_secs_f64()
        );
        struck
    }

    fn publish_more(&self, more: u64) {
        self.senders.iter().for_each(|(publisher, _)| publisher.publish_more(more));
    }

    /// Nothing is read any more, and until `end` that stays so, as does what the host holds; and it says so.
    fn watch(&mut self, end: Instant) -> Result<(), String> {
        let begin = Instant::now();
        let before = loop {
            self.look_after();
            let view = self.hosts.leader().and_then(View::of);
            if let Some(view) = view.filter(|view| view.lines > 0) {
                break view;
            }
            if begin.elapsed() > STANDSTILL_PATIENCE {
                return Err("the log does not say that nothing is read".into());
            }
            std::thread::sleep(Duration::from_millis(200));
        };
        while Instant::now() < end || before.at.elapsed() < EVERY {
            self.look_after();
            std::thread::sleep(Duration::from_millis(500));
        }
        let leader = self.hosts.leader().ok_or("nobody leads")?;
        let after = View::of(leader).ok_or("the host that leads does not answer")?;
        let metrics = leader.get("/metrics").body;
        let mut complaints = after.complaints_since(&before);
        let lag = after.lag.map(|_| "meshtrace_lag_entries");
        for name in lag.into_iter().chain(["meshtrace_oldest_unacknowledged_age_seconds", "meshtrace_pending_entries"]) {
            let shown = metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
            if shown.is_none_or(|value| value <= 0.0) {
                complaints.push(format!("the metric {name} shows {shown:?}"));
            }
        }
        if complaints.is_empty() { Ok(()) } else { Err(complaints.join("; ")) }
    }
}
