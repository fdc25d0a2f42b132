//! Everything that a run consists of, and what it does to it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use redis::Commands;

use super::books::Books;
use super::chance::Chance;
use super::faults::{Fault, Stage};
use super::guests::{Guests, Mood};
use super::hostile::{self, Attacker};
use super::incarnations::Incarnations;
use super::publisher::{Publisher, Rate};
use super::reckoning::Reckoning;
use super::server::Server;
use super::traces::Sent;
use crate::support::disk::Disk;
use crate::support::redis_server::{GROUP, STREAM, configure, pending};

/// The longest that a host may take to read again when everything is well, and to have done with what is left at the end.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long a certain stage of the host's work is waited for before it is killed anyway.
const STAGE_WAIT: Duration = Duration::from_secs(3);

/// Hostile entries in one go, and how many may wait: some traces wait for seconds by their nature.
const FLOOD_CHUNK: usize = 1_000;
const FLOOD_BACKLOG: u64 = 20_000;

/// How often things went wrong.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    pub kills: u64,
    /// Hosts that were asked to end.
    pub terminations: u64,
    /// Restarts of Redis, with and without its last moments, and changes to its replica.
    pub restarts: u64,
    /// Hosts and servers that were stopped and went on.
    pub pauses: u64,
    pub swaps: u64,
    /// Connections that were ended by us or by Redis, often in the middle of something.
    pub cuts: u64,
    /// Commands that were answered with an error in the server's place.
    pub answers: u64,
    /// Moods of the exporter, and faults of the disk.
    pub refusals: u64,
    pub hostile: u64,
    /// Entries that were published again, because nobody knew whether Redis had them, or because it had forgotten them.
    pub repeated: u64,
    pub peak_mib: u64,
}

/// A run.
pub struct World {
    server: Server,
    guests: Guests,
    disk: Disk,
    hosts: Incarnations,
    books: Books,
    /// Both are there until the end.
    senders: Option<(Publisher, Attacker)>,
    tally: Tally,
    is_trimming: bool,
}

/// How a run ended.
pub struct End {
    pub tally: Tally,
    pub reckoning: Reckoning,
    /// What must not happen, and did.
    pub faults: Vec<String>,
}

impl World {
    pub fn start(chance: &Chance, rate: Rate) -> World {
        let (server, guests, disk) = (Server::start(), Guests::new(), Disk::new());
        let mut hosts = Incarnations::new(server.proxy.url(), &guests, &disk);
        hosts.begin();
        hosts.wait_until_running(PATIENCE);
        World {
            senders: Some((
                Publisher::start(server.port.clone(), rate, chance.fork(1)),
                Attacker::start(server.port.clone(), chance.fork(2)),
            )),
            server,
            guests,
            disk,
            hosts,
            books: Books::of(&["ledger", "moody", "json"]),
            tally: Tally::default(),
            is_trimming: rate.max_len.is_some(),
        }
    }

    /// Hosts that have been killed so far.
    pub fn kills(&self) -> u64 {
        self.tally.kills
    }

    /// What must not happen, and did.
    pub fn faults(&self) -> &[String] {
        &self.hosts.faults
    }

    /// Lets something go wrong, and mends it, but for a host that was killed: that one is on its way again.
    pub fn strike(&mut self, fault: &Fault) {
        match *fault {
            Fault::Kill(stage, pause) => self.kill(stage, pause),
            Fault::Terminate => {
                self.tally.terminations += 1;
                self.hosts.terminate();
                self.hosts.begin();
            }
            Fault::PauseHost(time) => {
                self.tally.pauses += 1;
                self.hosts.signal(libc::SIGSTOP);
                std::thread::sleep(time);
                self.hosts.signal(libc::SIGCONT);
            }
            Fault::Mood(mood, time) => {
                self.tally.refusals += 1;
                self.guests.set_mood(mood);
                std::thread::sleep(time);
                self.guests.set_mood(Mood::Takes);
            }
            Fault::Swap => {
                self.tally.swaps += 1;
                self.guests.swap();
            }
            Fault::SwapForNonsense(time) => {
                // A plugin that cannot be loaded stops a start, as it should.
                self.hosts.wait_until_running(PATIENCE);
                self.tally.swaps += 1;
                self.guests.swap_for_nonsense(time);
            }
            Fault::FillDisk(time) => self.sicken(time, Disk::fill),
            Fault::SealDisk(time) => self.sicken(time, Disk::seal),
            ref fault => self.strike_redis(fault),
        }
    }

    fn strike_redis(&mut self, fault: &Fault) {
        let (server, tally) = (&mut self.server, &mut self.tally);
        match *fault {
            // Nobody can tell then what was trimmed and what was forgotten.
            Fault::CutPower(_) | Fault::FailOver if self.is_trimming => {}
            Fault::RestartRedis(down) => {
                tally.restarts += 1;
                server.restart(down);
            }
            Fault::CutPower(lost) => {
                tally.restarts += 1;
                server.cut_power(lost);
            }
            Fault::FailOver => {
                tally.restarts += 1;
                server.fail_over();
            }
            Fault::PauseRedis(time, by_signal) => {
                tally.pauses += 1;
                server.pause(time, by_signal);
            }
            Fault::ExhaustRedis(time) => {
                tally.refusals += 1;
                server.exhaust(time);
            }
            Fault::ForgetGroup => server.forget_group(),
            Fault::KillClients => {
                tally.cuts += 1;
                server.kill_clients();
            }
            Fault::CutReplies(count) => server.proxy.cut_replies(count),
            Fault::CutCommands(count) => server.proxy.cut_commands(count),
            Fault::Stall(time) => {
                tally.pauses += 1;
                server.proxy.stall(time);
            }
            Fault::Answer(command, error, count) => server.proxy.answer(command, error, count),
            _ => {}
        }
    }

    fn kill(&mut self, stage: Stage, pause: Duration) {
        self.tally.kills += 1;
        match stage {
            Stage::Anywhere => {}
            Stage::Starting => {
                self.hosts.kill(Duration::ZERO);
                self.tally.kills += 1;
                std::thread::sleep(pause / 3);
            }
            Stage::Reading => {
                let mut connection = self.server.connect();
                until(|| pending(&mut connection, GROUP) > 0);
            }
            Stage::Exporting => {
                let before = length(&self.guests.ledger("ledger"));
                until(|| length(&self.guests.ledger("ledger")) > before);
            }
        }
        self.hosts.kill(pause);
    }

    fn sicken(&mut self, time: Duration, how: fn(&Disk) -> bool) {
        // A directory that cannot be written stops a start, as it should.
        self.hosts.wait_until_running(PATIENCE);
        if how(&self.disk) {
            self.tally.refusals += 1;
            std::thread::sleep(time);
            self.disk.heal();
        }
    }

    /// Publishes so many hostile entries, as fast as the host takes them.
    pub fn flood(&mut self, count: u64, chance: &mut Chance) {
        let mut connection = self.server.connect();
        // Redis is not what is tried here.
        configure(&mut connection, "appendonly", "no");
        let mut published = 0;
        while published < count && self.faults().is_empty() {
            let mut entries = Vec::new();
            while entries.len() < FLOOD_CHUNK {
                entries.extend(hostile::attack(chance));
            }
            hostile::publish(&mut connection, &entries).expect("XADD");
            published += entries.len() as u64;
            let start = Instant::now();
            while self.server.backlog(&mut connection) > FLOOD_BACKLOG && start.elapsed() < PATIENCE {
                self.look_after();
                std::thread::sleep(Duration::from_millis(20));
            }
            self.server.forget_settled(&mut connection);
        }
        self.tally.hostile += published;
    }

    /// Sees that there is a host, and reads what can be read by now.
    pub fn look_after(&mut self) {
        self.hosts.supervise(false);
        self.books.read_json("json", &self.disk.json(), false);
        if let Some(mut connection) = self.server.redis.try_connect() {
            // Redis may be out of order: then the next time.
            let _ = self.books.read_dead_letters(&mut connection);
        }
    }

    /// Waits until the host works, so that faults do not only ever meet one that is starting.
    pub fn breathe(&mut self) {
        if !self.hosts.wait_until_running(PATIENCE) {
            self.hosts.faults.push(format!("the host did not read again: {}", self.hosts.words()));
        }
    }

    /// Nothing goes wrong any more: everything that was sent is to come out, and then it is reckoned.
    pub fn end(mut self) -> End {
        self.server.proxy.heal();
        self.breathe();
        let (publisher, attacker) = self.senders.take().expect("they end once");
        self.tally.hostile += attacker.finish();
        self.tally.repeated = publisher.repeated();
        let sent = publisher.finish();
        let start = Instant::now();
        while !self.server.is_settled() && start.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(200));
        }
        if !self.server.is_settled() {
            let mut connection = self.server.connect();
            let left = (pending(&mut connection, GROUP), connection.xlen::<_, u64>(STREAM).unwrap_or(0));
            self.hosts.faults.push(format!("not everything came out; pending, and entries in all: {left:?}; {}", self.hosts.words()));
        }
        self.hosts.terminate();
        self.reckon(&sent)
    }

    fn reckon(mut self, sent: &BTreeMap<String, Sent>) -> End {
        let mut connection = self.server.connect();
        let books = &mut self.books;
        books.read_dead_letters(&mut connection).expect("the dead letters");
        books.read_json("json", &self.disk.json(), true);
        for name in ["ledger", "moody"] {
            books.read_ledger(name, &self.guests.ledger(name));
        }
        books.read_dropped(&self.guests.dropped());
        let is_gone = |entry: &str| {
            let mut connection = self.server.connect();
            let found: redis::streams::StreamRangeReply = connection.xrange(STREAM, entry, entry).expect("XRANGE");
            found.ids.is_empty()
        };
        let reckoning = Reckoning::of(sent, &self.books, |entry| self.is_trimming && is_gone(entry));
        let mut faults = self.hosts.faults;
        faults.extend(self.books.broken.iter().map(|line| format!("the json exporter left a line that is none: {line}")));
        let Tally { cuts, .. } = self.tally;
        let tally = Tally {
            cuts: cuts + self.server.proxy.cut(),
            answers: self.server.proxy.answered(),
            peak_mib: self.hosts.peak_kib / 1_024,
            ..self.tally
        };
        End { tally, reckoning, faults }
    }
}

/// Waits for a moment that may not come.
fn until(mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() && start.elapsed() < STAGE_WAIT {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn length(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |about| about.len())
}
