//! A host in the place of either: fed from Redis, which is the log that it needs.

use std::ops::Range;
use std::time::Duration;

use anyhow::Result;
use redis::Connection;

use super::dual::events;
use super::sink::Sink;
use super::{Contender, Keep, Traces, files, shape};
use crate::flow::{now_ms, reach};
use crate::host::{Host, HostBuilder};
use crate::load::{ABREAST, Publisher, SPANS, Writer};
use crate::measure::Process;
use crate::policies::{KEEP_ALL, SAMPLING};
use crate::server::{Progress, Server, progress};

/// A bound that is not reached.
const NO_BOUND: &str = "8589934592";
/// Entries that are written at a time.
const PIPELINE: u64 = 500;

/// What it is to do.
#[derive(Debug, Clone, Copy)]
pub enum Job {
    /// What a Collector does: keep these, and send them on as OTLP.
    Sample(Keep),
    /// What the registry does: put `span_start` and `span_end` together, and write a file for each trace.
    Write,
}

/// Where traces go.
enum Out {
    Sink(Sink),
    Files,
}

/// A running host with all that belongs to it.
pub struct Own {
    server: Server,
    host: Host,
    feed: Feed,
    out: Out,
    window: Duration,
}

impl Own {
    /// One whose traces are complete when they have been quiet for so long.
    pub fn start(job: Job, window: Duration) -> Result<Own> {
        let server = Server::start()?;
        let builder = HostBuilder::new(&server)?
            .set("MESHTRACE_QUIET_PERIOD", &format!("{}s", window.as_secs()))
            .set("MESHTRACE_MAX_OPEN_BYTES", NO_BOUND);
        let (builder, feed, out) = match job {
            Job::Sample(keep) => {
                let sink = Sink::start()?;
                let endpoint = format!("127.0.0.1:{}", sink.port);
                let builder = builder
                    .set("TRACE_EXPORTER_TYPE", "otlp")
                    .plugin("otlp.toml", otlp_toml(&endpoint))?
                    .plugin("sampling.toml", if keep == Keep::All { KEEP_ALL } else { SAMPLING })?;
                (builder, Feed::single(&server)?, Out::Sink(sink))
            }
            Job::Write => (builder.set("TRACE_EXPORTER_TYPE", "json"), Feed::dual(&server)?, Out::Files),
        };
        Ok(Own {
            host: builder.start_reading()?,
            server,
            feed,
            out,
            window,
        })
    }
}

/// Uncompressed, as the Collector sends.
fn otlp_toml(endpoint: &str) -> String {
    format!("[config]\nendpoint = \"http://{endpoint}\"\ncompression = \"none\"\n\n[permissions]\nhttp = [\"{endpoint}\"]\n")
}

impl Contender for Own {
    fn process(&self) -> Process {
        self.host.process()
    }

    fn log(&self) -> Option<Process> {
        Some(self.server.process())
    }

    fn take(&mut self, traces: Range<u64>) -> Result<()> {
        let all = self.feed.publish(&traces)?;
        reach(&mut self.host, &mut self.feed.connection, "the host reads all entries", |progress| progress.read >= all)?;
        Ok(())
    }

    fn kill_and_restart(&mut self) -> Result<()> {
        self.host.kill_and_restart()
    }

    fn progress(&self) -> Result<u64> {
        match &self.out {
            Out::Sink(sink) => Ok(sink.spans()),
            Out::Files => files::count(&self.host.json_dir()),
        }
    }

    fn progress_of(&self, traces: u64) -> u64 {
        match &self.out {
            Out::Sink(_) => traces * SPANS,
            Out::Files => traces,
        }
    }

    fn handed_on(&self) -> Result<Traces> {
        match &self.out {
            Out::Sink(sink) => Ok(sink.traces()),
            Out::Files => files::read(&self.host.json_dir()),
        }
    }

    fn due_after(&self) -> Duration {
        self.window + Duration::from_secs(5)
    }

    fn stderr(&self) -> String {
        self.host.stderr()
    }
}

/// Publishes traces as time goes by.
pub struct Feed {
    publisher: Publisher,
    /// For spans as two events each.
    dual: Option<Writer>,
    pub connection: Connection,
    published: u64,
}

impl Feed {
    /// A span is one event, as agents send it.
    pub fn single(server: &Server) -> Result<Feed> {
        Ok(Feed {
            publisher: Publisher::new(server)?,
            dual: None,
            connection: server.connect()?,
            published: 0,
        })
    }

    /// A span is two events.
    pub fn dual(server: &Server) -> Result<Feed> {
        Ok(Feed {
            dual: Some(Writer::new()?),
            ..Feed::single(server)?
        })
    }

    /// Publishes all spans of these traces, as of one time; says how many entries there have been so far.
    pub fn publish(&mut self, traces: &Range<u64>) -> Result<u64> {
        match &self.dual {
            None => {
                let (shape, at_ms) = (shape(traces), now_ms());
                for at in 0..shape.entries() {
                    let (trace, span) = shape.entry(at);
                    self.publisher.add("*", trace, span, at_ms);
                    if self.publisher.waiting() >= PIPELINE {
                        self.publisher.flush()?;
                    }
                }
                self.published += shape.entries();
            }
            Some(writer) => {
                for first in traces.clone().step_by(ABREAST as usize) {
                    self.published += publish_dual(&mut self.publisher, writer, first..traces.end.min(first + ABREAST))?;
                }
            }
        }
        self.publisher.flush()?;
        Ok(self.published)
    }

    /// How far the reader has come.
    pub fn progress(&mut self) -> Result<Progress> {
        progress(&mut self.connection)
    }
}

/// Starts all spans of these traces, roots first, and ends them, roots last; says how many entries that are.
fn publish_dual(publisher: &mut Publisher, writer: &Writer, traces: Range<u64>) -> Result<u64> {
    let (at_ms, mut published) = (now_ms(), 0);
    let spans: Vec<(u64, u64)> = (0..SPANS).flat_map(|span| traces.clone().map(move |trace| (trace, span))).collect();
    let starts = spans.iter().rev().map(|(trace, span)| (0, trace, span));
    let ends = spans.iter().map(|(trace, span)| (1, trace, span));
    for (which, trace, span) in starts.chain(ends) {
        let event = &events(writer, *trace, *span, at_ms)[which];
        publisher.add_fields("*", event.iter().map(|(key, value)| (*key, value.as_str())));
        published += 1;
        if publisher.waiting() >= PIPELINE {
            publisher.flush()?;
        }
    }
    Ok(published)
}
