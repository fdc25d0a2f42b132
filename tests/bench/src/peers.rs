//! Others that do the same job, beside a host that does it: each is given the same spans, measured in the same way, and killed once.
//!
//! - `otelcol`: an OpenTelemetry Collector that samples whole traces. `registry`: MCP Mesh's own consumer. `own`: a host in the place of either.
//! - `otlp`: spans as OTLP over HTTP. `dual`: spans as two events each. `sink`: takes what is handed on as OTLP. `files`: reads what is handed on as files.

mod dual;
mod files;
mod otelcol;
mod otlp;
mod own;
mod registry;
mod sink;

pub use otelcol::Collector;
pub use own::{Job, Own};
pub use registry::Registry;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::load::{SPANS, Shape};
use crate::measure::{Process, Stopwatch, settle};

/// When nothing new has been handed on for so long, and all of it is due, nothing more will come.
const STILL: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Which traces are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Failed ones, slow ones, and a tenth of the rest.
    Some,
    All,
}

/// How many spans of a trace were handed on, each counted once, by trace id.
pub type Traces = BTreeMap<String, u64>;

/// Somebody who takes spans and hands on traces.
pub trait Contender {
    /// What is measured.
    fn process(&self) -> Process;

    /// The log that it reads from, if it needs one.
    fn log(&self) -> Option<Process>;

    /// Gives it all spans of these traces, and waits until it has taken them.
    fn take(&mut self, traces: Range<u64>) -> Result<()>;

    /// Kills it as `kill -9` does, and starts it again as it was.
    fn kill_and_restart(&mut self) -> Result<()>;

    /// Grows with what it has handed on, and is this for so many whole traces.
    fn progress(&self) -> Result<u64>;
    fn progress_of(&self, traces: u64) -> u64;

    /// What it has handed on.
    fn handed_on(&self) -> Result<Traces>;

    /// After its last span, everything that is to be handed on is by then.
    fn due_after(&self) -> Duration;

    /// What it has said.
    fn stderr(&self) -> String;
}

/// What it took to handle so many spans.
#[derive(Debug)]
pub struct Cost {
    pub spans: u64,
    pub cpu: Duration,
    /// Processor time of the log.
    pub log_cpu: Option<Duration>,
    /// What the peak of its memory grew by while it held all of them, and what its memory had grown by when it had come to rest.
    pub peak_bytes: u64,
    pub rest_bytes: u64,
    /// The same at rest of the log.
    pub log_bytes: Option<u64>,
    pub handed_on: Traces,
    /// The share of the machine that others used, the bench that feeds it among them.
    pub others: f64,
}

impl Cost {
    pub fn spans_per_cpu_second(&self) -> f64 {
        self.spans as f64 / self.cpu.as_secs_f64()
    }

    pub fn bytes_per_span(&self) -> f64 {
        self.peak_bytes as f64 / self.spans as f64
    }
}

/// What came of a kill.
#[derive(Debug)]
pub struct Loss {
    /// Traces that were open when it was killed, and all.
    pub open: u64,
    pub traces: u64,
    /// Those that were never handed on as a whole.
    pub lost: u64,
}

/// Gives it so many traces that have to be held together, and waits until all that is kept of them was handed on.
pub fn cost(contender: &mut dyn Contender, traces: u64) -> Result<Cost> {
    settle(contender.process())?;
    let before = contender.process().resident()?;
    let log_before = contender.log().map(Process::resident).transpose()?;
    let processes: Vec<Process> = std::iter::once(contender.process()).chain(contender.log()).collect();
    let watch = Stopwatch::start(&processes)?;
    contender.take(0..traces).with_context(|| contender.stderr())?;
    settle(contender.process())?;
    let (peak, rest) = (contender.process().peak()?, contender.process().resident()?);
    let log_rest = contender.log().map(Process::resident).transpose()?;
    ensure!(contender.progress()? == 0, "traces were decided before all were there: others keep the machine too busy for this");
    wait_until_handed_on(contender, traces)?;
    let used = watch.stop()?;
    Ok(Cost {
        spans: traces * SPANS,
        cpu: used.cpu[0],
        log_cpu: used.cpu.get(1).copied(),
        peak_bytes: peak.saturating_sub(before),
        rest_bytes: rest.saturating_sub(before),
        log_bytes: log_rest.zip(log_before).map(|(rest, before)| rest.saturating_sub(before)),
        handed_on: contender.handed_on()?,
        others: used.others(),
    })
}

/// Gives it half of the traces, kills it while it holds all of these, gives it the others, and looks what it hands on, if all are to be kept.
pub fn loss(contender: &mut dyn Contender, traces: u64) -> Result<Loss> {
    let open = traces / 2;
    contender.take(0..open).with_context(|| contender.stderr())?;
    settle(contender.process())?;
    ensure!(contender.progress()? == 0, "traces were decided before it could be killed: others keep the machine too busy for this");
    contender.kill_and_restart().with_context(|| contender.stderr())?;
    contender.take(open..traces).with_context(|| contender.stderr())?;
    wait_until_handed_on(contender, traces)?;
    let whole = contender.handed_on()?.values().filter(|spans| **spans == SPANS).count() as u64;
    Ok(Loss { open, traces, lost: traces - whole })
}

fn wait_until_handed_on(contender: &dyn Contender, traces: u64) -> Result<()> {
    let begin = Instant::now();
    let (mut progress, mut since) = (0, begin);
    while progress < contender.progress_of(traces) {
        let now = contender.progress()?;
        if now != progress {
            (progress, since) = (now, Instant::now());
        }
        if begin.elapsed() > contender.due_after() && since.elapsed() > STILL {
            break;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// The traces of `range`, spans of a thousand in turns.
fn shape(range: &Range<u64>) -> Shape {
    Shape {
        traces: range.end - range.start,
        rate: u64::MAX,
        first_ms: 0,
        first_trace: range.start,
    }
}

/// What a program says of its version.
pub fn version(program: &Path) -> Result<String> {
    let output = Command::new(program).arg("--version").output();
    let output = output.with_context(|| format!("{} cannot be started", program.display()))?;
    match String::from_utf8_lossy(&output.stdout).lines().next() {
        Some(line) if output.status.success() => Ok(line.trim().to_owned()),
        _ => bail!("{} --version fails: {}", program.display(), String::from_utf8_lossy(&output.stderr).trim()),
    }
}
