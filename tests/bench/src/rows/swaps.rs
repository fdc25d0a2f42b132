//! How long the pipeline stands still while a plugin in it is replaced: what the host says of its longest pause, and, seen from outside, the longest time
//! that an exporter is left without a call, with swaps and without, in turns in the same run. Calls have gaps anyway.
//!
//! Beside the complete pipeline runs an exporter that notes these times, and so does the one that is replaced. Each swap of the exporter
//! brings other bytes, which are compiled beside the traces that flow; each swap of the filter brings other settings.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::throughput::{keeps_up, pipeline};
use super::{Bench, Row};
use crate::flow::{publish_live, reach};
use crate::host::Host;
use crate::load::SPANS;
use crate::policies::{KEPT, SAMPLING};
use crate::report::{Figure, Target};
use crate::server::{Server, progress, wait_within};

pub const ROWS: &[Row] = &[Row {
    name: "swaps",
    about: "the longest time without a call of an exporter while a plugin is replaced, at half the rate that the complete pipeline sustains beside publishers",
    peer: None,
    run: swaps,
}];

/// Swaps of an exporter, and as many of the filter.
const SWAPS: usize = 20;
/// A swap is watched for as long at least, and so is the time before each, in which nothing is swapped.
const WATCHED: Duration = Duration::from_secs(1);
/// What has not happened by then never will; on a busy machine, a successor takes its time to be compiled.
const PATIENCE: Duration = Duration::from_secs(300);
/// The exporter that only watches, and the one that is replaced: the same guest.
const BESIDE: &str = "beside";
const REPLACED: &str = "replaced";
const FILTER: &str = "sampling";

/// The longest times without a call, of the exporter that is never replaced and of the other one.
#[derive(Debug, Clone, Copy, Default)]
struct Gaps {
    beside: Duration,
    replaced: Duration,
}

/// What was seen around the swaps of one plugin, and in the times between them.
#[derive(Debug, Default)]
struct Seen {
    with: Vec<Gaps>,
    without: Vec<Gaps>,
    /// From the file in its place to the successor in its own.
    took: Vec<Duration>,
}

fn swaps(bench: &mut Bench) -> Result<Vec<Figure>> {
    let rate = keeps_up(bench)? / 2.0;
    let guest = bench.guests()?.component("gaps")?;
    let server = Server::start()?;
    let mut host = pipeline(&server, SAMPLING)?
        .plugin(&format!("{BESIDE}.wasm"), &guest)?
        .plugin(&format!("{REPLACED}.wasm"), &guest)?
        .empty_cache()
        .start_reading()?;
    let goes_on = AtomicBool::new(true);
    let (seen, published) = std::thread::scope(|scope| {
        let publisher = scope.spawn(|| publish_live(&server, Some(rate), |_| goes_on.load(Ordering::Relaxed)));
        let seen = watch_swaps(&host, &guest);
        goes_on.store(false, Ordering::Relaxed);
        let published = publisher.join().ok().context("the publisher panicked")??;
        Ok::<_, anyhow::Error>((seen.with_context(|| host.stderr())?, published))
    })?;
    let mut connection = server.connect()?;
    reach(&mut host, &mut connection, "every trace is exported", |progress| progress.acknowledged() >= published)?;
    ensure!(progress(&mut connection)?.pending == 0, "entries are not acknowledged");
    check(&host, published / SPANS)?;
    let pauses = [
        pause(&host, "an exporter is swapped: its longest pause", REPLACED)?,
        pause(&host, "the filter is swapped: longest pause of all", FILTER)?,
    ];
    let peak = host.stop()?;
    let note = format!("{SWAPS} swaps of each kind at {rate:.0} entries/s, half of what is read while it is published");
    let figures = [pauses.to_vec(), figures(&seen).to_vec()].concat();
    Ok(figures.into_iter().map(|figure| figure.peak(peak).note(note.clone())).collect())
}

/// Replaces the exporter, then the filter, again and again.
fn watch_swaps(host: &Host, guest: &[u8]) -> Result<[Seen; 2]> {
    // Traces come out when the first have been quiet for long enough.
    wait_within(PATIENCE, "traces are exported", || Ok((report(host, BESIDE)?.0 > 0).then_some(())))?;
    let exporter = watch(host, REPLACED, |swap| host.put_plugin(&format!("{REPLACED}.wasm"), &stamped(guest, swap)))?;
    let filter = watch(host, FILTER, |swap| {
        // The same policies, one of them by another name.
        host.put_plugin(&format!("{FILTER}.toml"), SAMPLING.replace("\"tenth\"", &format!("\"tenth-{swap}\"")).as_bytes())
    })?;
    Ok([exporter, filter])
}

fn watch(host: &Host, plugin: &str, put: impl Fn(usize) -> Result<()>) -> Result<Seen> {
    let mut seen = Seen::default();
    let mut watched = WATCHED;
    for swap in 1..=SWAPS {
        seen.without.push(gaps_of(host, || {
            std::thread::sleep(watched);
            Ok(())
        })?);
        let begin = Instant::now();
        seen.with.push(gaps_of(host, || {
            put(swap)?;
            wait_within(PATIENCE, &format!("{plugin} is replaced"), || {
                Ok((host.json(&format!("/plugins/{plugin}"))?["swaps"] == swap).then_some(()))
            })?;
            seen.took.push(begin.elapsed());
            std::thread::sleep(WATCHED.saturating_sub(begin.elapsed()));
            Ok(())
        })?);
        // The longer it is watched, the longer a gap may be found.
        watched = begin.elapsed();
    }
    Ok(seen)
}

/// The longest gaps while something goes on. One that has begun by its end belongs to it.
fn gaps_of(host: &Host, during: impl FnOnce() -> Result<()>) -> Result<Gaps> {
    during()?;
    let gap = |plugin| {
        let (_, mut longest) = report(host, plugin)?;
        wait_within(PATIENCE, &format!("{plugin} is called again"), || {
            let (calls, gap) = report(host, plugin)?;
            longest = longest.max(gap);
            Ok((calls > 0).then_some(()))
        })?;
        Ok::<_, anyhow::Error>(longest)
    };
    Ok(Gaps {
        beside: gap(BESIDE)?,
        replaced: gap(REPLACED)?,
    })
}

/// Calls since the last report, and the longest time between two of them.
fn report(host: &Host, plugin: &str) -> Result<(u64, Duration)> {
    let report = host.json(&format!("/plugins/{plugin}/report"))?;
    let number = |key: &str| report[key].as_u64().with_context(|| format!("{plugin} reports {report}"));
    Ok((number("calls")?, Duration::from_nanos(number("longest_ns")?)))
}

/// The component with a section that nobody reads: other bytes, the same plugin.
fn stamped(wasm: &[u8], stamp: usize) -> Vec<u8> {
    let name = format!("swap {stamp}");
    // A custom section: 0, its size, the size of its name, its name. Both sizes fit into a byte.
    let size = name.len() as u8;
    [wasm, &[0, size + 1, size], name.as_bytes()].concat()
}

/// Whether every trace was decided once, and each exporter has taken each that was kept once, whoever was replaced meanwhile.
fn check(host: &Host, traces: u64) -> Result<()> {
    let status = host.status()?;
    let complete = &status["correlator"]["decided"]["complete"];
    ensure!(complete == traces, "{complete} of {traces} traces are decided as complete; the host says {status}");
    let kept = status["filters"]["kept"].as_u64().unwrap_or_default();
    ensure!(KEPT.contains(&(kept as f64 / traces as f64)), "the filter kept {kept} of {traces} traces, which is not what its policies say");
    for name in ["stats", "json", BESIDE, REPLACED] {
        let plugins = status["exporter"]["plugins"].as_array();
        let taken = plugins.and_then(|plugins| plugins.iter().find(|plugin| plugin["name"] == name)).map(|plugin| &plugin["exported"]);
        ensure!(taken.and_then(|taken| taken.as_u64()) == Some(kept), "{name} has taken {taken:?} of {kept} traces");
    }
    for plugin in [BESIDE, REPLACED] {
        let counted = &host.json(&format!("/plugins/{plugin}/report"))?["traces"];
        ensure!(counted == kept, "{plugin} has counted {counted} of {kept} traces");
    }
    for plugin in [REPLACED, FILTER] {
        let of = host.json(&format!("/plugins/{plugin}"))?;
        ensure!(of["swaps"] == SWAPS && of["failed_loads"] == 0, "{plugin} was replaced otherwise than {SWAPS} times: {of}");
    }
    Ok(())
}

fn figures([exporter, filter]: &[Seen; 2]) -> [Figure; 3] {
    let (beside, replaced): (Of, Of) = (|gaps| gaps.beside, |gaps| gaps.replaced);
    [
        ("an exporter is swapped: longest gap of another", exporter, beside),
        ("the filter is swapped: longest gap behind it", filter, beside),
        ("an exporter is swapped: longest gap of its own", exporter, replaced),
    ]
    .map(|(name, seen, of)| {
        let (with, without) = (Spread::of(&seen.with, of), Spread::of(&seen.without, of));
        let took = median(seen.took.clone());
        let figure = Figure::new(name, milliseconds(with.longest), "ms");
        figure.note(format!(
            "without swaps, in as long a time of the same run: {:.1} ms; half of the swaps below {:.1} ms, half of the times without below {:.1} ms; a swap took {:.0} ms from its file on",
            milliseconds(without.longest),
            milliseconds(with.median),
            milliseconds(without.median),
            milliseconds(took),
        ))
    })
}

/// The longest that this plugin took nothing because it was being replaced, as the host says.
fn pause(host: &Host, name: &str, plugin: &str) -> Result<Figure> {
    let of = host.json(&format!("/plugins/{plugin}"))?;
    let longest_ms = of["longest_swap_ms"].as_f64().with_context(|| format!("{plugin} tells of no swap: {of}"))?;
    Ok(Figure::new(name, longest_ms, "ms").target(Target::AtMost(10.0)))
}

/// One of the two.
type Of = fn(&Gaps) -> Duration;

struct Spread {
    longest: Duration,
    median: Duration,
}

impl Spread {
    fn of(gaps: &[Gaps], of: Of) -> Spread {
        let times: Vec<Duration> = gaps.iter().map(of).collect();
        Spread {
            longest: times.iter().max().copied().unwrap_or_default(),
            median: median(times),
        }
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
