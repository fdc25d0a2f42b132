//! How fast a backlog goes through, as a share of the discard ceiling, and what it costs.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{Bench, Row, Yardstick};
use crate::flow::{Run, by_stage, publish_live, reach};
use crate::host::HostBuilder;
use crate::policies::{KEEP_ALL, KEPT, SAMPLING};
use crate::report::{Figure, Target};
use crate::server::Server;

pub const ROWS: &[Row] = &[
    Row {
        name: "bare",
        about: "no filter and no exporter: entries to traces and back",
        peer: None,
        run: bare,
    },
    Row {
        name: "sampling-stats",
        about: "the sampling filter and the stats exporter",
        peer: None,
        run: sampling_stats,
    },
    Row {
        name: "complete",
        about: "the sampling filter; stats, json and a guest that reads every column",
        peer: None,
        run: complete,
    },
    Row {
        name: "complete-all-kept",
        about: "the same with a policy that keeps every trace",
        peer: None,
        run: complete_all_kept,
    },
    Row {
        name: "json-files",
        about: "the json exporter, one file per trace",
        peer: None,
        run: json_files,
    },
];

/// Publishers go flat out for so long.
const PUBLISHED_FOR: Duration = Duration::from_secs(10);

/// Rotated files of lines that stay: they are in memory.
const JSON_FILES: &str = "2";

fn bare(bench: &mut Bench) -> Result<Vec<Figure>> {
    let yardstick = bench.yardstick()?;
    let run = yardstick.backlog.run(&yardstick.server, HostBuilder::new(&yardstick.server)?, &[])?;
    let cpu = Figure::new("bare: host CPU per span", run.host_micros(), "µs").target(Target::AtMost(2.5));
    Ok(vec![share("bare: entries/s of the ceiling", yardstick, &run), cpu])
}

fn sampling_stats(bench: &mut Bench) -> Result<Vec<Figure>> {
    let yardstick = bench.yardstick()?;
    let builder = HostBuilder::new(&yardstick.server)?.set("TRACE_EXPORTER_TYPE", "stats").plugin("sampling.toml", SAMPLING)?;
    let run = yardstick.backlog.run(&yardstick.server, builder, &["/trace/stats"])?;
    check(yardstick, &run, Kept::Some, &["stats"])?;
    Ok(vec![share("sampling + stats: entries/s of the ceiling", yardstick, &run).target(Target::AtLeast(0.75))])
}

/// Entries per second that the complete pipeline takes while they are published as fast as Redis takes them: what there is to write for it is not
/// there to be read with.
pub fn keeps_up(bench: &mut Bench) -> Result<f64> {
    if let Some(rate) = bench.keeps_up {
        return Ok(rate);
    }
    let guest = bench.guests()?.component("every-column")?;
    let server = Server::start()?;
    let mut host = pipeline(&server, SAMPLING)?.plugin("every-column.wasm", guest)?.start_reading()?;
    let (mut connection, begin) = (server.connect()?, Instant::now());
    let published = publish_live(&server, None, |elapsed| elapsed < PUBLISHED_FOR)?;
    reach(&mut host, &mut connection, "what was published is read", |progress| progress.read >= published)?;
    let rate = published as f64 / begin.elapsed().as_secs_f64();
    reach(&mut host, &mut connection, "every trace is exported", |progress| progress.acknowledged() >= published)?;
    host.stop()?;
    eprintln!("bench: while they are published, {rate:.0} entries are read per second");
    bench.keeps_up = Some(rate);
    Ok(rate)
}

fn complete(bench: &mut Bench) -> Result<Vec<Figure>> {
    complete_with(bench, "complete", SAMPLING, Kept::Some)
}

fn complete_all_kept(bench: &mut Bench) -> Result<Vec<Figure>> {
    complete_with(bench, "complete, all kept", KEEP_ALL, Kept::All)
}

fn complete_with(bench: &mut Bench, name: &str, policies: &str, kept: Kept) -> Result<Vec<Figure>> {
    let guest = bench.guests()?.component("every-column")?;
    let yardstick = bench.yardstick()?;
    let builder = pipeline(&yardstick.server, policies)?.plugin("every-column.wasm", guest)?;
    let run = yardstick.backlog.run(&yardstick.server, builder, &["/trace/stats"])?;
    check(yardstick, &run, kept, &["stats", "json", "every-column"])?;
    let mut share = share(&format!("{name}: entries/s of the ceiling"), yardstick, &run);
    let mut cpu = Figure::new(&format!("{name}: host CPU per span"), run.host_micros(), "µs");
    if kept == Kept::Some {
        share = share.target(Target::AtLeast(0.5));
        cpu = cpu.target(Target::AtMost(4.0));
    }
    Ok(vec![share, cpu])
}

/// The complete pipeline, but for the guest that reads everything.
pub fn pipeline(server: &Server, policies: &str) -> Result<HostBuilder> {
    HostBuilder::new(server)?
        .set("TRACE_EXPORTER_TYPE", "stats,json")
        .set("MESHTRACE_JSON_MODE", "lines")
        .set("MESHTRACE_JSON_MAX_FILES", JSON_FILES)
        .plugin("sampling.toml", policies)
}

fn json_files(bench: &mut Bench) -> Result<Vec<Figure>> {
    let yardstick = bench.yardstick()?;
    let builder = HostBuilder::new(&yardstick.server)?.set("TRACE_EXPORTER_TYPE", "json");
    let run = yardstick.backlog.run(&yardstick.server, builder, &[])?;
    let per_trace = crate::load::SPANS as f64;
    let figure = Figure::new("json, a file per trace", run.entries_per_second() / per_trace, "traces/s").target(Target::AtLeast(10_000.0));
    Ok(vec![figure.by_cpu(run.by_cpu() / per_trace).cpu(run.host_micros()).peak(run.peak_bytes).note(costs(&run))])
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    All,
    Some,
}

/// The run's entries per second as a share of the ceiling.
fn share(name: &str, yardstick: &Yardstick, run: &Run) -> Figure {
    let ceiling = &yardstick.ceiling;
    Figure::new(name, run.entries_per_second() / ceiling.entries_per_second, "")
        .by_cpu(run.by_cpu() / ceiling.by_cpu())
        .cpu(run.host_micros())
        .peak(run.peak_bytes)
        .note(format!(
            "{:.0} entries/s, by CPU {:.0}; others used {:.0} % of the machine",
            run.entries_per_second(),
            run.by_cpu(),
            run.used.others() * 100.0
        ))
        .note(costs(run))
}

/// Where the processor time went, for people.
fn costs(run: &Run) -> String {
    format!("µs per span: Redis {:.2}; host {:.2} = {}", run.redis_micros(), run.host_micros(), by_stage(&run.threads, run.entries))
}

/// Whether the filter dropped what it should, and every exporter has taken every trace that was kept.
fn check(yardstick: &Yardstick, run: &Run, kept: Kept, exporters: &[&str]) -> Result<()> {
    let traces = yardstick.backlog.traces();
    let passed = run.status["filters"]["kept"].as_u64().unwrap_or_default();
    let share = passed as f64 / traces as f64;
    let expected = if kept == Kept::All { 1.0..=1.0 } else { KEPT };
    if !expected.contains(&share) {
        bail!("the filter kept {passed} of {traces} traces, which is not what its policies say");
    }
    for name in exporters {
        let plugins = run.status["exporter"]["plugins"].as_array();
        let taken = plugins.and_then(|plugins| plugins.iter().find(|plugin| plugin["name"] == *name)).map(|plugin| &plugin["exported"]);
        if taken.and_then(|taken| taken.as_u64()) != Some(passed) {
            bail!("{name} has taken {taken:?} of {passed} traces");
        }
    }
    let counted = &run.answers["/trace/stats"]["total_traces"];
    if counted.as_u64() != Some(passed) {
        bail!("stats has counted {counted} of {passed} traces");
    }
    Ok(())
}
