//! Processors and memory, as the kernel counts them.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::server::wait_until;

/// The kernel counts processor time in this unit.
const TICK: Duration = Duration::from_millis(10);
/// More work than this waiting for processors before anything was started: somebody else is busy.
const BUSY_LOAD: f64 = 0.5;

/// A running process.
#[derive(Debug, Clone, Copy)]
pub struct Process(pub u32);

impl Process {
    /// Processor time that it has used, its own and the kernel's for it.
    pub fn cpu(self) -> Result<Duration> {
        cpu_in(&format!("/proc/{}/stat", self.0))
    }

    /// The same by thread name; of threads that have ended nothing is left. Threads of one name are one.
    pub fn threads(self) -> Result<BTreeMap<String, Duration>> {
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir(format!("/proc/{}/task", self.0))? {
            let path = entry?.path();
            // A thread may end meanwhile.
            let (Ok(name), Ok(runs)) = (fs::read_to_string(path.join("comm")), fs::read_to_string(path.join("schedstat"))) else {
                continue;
            };
            let nanos = runs.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or_default();
            *threads.entry(name.trim().to_owned()).or_default() += Duration::from_nanos(nanos);
        }
        Ok(threads)
    }

    /// Bytes of memory that it holds now.
    pub fn resident(self) -> Result<u64> {
        self.status("VmRSS:")
    }

    /// Bytes of memory that it has held at most.
    pub fn peak(self) -> Result<u64> {
        self.status("VmHWM:")
    }

    fn status(self, key: &str) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.0)).context("the process has ended")?;
        let line = text.lines().find_map(|line| line.strip_prefix(key)).context("the kernel does not say what memory it has")?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib * 1024)
    }
}

/// Waits until a process has nothing to do any more.
pub fn settle(process: Process) -> Result<()> {
    let mut before = process.cpu()?;
    wait_until("the process comes to rest", || {
        std::thread::sleep(Duration::from_millis(200));
        let now = process.cpu()?;
        let rests = now.saturating_sub(before) < Duration::from_millis(20);
        before = now;
        Ok(rests.then_some(()))
    })
}

fn cpu_in(path: &str) -> Result<Duration> {
    let text = fs::read_to_string(path).context("the process has ended")?;
    // The name in parentheses may hold anything; the numbers come after it.
    let numbers: Vec<&str> = text.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |at: usize| numbers.get(at).and_then(|number| number.parse::<u32>().ok()).unwrap_or_default();
    Ok(TICK * (ticks(11) + ticks(12)))
}

/// The machine, and who else used it when the bench began.
#[derive(Debug, Clone)]
pub struct Machine {
    processors: usize,
    model: String,
    load: f64,
}

impl Machine {
    pub fn look() -> Machine {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let model = read("/proc/cpuinfo")
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name.to_owned()));
        Machine {
            processors: processors(),
            model: model.unwrap_or_else(|| "unknown".to_owned()),
            load: read("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default(),
        }
    }

    /// For people.
    pub fn describe(&self) -> String {
        let Machine { processors, model, load } = self;
        let mut text = format!("{processors} processors ({model}), load average {load:.2} at the start.");
        if *load > BUSY_LOAD {
            text.push_str(
                "\nWARNING: others use this machine too. What is said per second is less than it could be; processor time per span is what to go by,\
                 \nand `by CPU`: what the processor times would come to if the machine were ours alone.",
            );
        }
        text
    }

    pub fn json(&self) -> Value {
        json!({"processors": self.processors, "model": self.model, "load_average_at_start": self.load})
    }
}

/// Processors of this machine.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What processes used between two moments.
#[derive(Debug)]
pub struct Stopwatch {
    processes: Vec<Process>,
    cpu: Vec<Duration>,
    busy: Duration,
    begin: Instant,
}

/// What was used, by process in the order in which they were given.
#[derive(Debug, Clone)]
pub struct Used {
    pub wall: Duration,
    pub cpu: Vec<Duration>,
    /// What all processes of the machine together used.
    pub busy: Duration,
}

impl Stopwatch {
    pub fn start(processes: &[Process]) -> Result<Stopwatch> {
        Ok(Stopwatch {
            processes: processes.to_vec(),
            cpu: processes.iter().map(|process| process.cpu()).collect::<Result<_>>()?,
            busy: busy()?,
            begin: Instant::now(),
        })
    }

    pub fn stop(&self) -> Result<Used> {
        let wall = self.begin.elapsed();
        let since = |(process, before): (&Process, &Duration)| Ok(process.cpu()?.saturating_sub(*before));
        Ok(Used {
            wall,
            cpu: self.processes.iter().zip(&self.cpu).map(since).collect::<Result<_>>()?,
            busy: busy()?.saturating_sub(self.busy),
        })
    }
}

impl Used {
    /// The share of the machine that others used, 0 to 1; what the bench itself used counts as theirs, if it is not given as a process.
    pub fn others(&self) -> f64 {
        let own: Duration = self.cpu.iter().sum();
        let all = self.wall.as_secs_f64() * processors() as f64;
        ((self.busy.as_secs_f64() - own.as_secs_f64()) / all).clamp(0.0, 1.0)
    }
}

/// Processor time that the whole machine has used.
fn busy() -> Result<Duration> {
    let text = fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().and_then(|line| line.strip_prefix("cpu ")).context("/proc/stat begins with all processors")?;
    let ticks: Vec<u64> = line.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; what follows is part of user.
    let busy: u64 = [0, 1, 2, 5, 6, 7].iter().filter_map(|at| ticks.get(*at)).sum();
    Ok(Duration::from_millis(busy * TICK.as_millis() as u64))
}

/// Microseconds per one of `count`.
pub fn micros_each(time: Duration, count: u64) -> f64 {
    time.as_secs_f64() * 1e6 / count.max(1) as f64
}
