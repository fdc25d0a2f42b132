//! How long it takes: from a trace's end to its export, and to the answer to a query, while there is work to do.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{Bench, Row, throughput};
use crate::flow::{by_stage, publish_live, reach, since};
use crate::host::HostBuilder;
use crate::load::SPANS;
use crate::report::{Figure, Target};
use crate::server::{Server, progress, wait_within};

pub const ROWS: &[Row] = &[
    Row {
        name: "lag",
        about: "from the end of the quiet period to the export, at half the rate that the complete pipeline sustains beside publishers",
        peer: None,
        run: lag,
    },
    Row {
        name: "queries",
        about: "/trace/list and /trace/search over 100,000 traces while a backlog is read",
        peer: None,
        run: queries,
    },
];

/// The default.
const QUIET_MS: f64 = 5_000.0;
const PUBLISHED_FOR: Duration = Duration::from_secs(20);
/// Longer than the quiet period.
const PATIENCE: Duration = Duration::from_secs(120);

fn lag(bench: &mut Bench) -> Result<Vec<Figure>> {
    let rate = throughput::keeps_up(bench)? / 2.0;
    let guest = bench.guests()?.component("lag")?;
    let server = Server::start()?;
    let mut host = HostBuilder::new(&server)?.plugin("lag.wasm", guest)?.start_reading()?;
    let threads = host.process().threads()?;
    let published = publish_live(&server, Some(rate), |elapsed| elapsed < PUBLISHED_FOR)?;
    let mut connection = server.connect()?;
    reach(&mut host, &mut connection, "every trace is exported", |progress| progress.acknowledged() >= published)?;
    let threads = since(&threads, host.process().threads()?);
    let report = host.json("/plugins/lag/report")?;
    let number = |key: &str| report[key].as_f64().with_context(|| format!("the guest reports {report}"));
    ensure!(number("traces")? as u64 == published / SPANS, "{report}, but {} traces were published", published / SPANS);
    let late = |ms: f64| (ms - QUIET_MS).max(0.0);
    let figure = Figure::new("export lag after the quiet period, p99", late(number("p99_ms")?), "ms").target(Target::AtMost(100.0));
    let note = format!("at {rate:.0} entries/s, half of what is read while it is published; p50 {:.0} ms", late(number("p50_ms")?));
    let costs = format!("µs per span, read as they come: {}", by_stage(&threads, published));
    Ok(vec![figure.peak(host.stop()?).note(note).note(costs)])
}

const STORED: u64 = 100_000;

fn queries(bench: &mut Bench) -> Result<Vec<Figure>> {
    let yardstick = bench.yardstick()?;
    ensure!(yardstick.backlog.traces() > STORED * 3 / 2, "this row wants --entries {} at least", STORED * SPANS * 2);
    let server = &yardstick.server;
    server.forget_readers()?;
    let builder = HostBuilder::new(server)?.set("MESHTRACE_STORE_TRACES", "10000000").set("MESHTRACE_STORE_BYTES", "8589934592");
    let mut host = builder.start()?;
    let stored = |status: &serde_json::Value| status["store"]["traces"].as_u64().unwrap_or_default();
    wait_within(PATIENCE, "the traces are stored", || {
        host.check()?;
        // It may not answer yet.
        Ok(host.status().ok().filter(|status| stored(status) >= STORED))
    })?;
    let (paths, mut connection) =
        (["/trace/list?limit=20", "/trace/search?operation=plan&min_duration_ms=1000&limit=20"], server.connect()?);
    let mut times = [Vec::new(), Vec::new()];
    while progress(&mut connection)?.acknowledged() < yardstick.backlog.shape.entries() {
        for (path, times) in paths.iter().zip(&mut times) {
            let begin = Instant::now();
            host.get(path)?;
            times.push(begin.elapsed());
        }
    }
    let held = stored(&host.status()?);
    let peak = host.stop()?;
    let mut figures = Vec::new();
    for ((name, most), times) in [("/trace/list, p99", 5.0), ("/trace/search, p99", 20.0)].into_iter().zip(&mut times) {
        times.sort_unstable();
        ensure!(!times.is_empty(), "the backlog was read before anything could be asked");
        let at = |per_cent: usize| times[(times.len() * per_cent / 100).min(times.len() - 1)].as_secs_f64() * 1e3;
        let note = format!("{} answers while {STORED} to {held} traces were stored; p50 {:.2} ms; a connection each", times.len(), at(50));
        figures.push(Figure::new(name, at(99), "ms").target(Target::AtMost(most)).peak(peak).note(note));
    }
    Ok(figures)
}
