//! The hosts of a run, one after the other: each is killed, stopped or ended, and the next goes on where it was.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::guests::Guests;
use crate::support::disk::Disk;
use crate::support::eventually;
use crate::support::host::{Host, HostBuilder};

/// The host of now, and what was seen of all of them.
pub struct Incarnations {
    url: String,
    json: String,
    plugins: String,
    host: Option<Host>,
    /// The most memory that one of them held, in KiB.
    pub peak_kib: u64,
    /// How many there were.
    pub count: u64,
    /// What must not happen to a host, and did.
    pub faults: Vec<String>,
}

impl Incarnations {
    pub fn new(url: String, guests: &Guests, disk: &Disk) -> Incarnations {
        Incarnations {
            url,
            json: disk.json().display().to_string(),
            plugins: guests.path().display().to_string(),
            host: None,
            peak_kib: 0,
            count: 0,
            faults: Vec::new(),
        }
    }

    /// Starts the next one, and does not wait for it.
    pub fn begin(&mut self) {
        let host = HostBuilder::new(&self.url)
            .set("TRACE_JSON_OUTPUT_DIR", &self.json)
            .set("MESHTRACE_JSON_MODE", "lines")
            .set("MESHTRACE_JSON_MAX_BYTES", "4000000")
            .set("MESHTRACE_JSON_MAX_FILES", "1000")
            .set("TRACE_ENABLE_STATS", "false")
            .set("MESHTRACE_PLUGIN_DIR", &self.plugins)
            .set("MESHTRACE_QUIET_PERIOD", "1s")
            .set("MESHTRACE_PARENT_WAIT", "3s")
            .set("MESHTRACE_MAX_TRACE_AGE", "30s")
            .set("MESHTRACE_MAX_TRACE_SPANS", "2000")
            .set("MESHTRACE_MAX_OPEN_BYTES", "33554432")
            .set("MESHTRACE_STORE_BYTES", "33554432")
            .set("MESHTRACE_MAX_REMEMBERED", "200000");
        self.host = Some(host.start_at_once());
        self.count += 1;
    }

    /// Starts the next one if there is none, or if this one has ended by itself: which it may only when its disk is `sick`, at its start.
    pub fn supervise(&mut self, sick: bool) {
        self.look();
        let Some(host) = &mut self.host else { return self.begin() };
        let Some(status) = host.process.try_wait().expect("a process") else { return };
        let said = host.stderr();
        if !(sick && said.contains("meshtrace: TRACE_JSON_OUTPUT_DIR")) {
            self.faults.push(format!("the host ended by itself with {status}: {}", tail(&said)));
        }
        self.end_of_life();
        self.begin();
    }

    /// Waits until it reads what is new.
    pub fn wait_until_running(&mut self, within: Duration) -> bool {
        let start = Instant::now();
        while start.elapsed() < within {
            self.supervise(false);
            let status = self.host.as_ref().and_then(|host| host.try_get("/trace/status"));
            if status.is_some_and(|answer| answer.json()["consumer"]["status"] == "running") {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }

    /// Kills it; the next one begins after `pause`.
    pub fn kill(&mut self, pause: Duration) {
        self.look();
        if let Some(host) = &mut self.host {
            let _ = (host.process.kill(), host.process.wait());
        }
        self.end_of_life();
        std::thread::sleep(pause);
        self.begin();
    }

    /// Asks it to end, and waits until it has: that takes ten seconds at most.
    pub fn terminate(&mut self) {
        self.look();
        if let Some(host) = &mut self.host {
            host.signal(libc::SIGTERM);
            // One that is just starting has not yet said that it takes signals.
            eventually("the host ends", || host.process.try_wait().expect("a process"));
        }
        self.end_of_life();
    }

    pub fn signal(&self, signal: i32) {
        if let Some(host) = &self.host {
            host.signal(signal);
        }
    }

    /// The end of what the host of now has said, and what it says of itself.
    pub fn words(&self) -> String {
        let Some(host) = &self.host else { return "there is no host".into() };
        let status = host.try_get("/trace/status").map(|answer| answer.body).unwrap_or_default();
        format!("{status}\n{}", tail(&host.stderr()))
    }

    fn look(&mut self) {
        let Some(host) = &self.host else { return };
        let status = fs::read_to_string(Path::new("/proc").join(host.process.id().to_string()).join("status")).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().split(' ').next()?.parse().ok());
        self.peak_kib = self.peak_kib.max(peak.unwrap_or(0));
    }

    /// No life may have seen a panic of the host's own; those of guests carry their names.
    fn end_of_life(&mut self) {
        let Some(host) = self.host.take() else { return };
        let said = host.stderr();
        let panics = said.lines().filter(|line| line.contains("panicked at") && !line.contains("plugin="));
        self.faults.extend(panics.map(|line| format!("the host panicked: {line}")));
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
