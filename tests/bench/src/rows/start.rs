//! From the start of the process to the first entry read.

use std::time::Duration;

use anyhow::Result;

use super::{Bench, Row};
use crate::flow::{now_ms, reach};
use crate::host::HostBuilder;
use crate::load::{Publisher, Shape};
use crate::report::{Figure, Target};
use crate::server::Server;

pub const ROWS: &[Row] = &[Row {
    name: "cold-start",
    about: "from the start to the first entry read, with ten plugins that are in the cache",
    peer: None,
    run: cold_start,
}];

const PLUGINS: usize = 10;
const GUESTS: [&str; 5] = ["every-column", "span-columns", "trace-columns", "nothing", "judge"];
/// The first start compiles; the median of the others counts.
const STARTS: usize = 8;

fn cold_start(bench: &mut Bench) -> Result<Vec<Figure>> {
    let guests = bench.guests()?;
    let components = GUESTS.iter().map(|name| guests.component(name)).collect::<Result<Vec<_>>>()?;
    let server = Server::start()?;
    Publisher::new(&server)?.publish(&Shape {
        traces: 1_000,
        rate: 1_000,
        first_ms: now_ms() - 60_000,
        first_trace: 0,
    })?;
    let mut connection = server.connect()?;
    let mut times = Vec::new();
    for _ in 0..STARTS {
        server.forget_readers()?;
        let mut builder = HostBuilder::new(&server)?;
        for number in 0..PLUGINS {
            builder = builder.plugin(&format!("p{number}.wasm"), &components[number % components.len()])?;
        }
        let mut host = builder.start()?;
        reach(&mut host, &mut connection, "the host reads the first entry", |progress| progress.read > 0)?;
        times.push(host.begin.elapsed());
    }
    let first = times.remove(0);
    times.sort_unstable();
    let median = times[times.len() / 2];
    let figure = Figure::new("cold start to the first entry read", milliseconds(median), "ms").target(Target::AtMost(300.0));
    Ok(vec![figure.note(format!(
        "fastest {:.0} ms, slowest {:.0} ms; the first, which may have compiled, {:.0} ms",
        milliseconds(times[0]),
        milliseconds(times[times.len() - 1]),
        milliseconds(first)
    ))])
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
