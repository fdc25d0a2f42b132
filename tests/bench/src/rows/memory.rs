//! What open spans hold, what stored traces hold, and what many open traces cost the others.

use anyhow::{Context, Result};

use super::{Bench, Row};
use crate::flow::{RATE, now_ms, reach};
use crate::host::HostBuilder;
use crate::load::{Publisher, SPANS, Shape};
use crate::measure::{Stopwatch, micros_each, settle};
use crate::report::{Figure, Target};
use crate::server::Server;

pub const ROWS: &[Row] = &[
    Row {
        name: "open-memory",
        about: "memory for a span of an open trace, with 1,000,000 of them",
        peer: None,
        run: open_memory,
    },
    Row {
        name: "stored-memory",
        about: "memory for a trace in the query store, with 100,000 of them",
        peer: None,
        run: stored_memory,
    },
    Row {
        name: "growth",
        about: "what a span costs while 1,000,000 traces are open, and while 1,000 are",
        peer: None,
        run: growth,
    },
];

/// Open spans, and those that come first, so that everything has been used once.
const OPEN_SPANS: u64 = 1_000_000;
const WARM_SPANS: u64 = 50_000;
const STORED: u64 = 100_000;
/// Spans of which the cost is measured, beside traces that stay open.
const MEASURED_SPANS: u64 = 500_000;
/// Bounds that are not reached.
const NO_BOUND: &str = "8589934592";
/// How long ago the first entry was published.
const AGO_MS: u64 = 600_000;

/// The same number of entries again, after `before`.
fn after(before: &Shape, entries: u64) -> Shape {
    Shape {
        traces: entries / SPANS,
        rate: RATE,
        first_ms: before.at_ms(before.entries()) + 1,
        first_trace: before.first_trace + before.traces,
    }
}

fn warm() -> Shape {
    Shape {
        traces: WARM_SPANS / SPANS,
        rate: RATE,
        first_ms: now_ms() - AGO_MS,
        first_trace: 0,
    }
}

fn open_memory(_bench: &mut Bench) -> Result<Vec<Figure>> {
    let server = Server::start()?;
    let builder = HostBuilder::new(&server)?.set("MESHTRACE_QUIET_PERIOD", "1h").set("MESHTRACE_MAX_OPEN_BYTES", NO_BOUND);
    let (mut host, mut publisher, mut connection) = (builder.start_reading()?, Publisher::new(&server)?, server.connect()?);
    let first = warm();
    publisher.publish(&first)?;
    reach(&mut host, &mut connection, "the host reads the first entries", |progress| progress.read >= first.entries())?;
    let before = settled_memory(&host)?;
    let second = after(&first, OPEN_SPANS);
    publisher.publish(&second)?;
    let all = first.entries() + second.entries();
    reach(&mut host, &mut connection, "the host reads the open spans", |progress| progress.read >= all)?;
    let held = settled_memory(&host)?.saturating_sub(before);
    let status = host.status()?;
    let open = status["correlator"]["total_spans"].as_u64().unwrap_or_default();
    anyhow::ensure!(open == all, "{open} of {all} spans are open");
    let counted = status["input"]["open_bytes"].as_f64().unwrap_or_default() / all as f64;
    let figure = Figure::new("memory per open span", held as f64 / OPEN_SPANS as f64, "B").target(Target::AtMost(400.0));
    Ok(vec![figure.peak(host.stop()?).note(format!("the host itself counts {counted:.0} B for a span"))])
}

/// What the host holds when it has nothing to do any more.
fn settled_memory(host: &crate::host::Host) -> Result<u64> {
    // Entries that were read are decoded a moment later; the open spans are as of the last batch.
    settle(host.process())?;
    host.process().resident()
}

fn stored_memory(_bench: &mut Bench) -> Result<Vec<Figure>> {
    let server = Server::start()?;
    let builder = HostBuilder::new(&server)?
        .set("MESHTRACE_QUIET_PERIOD", "100ms")
        .set("MESHTRACE_STORE_TRACES", "1000000")
        .set("MESHTRACE_STORE_BYTES", NO_BOUND);
    let (mut host, mut publisher, mut connection) = (builder.start_reading()?, Publisher::new(&server)?, server.connect()?);
    let first = warm();
    let second = after(&first, STORED * SPANS);
    let mut memory = Vec::new();
    let mut published = 0;
    for shape in [first, second] {
        publisher.publish(&shape)?;
        published += shape.entries();
        reach(&mut host, &mut connection, "the host stores the traces", |progress| progress.acknowledged() >= published)?;
        memory.push(settled_memory(&host)?);
    }
    let held = memory.last().context("it was looked at")?.saturating_sub(memory[0]);
    let status = host.status()?;
    let stored = status["store"]["traces"].as_u64().unwrap_or_default();
    anyhow::ensure!(stored == published / SPANS, "{stored} of {} traces are stored", published / SPANS);
    let counted = status["store"]["bytes"].as_f64().unwrap_or_default() / stored as f64;
    let figure = Figure::new("memory per stored trace of 5 spans", held as f64 / STORED as f64, "B").target(Target::AtMost(3_000.0));
    Ok(vec![figure.peak(host.stop()?).note(format!("the host itself counts {counted:.0} B for a trace"))])
}

fn growth(_bench: &mut Bench) -> Result<Vec<Figure>> {
    let (few, _) = cost_beside(1_000)?;
    let (many, peak) = cost_beside(1_000_000)?;
    let figure = Figure::new("cost with 1,000,000 open traces / with 1,000", many / few, "").target(Target::AtMost(1.3));
    Ok(vec![figure.cpu(many).peak(peak).note(format!("µs per span: {many:.2} and {few:.2}"))])
}

/// Processor time of the host for a span while so many other traces stay open; and its memory.
fn cost_beside(open: u64) -> Result<(f64, u64)> {
    let server = Server::start()?;
    // With this quiet period, 1,000 of the measured traces are open at one time.
    let builder = HostBuilder::new(&server)?
        .set("MESHTRACE_QUIET_PERIOD", "100ms")
        .set("TRACE_TIMEOUT", "1h")
        .set("MESHTRACE_MAX_OPEN_BYTES", NO_BOUND);
    let (mut host, mut publisher, mut connection) = (builder.start_reading()?, Publisher::new(&server)?, server.connect()?);
    let first_ms = now_ms() - AGO_MS;
    for number in 0..open {
        publisher.add_open(&format!("{}-{number}", first_ms + number / 50), u64::MAX / 2 + number);
        if publisher.waiting() >= 500 {
            publisher.flush()?;
        }
    }
    publisher.flush()?;
    let first = Shape {
        first_ms: first_ms + open / 50 + 1,
        ..warm()
    };
    let (mut cost, mut published) = (0.0, open);
    // The first is for warmth.
    for shape in [first, after(&first, MEASURED_SPANS)] {
        let watch = Stopwatch::start(&[host.process()])?;
        publisher.publish(&shape)?;
        published += shape.entries();
        reach(&mut host, &mut connection, "the host acknowledges what is complete", |progress| {
            progress.read >= published && progress.pending <= open
        })?;
        settled_memory(&host)?;
        cost = micros_each(watch.stop()?.cpu[0], shape.entries());
    }
    Ok((cost, host.stop()?))
}
