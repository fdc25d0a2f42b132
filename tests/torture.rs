//! The fault harness: numbered traces are published, everything is broken at random from a seed, and at the end every single trace and every one of its
//! spans is accounted for.
//!
//! `cargo xtask torture` runs it for longer. What a run does follows from its seed; when exactly it meets the host does not.
//!
//! - `traces`, `publisher`, `hostile`: what is sent; `trimming`: what is trimmed of it. `faults`: what goes wrong; `strikes`: how; `outage`: for long. `world`: to whom; `server`,
//!   `incarnations`, `guests` are its parts; `takeovers`: who led when.
//! - `books`: what became of traces. `reckoning`: whether that is all. `report`: in one row.

mod books;
mod chance;
mod faults;
pub mod guests;
mod hostile;
mod incarnations;
/// How the ids of numbered traces begin: the guests read the same file.
#[path = "evil/torture.rs"]
mod marks;
mod outage;
mod publisher;
mod reckoning;
mod report;
pub mod server;
mod strikes;
mod takeovers;
mod traces;
mod trimming;
mod world;

use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

use chance::Chance;
use faults::{Fault, Faults};
use incarnations::Bounds;
use publisher::Rate;
use world::{End, World};

use crate::support::disk::HOSTS;

/// A run as it is part of all tests.
const MINUTES: f64 = 2.0;
const SEED: u64 = 12;
const TRACES_PER_SECOND: u64 = 20;
/// A host is killed at least so often in half an hour.
const KILLS_PER_MINUTE: f64 = 50.0 / 30.0;
/// The group is lost so often: each time all that was ever published comes again.
const MINUTES_PER_LOST_GROUP: f64 = 10.0;
/// One leads and one stands by, unless another number of hosts is asked for.
const HOSTS_OF_ALL: usize = 2;
/// A run of so many minutes has time for pauses of half a minute.
const LONG: f64 = 10.0;
/// One of so many minutes has an outage of so many, unless another one is asked for.
const LONG_ENOUGH_FOR_AN_OUTAGE: f64 = 20.0;
const OUTAGE_MINUTES: f64 = 10.0;
/// Of so many faults, after one the host is given the time to work again.
const BREATHE_EVERY: usize = 3;
/// Hostile entries as they are part of all tests.
const HOSTILE: u64 = 100_000;
/// A short run with three hosts.
const THREE: usize = 3;
const MINUTES_OF_THREE: f64 = 0.4;
/// A short run with a short stream: entries that publishers keep, about.
const SHORT_STREAM: usize = 1_500;
const MINUTES_OF_SHORT_STREAM: f64 = 0.3;
/// What a host may hold at most: its settings here allow 32 MiB of open traces and as much for queries; texts, queues, plugins, and an entry of
/// fifty megabytes, which is held some times over while it is taken apart, come on top.
const PEAK_MIB: u64 = 768;
/// Likewise where nobody has set a bound: 512 MiB of open traces, 256 MiB that wait and 256 MiB for queries, and what is made of them.
const PEAK_MIB_BY_DEFAULT: u64 = 2_048;
/// What a failure names, of each kind.
const NAMED: usize = 20;

/// A value of the environment; `default` where it is not set.
fn setting<T: FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}: another value is wanted")))
}

/// Scenario: traces of known spans are published while hosts are killed, ended and paused, Redis is restarted, robbed of its last second, replaced by its
/// replica, paused and exhausted, connections are cut, commands are refused, exporters stall, fail, trap and are swapped, disks are full, read-only and
/// slow, and others publish nonsense.
/// Guarantees: every trace, with all its spans, was exported by every exporter, or dropped by the filter, or is in the dead-letter stream; hosts neither
/// panic nor end by themselves; when nothing goes wrong any more, nothing stays pending.
#[test]
fn nothing_is_lost_whatever_breaks() {
    let plan = Plan::from_settings();
    let (end, struck) = run(&plan);
    let table = report::table(plan.seed, plan.minutes, &end);
    if let Some(file) = setting::<PathBuf>("MESHTRACE_TORTURE_REPORT") {
        report::append(&file, &table);
    }
    check(&plan.command(), &table, &end, &struck);
}

/// Scenario: as above, shortly, with three hosts: of two that stand by one takes over, and the other goes on standing by.
/// Guarantees: as above.
#[test]
fn of_three_hosts_nothing_is_lost_whichever_leads() {
    let plan = Plan {
        seed: SEED,
        minutes: MINUTES_OF_THREE,
        hosts: THREE,
        max_len: None,
        outage_minutes: None,
    };
    let (end, struck) = run(&plan);
    check(&plan.command(), &report::table(plan.seed, plan.minutes, &end), &end, &struck);
}

/// Scenario: as above, shortly, and publishers keep a stream of a few seconds.
/// Guarantees: as above, but for what they trimmed before it was settled.
#[test]
fn of_a_short_stream_nothing_is_lost_but_what_was_trimmed_unsettled() {
    let plan = Plan {
        seed: SEED,
        minutes: MINUTES_OF_SHORT_STREAM,
        hosts: 1,
        max_len: Some(SHORT_STREAM),
        outage_minutes: None,
    };
    let (end, struck) = run(&plan);
    check(&plan.command(), &report::table(plan.seed, plan.minutes, &end), &end, &struck);
    assert!(end.tally.trimmed > 0, "the stream has been trimmed");
}

/// What a run is to be.
struct Plan {
    seed: u64,
    minutes: f64,
    hosts: usize,
    max_len: Option<usize>,
    /// How long an exporter is to be down.
    outage_minutes: Option<f64>,
}

impl Plan {
    fn from_settings() -> Plan {
        let minutes = setting("MESHTRACE_TORTURE_MINUTES").unwrap_or(MINUTES);
        let hosts = setting("MESHTRACE_TORTURE_HOSTS").unwrap_or(HOSTS_OF_ALL);
        assert!((1..=HOSTS).contains(&hosts), "{hosts} hosts: 1 to {HOSTS} are allowed");
        let outage_minutes = setting("MESHTRACE_TORTURE_OUTAGE").or((minutes >= LONG_ENOUGH_FOR_AN_OUTAGE).then_some(OUTAGE_MINUTES));
        let longest = outage_minutes.unwrap_or(0.0);
        assert!(longest <= minutes, "an outage of {longest} minutes does not fit into a run of {minutes}");
        Plan {
            seed: setting("MESHTRACE_TORTURE_SEED").unwrap_or(SEED),
            minutes,
            hosts,
            max_len: setting("MESHTRACE_TORTURE_MAXLEN"),
            outage_minutes,
        }
    }

    /// The command that does it again.
    fn command(&self) -> String {
        let Plan { seed, minutes, hosts, .. } = self;
        let max_len = self.max_len.map_or(String::new(), |length| format!(" --maxlen {length}"));
        let outage = self.outage_minutes.map_or(String::new(), |minutes| format!(" --outage {minutes}"));
        format!("cargo xtask torture --minutes {minutes} --seed {seed} --hosts {hosts}{max_len}{outage}")
    }
}

/// All is accounted for, nothing happened that must not, and most traces took the way that they should.
#[track_caller]
fn check(command: &str, table: &str, end: &End, struck: &[String]) {
    println!("{table}");
    if end.tally.trimmed > 0 {
        println!("{}", report::trimmed(&end.tally));
    }
    end.reckoning.excused.iter().for_each(|excused| println!("excused: {excused}"));
    let End { reckoning, faults, tally } = end;
    let named = |all: &[String]| all.iter().take(NAMED).cloned().collect::<Vec<_>>().join("\n  ");
    assert!(
        reckoning.is_balanced() && faults.is_empty(),
        "{command}\n{table}\nlost:\n  {}\nwrong:\n  {}\nexcused:\n  {}\nfaults:\n  {}\nlast that went wrong on purpose:\n  {}",
        named(&reckoning.lost),
        named(&reckoning.wrong),
        named(&reckoning.excused),
        named(faults),
        struck[struck.len().saturating_sub(NAMED)..].join("\n  ")
    );
    let came_through = reckoning.exported > reckoning.sent / 2;
    assert!(came_through, "{command}\n{table}\nless than half of all traces were exported; if the rest was trimmed, --maxlen is too short");
    let most = if tally.has_default_bounds { PEAK_MIB_BY_DEFAULT } else { PEAK_MIB };
    assert!(tally.peak_mib < most, "{command}\n{table}\nthe host held more than {most} MiB");
}

/// Scenario: entries from a generator, as fast as the host takes them, among traces of known spans: bytes of all values, huge values, too many fields and
/// spans, many traces of one span, cycles, contradictions, times and ids as there are none, and one of fifty megabytes.
/// Guarantees: the good traces come out with all their spans; the host neither panics nor ends; it holds no more memory than its bounds come to.
#[test]
fn hostile_entries_cost_neither_memory_nor_a_good_trace() {
    let seed = setting("MESHTRACE_TORTURE_SEED").unwrap_or(SEED);
    let count = setting("MESHTRACE_TORTURE_HOSTILE").unwrap_or(HOSTILE);
    let by_default = setting("MESHTRACE_TORTURE_DEFAULT_BOUNDS").unwrap_or(false);
    let chance = Chance::new(seed);
    let mut world = World::start(
        &chance,
        Rate {
            traces_per_second: 5 * TRACES_PER_SECOND,
            max_len: None,
        },
        1,
        if by_default { Bounds::Default } else { Bounds::Lowered },
    );
    let start = Instant::now();
    world.flood(count, &mut chance.fork(4));
    println!("{count} hostile entries in {:.1} s", start.elapsed().as_secs_f64());
    let end = world.end();
    let bounds = if by_default { " --default-bounds" } else { "" };
    let table = report::table(seed, 0.0, &end);
    if let Some(file) = setting::<PathBuf>("MESHTRACE_TORTURE_REPORT") {
        report::append(&file, &table);
    }
    check(&format!("cargo xtask torture --hostile {count} --seed {seed}{bounds}"), &table, &end, &[]);
}

/// Runs, and says what went wrong on purpose.
fn run(plan: &Plan) -> (End, Vec<String>) {
    let Plan { minutes, hosts, max_len, .. } = *plan;
    let chance = Chance::new(plan.seed);
    let rate = Rate {
        traces_per_second: TRACES_PER_SECOND,
        max_len,
    };
    let mut world = World::start(&chance, rate, hosts, Bounds::Lowered);
    let groups_to_lose = (minutes / MINUTES_PER_LOST_GROUP).ceil() as u32;
    let mut faults = Faults::new(chance.fork(3), groups_to_lose, minutes >= LONG, hosts, max_len.is_none());
    let (start, lasts) = (Instant::now(), of_minutes(minutes));
    let kills = (minutes * KILLS_PER_MINUTE) as u64;
    let mut outage = plan.outage_minutes.map(of_minutes);
    // Early enough that much goes wrong afterwards, too.
    let outage_at = outage.map(|outage| (lasts - outage).mul_f64(chance.fork(5).within(20..60) as f64 / 100.0));
    let mut struck = Vec::new();
    while (start.elapsed() < lasts || world.kills() < kills || outage.is_some()) && world.faults().is_empty() {
        let moment = |fault: &Fault| format!("{:7.1} s {fault:?}", start.elapsed().as_secs_f64());
        if let Some(lasts) = outage.take_if(|_| outage_at.is_some_and(|at| start.elapsed() >= at)) {
            struck.push(format!("{:7.1} s an outage of {lasts:?}", start.elapsed().as_secs_f64()));
            struck.extend(world.outage(lasts, &mut faults).iter().map(|fault| format!("in the outage: {fault:?}")));
        }
        let fault = faults.draw();
        struck.push(moment(&fault));
        world.strike(&fault);
        std::thread::sleep(faults.pause());
        world.look_after();
        if struck.len().is_multiple_of(BREATHE_EVERY) {
            world.breathe();
        }
    }
    (world.end(), struck)
}

fn of_minutes(minutes: f64) -> Duration {
    Duration::from_secs_f64(minutes * 60.0)
}
