//! The hosts of a run: one leads, the others stand by. Each is killed, stopped or ended, and the next one in its place goes on where it was.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::faults::Victim;
use super::guests::Guests;
use super::reckoning::QUIET_MS;
use super::takeovers::{Ending, Lives};
use crate::support::disk::Disk;
use crate::support::eventually;
use crate::support::host::{Host, HostBuilder};

/// What a host says when it begins to lead, and at its moment.
const LEADS: &str = "leading this group";

/// How much a host may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bounds {
    /// So little that a short run reaches them.
    Lowered,
    /// As they are when nobody sets any.
    Default,
}

/// What is lowered, and to what.
const LOWERED: [(&str, &str); 6] = [
    ("MESHTRACE_MAX_TRACE_AGE", "30s"),
    ("MESHTRACE_MAX_TRACE_SPANS", "2000"),
    ("MESHTRACE_MAX_OPEN_BYTES", "33554432"),
    ("MESHTRACE_MAX_QUEUED_BYTES", "16777216"),
    ("MESHTRACE_STORE_BYTES", "33554432"),
    ("MESHTRACE_MAX_REMEMBERED", "200000"),
];

/// The hosts of now, and what was seen of all of them.
pub struct Incarnations {
    url: String,
    /// Where the json exporter of each place writes.
    json: Vec<String>,
    plugins: String,
    bounds: Bounds,
    /// A place for each; nobody is there for a moment after a kill.
    hosts: Vec<Option<Host>>,
    /// The most memory that one of them held, in KiB.
    pub peak_kib: u64,
    pub lives: Lives,
    /// By process, entries that it said were trimmed: while they were pending, and before anybody had read them.
    pub counted: BTreeMap<u32, (u64, u64)>,
    /// What must not happen to a host, and did.
    pub faults: Vec<String>,
}

impl Incarnations {
    pub fn new(url: String, guests: &Guests, disk: &Disk, count: usize, bounds: Bounds) -> Incarnations {
        Incarnations {
            url,
            json: (0..count).map(|place| disk.json_of(place).display().to_string()).collect(),
            plugins: guests.path().display().to_string(),
            bounds,
            hosts: (0..count).map(|_| None).collect(),
            peak_kib: 0,
            lives: Lives::default(),
            counted: BTreeMap::new(),
            faults: Vec::new(),
        }
    }

    pub fn count(&self) -> usize {
        self.hosts.len()
    }

    /// Starts the next one in this place, and does not wait for it.
    pub fn begin(&mut self, place: usize) {
        let host = HostBuilder::new(&self.url)
            .set("TRACE_JSON_OUTPUT_DIR", &self.json[place])
            .set("MESHTRACE_JSON_MODE", "lines")
            .set("MESHTRACE_JSON_MAX_BYTES", "4000000")
            .set("MESHTRACE_JSON_MAX_FILES", "1000")
            .set("TRACE_ENABLE_STATS", "false")
            .set("MESHTRACE_PLUGIN_DIR", &self.plugins)
            .set("MESHTRACE_QUIET_PERIOD", &format!("{QUIET_MS}ms"))
            .set("MESHTRACE_PARENT_WAIT", "3s");
        let bounds: &[_] = if self.bounds == Bounds::Lowered { &LOWERED } else { &[] };
        let host = bounds.iter().fold(host, |host, (name, value)| host.set(name, value)).start_at_once();
        self.lives.began(host.process.id());
        self.hosts[place] = Some(host);
    }

    /// Starts the next one wherever there is none, or one has ended by itself: which none may.
    pub fn supervise(&mut self) {
        self.look();
        for place in 0..self.count() {
            let status = self.hosts[place].as_mut().map(|host| host.process.try_wait().expect("a process"));
            if let Some(None) = status {
                continue;
            }
            if let (Some(Some(status)), Some(host)) = (status, &self.hosts[place]) {
                self.faults.push(format!("a host ended by itself with {status}: {}", tail(&host.stderr())));
            }
            self.end_of_life(place);
            self.begin(place);
        }
    }

    /// Waits until one of them reads what is new, and all the others stand by.
    pub fn wait_until_running(&mut self, within: Duration) -> bool {
        let start = Instant::now();
        while start.elapsed() < within {
            self.supervise();
            let statuses = self.statuses();
            self.note_counted(&statuses);
            let states: Vec<Value> = statuses.into_iter().map(|status| status["consumer"]["status"].clone()).collect();
            let reading = states.iter().filter(|state| **state == "running").count();
            if reading == 1 && states.iter().filter(|state| **state == "standing_by").count() == self.count() - 1 {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }

    /// What each place says of itself: null where nobody answers.
    fn statuses(&self) -> Vec<Value> {
        let status = |host: &Host| serde_json::from_str(&host.try_get("/trace/status")?.body).ok();
        self.hosts.iter().map(|host| host.as_ref().and_then(status).unwrap_or_default()).collect()
    }

    /// Notes what hosts say was trimmed, of those that answered.
    fn note_counted(&mut self, statuses: &[Value]) {
        for (host, status) in self.hosts.iter().zip(statuses) {
            let count = |name: &str| status["consumer"][name].as_u64();
            if let (Some(host), Some(pending), Some(unread)) = (host, count("entries_trimmed"), count("entries_trimmed_unread")) {
                self.counted.insert(host.process.id(), (pending, unread));
            }
        }
    }

    /// Entries that the hosts of now say were trimmed while they were pending.
    pub fn counted_by_the_living(&mut self) -> u64 {
        let statuses = self.statuses();
        self.note_counted(&statuses);
        self.hosts.iter().flatten().filter_map(|host| self.counted.get(&host.process.id())).map(|(pending, _)| pending).sum()
    }

    /// Whom it is to hit. When nobody leads just now, it is anybody.
    pub fn place_of(&self, victim: Victim) -> usize {
        if self.count() == 1 {
            return 0;
        }
        let leader = self.statuses().iter().position(|status| status["consumer"]["role"] == "leader").unwrap_or(0);
        match victim {
            Victim::Leader => leader,
            Victim::Standby => (leader + 1) % self.count(),
        }
    }

    /// The host that leads, if one does.
    pub fn leader(&self) -> Option<&Host> {
        self.hosts[self.place_of(Victim::Leader)].as_ref()
    }

    /// Kills it; the next one begins after `pause`.
    pub fn kill(&mut self, place: usize, pause: Duration) {
        self.look();
        if let Some(host) = &mut self.hosts[place] {
            let _ = (host.process.kill(), host.process.wait());
            self.lives.ended(host.process.id(), Ending::Killed);
        }
        self.end_of_life(place);
        std::thread::sleep(pause);
        self.begin(place);
    }

    /// Asks it to end, and waits until it has: that takes ten seconds at most.
    pub fn terminate(&mut self, place: usize) {
        self.look();
        if let Some(host) = &mut self.hosts[place] {
            host.signal(libc::SIGTERM);
            // One that is just starting has not yet said that it takes signals.
            eventually("the host ends", || host.process.try_wait().expect("a process"));
            self.lives.ended(host.process.id(), Ending::Clean);
        }
        self.end_of_life(place);
    }

    pub fn signal(&self, place: usize, signal: i32) {
        if let Some(host) = &self.hosts[place] {
            host.signal(signal);
        }
    }

    /// The end of what the hosts of now have said, and what they say of themselves.
    pub fn words(&self) -> String {
        let words = |host: &Host| {
            let status = host.try_get("/trace/status").map(|answer| answer.body).unwrap_or_default();
            format!("{status}\n{}", tail(&host.stderr()))
        };
        self.hosts.iter().flatten().map(words).collect::<Vec<_>>().join("\n")
    }

    fn look(&mut self) {
        for host in self.hosts.iter().flatten() {
            let status = fs::read_to_string(Path::new("/proc").join(host.process.id().to_string()).join("status")).unwrap_or_default();
            let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().split(' ').next()?.parse().ok());
            self.peak_kib = self.peak_kib.max(peak.unwrap_or(0));
        }
    }

    /// No life may have seen a panic of the host's own; those of guests carry their names.
    fn end_of_life(&mut self, place: usize) {
        let Some(host) = self.hosts[place].take() else { return };
        let said = host.stderr();
        let panics = said.lines().filter(|line| line.contains("panicked at") && !line.contains("plugin="));
        self.faults.extend(panics.map(|line| format!("the host panicked: {line}")));
        let leads = said.lines().filter(|line| line.contains(LEADS));
        for since in leads.filter_map(|line| line.split(' ').next()?.parse().ok()) {
            self.lives.led(host.process.id(), since);
        }
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
