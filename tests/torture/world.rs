//! Everything that a run consists of, and what it does to it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use redis::{Commands, Connection};

use super::books::Books;
use super::chance::Chance;
use super::faults::Stage;
use super::guests::Guests;
use super::hostile::{self, Attacker};
use super::incarnations::{Bounds, Incarnations};
use super::publisher::{Publisher, Rate};
use super::reckoning::{Reckoning, Stream};
use super::server::Server;
use super::takeovers::Ending;
use super::traces::Sent;
use super::trimming::Trimmed;
use crate::support::disk::Disk;
use crate::support::eventually;
use crate::support::redis_server::{DEAD, GROUP, STREAM, configure, pending};

/// The longest that a host may take to read again when everything is well, and to have done with what is left at the end.
pub(super) const PATIENCE: Duration = Duration::from_secs(300);

/// Hostile entries in one go, and how many may wait: some traces wait for seconds by their nature.
const FLOOD_CHUNK: usize = 1_000;
const FLOOD_BACKLOG: u64 = 20_000;

/// Kills by the stage of the host's work at which they came. One that waited for its stage in vain came anywhere.
#[derive(Debug, Default, Clone)]
pub struct Kills {
    pub anywhere: u64,
    pub starting: u64,
    pub reading: u64,
    pub exporting: u64,
}

impl Kills {
    pub fn count(&mut self, stage: Stage) {
        let kills = match stage {
            Stage::Anywhere => &mut self.anywhere,
            Stage::Starting => &mut self.starting,
            Stage::Reading => &mut self.reading,
            Stage::Exporting => &mut self.exporting,
        };
        *kills += 1;
    }

    pub fn all(&self) -> u64 {
        self.anywhere + self.starting + self.reading + self.exporting
    }
}

/// How often things went wrong.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    /// Hosts beside each other.
    pub hosts: u64,
    /// How often the lead went from one host to another.
    pub take_overs: u64,
    /// How long nobody led after a leader was killed, and after one had ended, until a host led that had stood by.
    pub after_kill: Vec<Duration>,
    pub after_end: Vec<Duration>,
    /// Exporters that were down for minutes.
    pub outages: u64,
    pub kills: Kills,
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
    /// Moods of the exporter and of the filter, and a Redis without memory.
    pub refusals: u64,
    /// A full, read-only or slow disk.
    pub disk_faults: u64,
    /// Whether there can be any: not everybody may mount a file system.
    pub has_disk: bool,
    pub hostile: u64,
    /// Entries that were published again, because nobody knew whether Redis had them, or because it had forgotten them.
    pub repeated: u64,
    /// Entries that publishers let go of, settled or not.
    pub trimmed: u64,
    /// Of these, what was pending when it went, as Redis wrote it down.
    pub trimmed_pending: u64,
    /// What hosts say they found trimmed while it was pending, and before anybody had read it: as far as they could be asked before they were killed.
    pub counted_pending: u64,
    pub counted_unread: u64,
    pub peak_mib: u64,
    /// Whether nobody has set how much hosts may hold.
    pub has_default_bounds: bool,
}

/// The fields of a dead letter.
type Letter = BTreeMap<Vec<u8>, Vec<u8>>;

/// A run.
pub struct World {
    pub(super) server: Server,
    pub(super) guests: Guests,
    pub(super) disk: Disk,
    pub(super) hosts: Incarnations,
    pub(super) books: Books,
    /// Both are there until the end.
    pub(super) senders: Option<(Publisher, Attacker)>,
    pub(super) tally: Tally,
}

/// How a run ended.
pub struct End {
    pub tally: Tally,
    pub reckoning: Reckoning,
    /// What must not happen, and did.
    pub faults: Vec<String>,
}

impl World {
    /// A run with so many hosts, with these bounds.
    pub fn start(chance: &Chance, rate: Rate, hosts: usize, bounds: Bounds) -> World {
        let (server, guests, disk) = (Server::start(), Guests::new(), Disk::new());
        let mut hosts = Incarnations::new(server.proxy.url(), &guests, &disk, hosts, bounds);
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
            tally: Tally {
                has_default_bounds: bounds == Bounds::Default,
                ..Tally::default()
            },
        }
    }

    /// Hosts that have been killed so far.
    pub fn kills(&self) -> u64 {
        self.tally.kills.all()
    }

    /// What must not happen, and did.
    pub fn faults(&self) -> &[String] {
        &self.hosts.faults
    }

    /// Publishes so many hostile entries, as fast as the host takes them.
    pub fn flood(&mut self, count: u64, chance: &mut Chance) {
        let mut connection = self.server.connect();
        // Redis is not what is tried here.
        configure(&mut connection, "appendonly", "no");
        self.attack_with_monster(&mut connection);
        let mut published = 1;
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

    /// Publishes an entry of fifty megabytes. It is to become a dead letter without its fields, and to be counted as too large.
    fn attack_with_monster(&mut self, connection: &mut Connection) {
        let monster = hostile::publish_one(connection, &hostile::monster()).expect("XADD");
        // Others become dead letters all the time, with fields of any bytes: each is looked at once.
        let mut from = "-".to_owned();
        let buried = eventually("the entry of fifty megabytes is a dead letter", || {
            let letters: Vec<(String, Letter)> = connection.xrange_count(DEAD, &from, "+", 1_000).expect("dead letters");
            if let Some((last, _)) = letters.last() {
                from = format!("({last}");
            }
            let letter =
                letters.into_iter().find(|(_, letter)| letter.get(&b"dead:entry"[..]).is_some_and(|id| id == monster.as_bytes()))?.1;
            let reason = letter.get(&b"dead:reason"[..]).map(|reason| String::from_utf8_lossy(reason).into_owned());
            Some((reason, letter.contains_key(&b"payload"[..])))
        });
        let metrics = self.hosts.leader().expect("it leads").get("/metrics").body;
        let is_unread = buried.0.as_ref().is_some_and(|reason| reason.contains("its fields were not read"));
        assert!(is_unread && !buried.1, "{buried:?}");
        let counted = metrics.lines().find(|line| line.contains("entries_rejected") && line.contains("reason=\"too_large\""));
        assert!(counted.is_some_and(|line| !line.ends_with(" 0")), "{counted:?}");
    }

    /// Sees that there is a host, and reads what can be read by now.
    pub fn look_after(&mut self) {
        self.hosts.supervise();
        self.read_json(false);
        if let Some(mut connection) = self.server.redis.try_connect() {
            // Redis may be out of order: then the next time.
            let _ = self.books.read_dead_letters(&mut connection);
        }
    }

    fn read_json(&mut self, all: bool) {
        for host in 0..self.hosts.count() {
            self.books.read_json("json", &self.disk.json_of(host), all);
        }
    }

    /// Waits until the hosts work, so that faults do not only ever meet one that is starting.
    pub fn breathe(&mut self) {
        if !self.hosts.wait_until_running(PATIENCE) {
            self.hosts.faults.push(format!("no host did read again: {}", self.hosts.words()));
        }
    }

    /// Nothing goes wrong any more: everything that was sent is to come out, and then it is reckoned.
    pub fn end(mut self) -> End {
        self.server.proxy.heal();
        self.breathe();
        let (publisher, attacker) = self.senders.take().expect("they end once");
        self.tally.hostile += attacker.finish();
        (self.tally.repeated, self.tally.trimmed) = (publisher.repeated(), publisher.trimmed());
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
        let (until, counted) = (Timestamp::now(), self.hosts.counted_by_the_living());
        (0..self.hosts.count()).for_each(|place| self.hosts.terminate(place));
        self.reckon(&sent, until, counted)
    }

    /// Reckons what was sent. Hosts that led `until` all was settled say that so many entries were trimmed while they were pending, and could not be read again.
    fn reckon(mut self, sent: &BTreeMap<String, Sent>, until: Timestamp, counted: u64) -> End {
        let mut connection = self.server.connect();
        self.books.read_dead_letters(&mut connection).expect("the dead letters");
        self.read_json(true);
        for name in ["ledger", "moody"] {
            self.guests.books(name).iter().for_each(|book| self.books.read_ledger(name, book));
        }
        self.guests.books("sieve").iter().for_each(|book| self.books.read_decisions(book));
        let (pending, given) = self.server.left();
        let stream = Stream {
            trimmed: Trimmed::read(&mut connection, |at| self.hosts.lives.led_on(at, until)),
            counted,
            pending,
            given,
        };
        let reckoning = Reckoning::of(sent, &self.books, &stream);
        let mut faults = std::mem::take(&mut self.hosts.faults);
        faults.extend(self.books.broken.iter().map(|line| format!("the json exporter left a line that is none: {line}")));
        let Tally { cuts, .. } = self.tally;
        let tally = Tally {
            hosts: self.hosts.count() as u64,
            has_disk: self.disk.is_own(),
            take_overs: self.hosts.lives.take_overs(),
            after_kill: self.hosts.lives.gaps(Ending::Killed),
            after_end: self.hosts.lives.gaps(Ending::Clean),
            cuts: cuts + self.server.proxy.cut(),
            answers: self.server.proxy.answered(),
            peak_mib: self.hosts.peak_kib / 1_024,
            trimmed_pending: stream.trimmed.pending() as u64,
            counted_pending: self.hosts.counted.values().map(|(pending, _)| pending).sum(),
            counted_unread: self.hosts.counted.values().map(|(_, unread)| unread).sum(),
            ..self.tally
        };
        End { tally, reckoning, faults }
    }
}
