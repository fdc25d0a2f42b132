//! What is measured: a row per target, each of which can be run alone.

mod calls;
mod latency;
mod memory;
mod peers;
mod start;
mod swaps;
mod throughput;

use anyhow::{Context, Result};

use crate::ceiling::Ceiling;
use crate::flow::Backlog;
use crate::guests::Guests;
use crate::options::Options;
use crate::report::Figure;
use crate::server::Server;

/// One row of the table, or several that are measured together.
pub struct Row {
    pub name: &'static str,
    pub about: &'static str,
    /// The binary that it measures beside the host, if it needs one: without it, it is left out.
    pub peer: Option<Peer>,
    pub run: fn(&mut Bench) -> Result<Vec<Figure>>,
}

/// All rows, in the order in which they run.
pub fn all() -> impl Iterator<Item = &'static Row> {
    [throughput::ROWS, calls::ROWS, memory::ROWS, latency::ROWS, swaps::ROWS, start::ROWS, peers::ROWS].into_iter().flatten()
}

/// Others that are measured beside the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// An OpenTelemetry Collector.
    Otelcol,
    /// MCP Mesh's registry.
    Registry,
}

/// What rows share: made when the first of them needs it.
pub struct Bench {
    pub options: Options,
    yardstick: Option<Yardstick>,
    guests: Option<Guests>,
    /// Entries per second that the complete pipeline takes while as many are published, once that was measured.
    pub keeps_up: Option<f64>,
}

/// A backlog, and how fast it can be read at all.
pub struct Yardstick {
    pub server: Server,
    pub backlog: Backlog,
    pub ceiling: Ceiling,
}

impl Bench {
    /// # Errors
    /// There is no host to measure.
    pub fn new(options: Options) -> Result<Bench> {
        crate::host::choose(options.host.clone())?;
        Ok(Bench {
            options,
            yardstick: None,
            guests: None,
            keeps_up: None,
        })
    }

    pub fn yardstick(&mut self) -> Result<&Yardstick> {
        if self.yardstick.is_none() {
            let server = Server::start()?;
            eprintln!("bench: filling the stream with {} entries …", self.options.entries);
            let backlog = Backlog::publish(&server, self.options.entries)?;
            eprintln!("bench: the discard ceiling …");
            let ceiling = Ceiling::measure(&server, backlog.in_stream())?;
            println!("discard ceiling, {}", ceiling.describe());
            self.yardstick = Some(Yardstick { server, backlog, ceiling });
        }
        self.yardstick.as_ref().context("it was just measured")
    }

    pub fn guests(&mut self) -> Result<&Guests> {
        if self.guests.is_none() {
            self.guests = Some(Guests::build()?);
        }
        self.guests.as_ref().context("they were just built")
    }
}
