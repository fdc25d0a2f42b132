//! Entries as real agents write them: a captured trace again and again, with ids and times of its own each time.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::resp::Replies;
use crate::server::{STREAM, Server};

/// What agents of today sent, in the order of the wire.
const CAPTURED: &str = include_str!("../../fixtures/mesh-events-python.ndjson");
/// One of its traces: five spans of three agents, the root last.
const TRACE: &str = "6bdd08aa77e44c479217c9d0ac67cf63";
/// Fields of an entry.
pub const FIELDS: usize = 23;
/// Left out of the captured spans, in this order, until [`FIELDS`] are left.
const SPARE: [&str; 3] = ["request_bytes", "response_bytes", "mesh_positions"];
/// Spans of a trace.
pub const SPANS: u64 = 5;
/// Traces that are under way at one time: their spans come in turns.
pub const ABREAST: u64 = 1_000;
/// Agents write the fields of every entry in another order.
const ORDERS: u64 = 16;
/// Every so many-th trace has a failed span, and every so many-th is slow.
const FAILS: u64 = 100;
const SLOW: u64 = 50;
/// Entries in one write.
const PIPELINE: u64 = 500;

/// What is written, in which stream time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Whole traces of five spans.
    pub traces: u64,
    /// Entries per second of stream time.
    pub rate: u64,
    /// Milliseconds of stream time at which the first entry was published.
    pub first_ms: u64,
    /// Number of the first trace; no number makes the same ids twice.
    pub first_trace: u64,
}

enum Part {
    Same(String),
    TraceId,
    SpanId(u64),
    Start,
    End,
    Published,
    Duration,
    Success,
    Error,
}

type Template = Vec<(String, Part)>;

/// Makes the fields of entries.
pub struct Writer {
    /// By order of fields, then by span.
    templates: Vec<Vec<Template>>,
}

impl Writer {
    /// # Errors
    /// The captured trace is not what this was made for.
    pub fn new() -> Result<Writer> {
        let spans = captured()?;
        let mut random = fastrand::Rng::with_seed(7);
        let ids: Vec<String> = spans.iter().map(|span| field(span, "span_id")).collect();
        let mut templates = Vec::new();
        for _ in 0..ORDERS {
            let mut order = Vec::new();
            for span in &spans {
                let mut fields: Template = span.iter().map(|(key, value)| (key.clone(), part(key, value, &ids))).collect();
                random.shuffle(&mut fields);
                order.push(fields);
            }
            templates.push(order);
        }
        Ok(Writer { templates })
    }

    /// Gives `take` each field of span `span` of trace number `trace`, which was published at this time.
    pub fn fields(&self, trace: u64, span: u64, at_ms: u64, mut take: impl FnMut(&str, &str)) {
        let template = &self.templates[((trace * SPANS + span) % ORDERS) as usize][span as usize];
        let slow = trace % SLOW == SLOW - 1;
        // The root takes longest, and a slow trace longer than a second.
        let micros = (span + 1) * 7_310 + trace % 997 + if slow && span == SPANS - 1 { 1_500_000 } else { 0 };
        let failed = trace % FAILS == FAILS - 1 && span == 0;
        let (end_us, mut text) = (at_ms * 1_000, String::with_capacity(40));
        for (key, part) in template {
            let seconds = |text: &mut String, us: u64| {
                let _ = write!(text, "{}.{:06}", us / 1_000_000, us % 1_000_000);
            };
            text.clear();
            let value = match part {
                Part::Same(value) => value,
                Part::TraceId => {
                    text.push_str(&trace_id(trace));
                    &text
                }
                Part::SpanId(number) => {
                    let _ = write!(text, "{:016x}", mixed(trace * SPANS + number + (1 << 60)));
                    &text
                }
                Part::Start => {
                    seconds(&mut text, end_us.saturating_sub(micros));
                    &text
                }
                Part::End | Part::Published => {
                    seconds(&mut text, end_us);
                    &text
                }
                Part::Duration => {
                    let _ = write!(text, "{}.{:02}", micros / 1_000, micros % 1_000 / 10);
                    &text
                }
                Part::Success => {
                    if failed {
                        "False"
                    } else {
                        "True"
                    }
                }
                Part::Error => {
                    if failed {
                        "upstream refused the connection"
                    } else {
                        "null"
                    }
                }
            };
            take(key, value);
        }
    }
}

/// The spans of the captured trace, each with [`FIELDS`] fields.
fn captured() -> Result<Vec<Vec<(String, String)>>> {
    let mut spans = Vec::new();
    for line in CAPTURED.lines() {
        let entry: Value = serde_json::from_str(line)?;
        let fields = entry["fields"].as_object().context("a captured entry has fields")?;
        let mut span: Vec<(String, String)> =
            fields.iter().map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect();
        if field(&span, "trace_id") != TRACE {
            continue;
        }
        for spare in SPARE {
            if span.len() > FIELDS {
                span.retain(|(key, _)| key != spare);
            }
        }
        if span.len() != FIELDS {
            bail!("a captured span has {} fields where {FIELDS} are wanted", span.len());
        }
        spans.push(span);
    }
    if spans.len() as u64 != SPANS {
        bail!("the captured trace has {} spans where {SPANS} are wanted", spans.len());
    }
    Ok(spans)
}

fn field(span: &[(String, String)], key: &str) -> String {
    span.iter().find(|(own, _)| own == key).map(|(_, value)| value.clone()).unwrap_or_default()
}

fn part(key: &str, value: &str, ids: &[String]) -> Part {
    let span = |id: &str| ids.iter().position(|own| own == id).map(|at| Part::SpanId(at as u64));
    match key {
        "trace_id" => Part::TraceId,
        "span_id" | "parent_span" => span(value).unwrap_or_else(|| Part::Same(value.to_owned())),
        "start_time" => Part::Start,
        "end_time" => Part::End,
        "published_at" => Part::Published,
        "duration_ms" => Part::Duration,
        "success" => Part::Success,
        "error" => Part::Error,
        _ => Part::Same(value.to_owned()),
    }
}

/// The id of this trace.
pub fn trace_id(trace: u64) -> String {
    format!("{:016x}{:016x}", mixed(trace), mixed(trace ^ 0x5bd1_e995))
}

/// Whether a span of this trace fails, or it takes longer than a second.
pub fn is_remarkable(trace: u64) -> bool {
    trace % FAILS == FAILS - 1 || trace % SLOW == SLOW - 1
}

/// Numbers that look like chance, none twice.
fn mixed(number: u64) -> u64 {
    let mut x = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl Shape {
    pub fn entries(&self) -> u64 {
        self.traces * SPANS
    }

    /// Stream time of entry number `at`.
    pub fn at_ms(&self, at: u64) -> u64 {
        self.first_ms + at * 1_000 / self.rate
    }

    /// The trace and the span that entry number `at` is about: spans of so many traces come in turns.
    pub fn entry(&self, at: u64) -> (u64, u64) {
        let (block, within) = (at / (ABREAST * SPANS), at % (ABREAST * SPANS));
        let abreast = ABREAST.min(self.traces - block * ABREAST);
        (self.first_trace + block * ABREAST + within % abreast, within / abreast)
    }
}

/// Writes a backlog to the stream.
pub struct Publisher {
    writer: Writer,
    socket: TcpStream,
    buffer: Vec<u8>,
    waiting: u64,
    replies: Replies,
}

impl Publisher {
    pub fn new(server: &Server) -> Result<Publisher> {
        Ok(Publisher {
            writer: Writer::new()?,
            socket: server.socket()?,
            buffer: Vec::new(),
            waiting: 0,
            replies: Replies::default(),
        })
    }

    /// Publishes all of `shape` as if it had been published at its time.
    pub fn publish(&mut self, shape: &Shape) -> Result<()> {
        for at in 0..shape.entries() {
            let (trace, span) = shape.entry(at);
            let at_ms = shape.at_ms(at);
            self.add(&format!("{at_ms}-{at}"), trace, span, at_ms);
            if self.waiting >= PIPELINE {
                self.flush()?;
            }
        }
        self.flush()
    }

    /// Publishes one span with this entry id; with the next [`Publisher::flush`].
    pub fn add(&mut self, id: &str, trace: u64, span: u64, at_ms: u64) {
        let buffer = &mut self.buffer;
        let _ = write!(buffer, "*{}\r\n$4\r\nXADD\r\n", 3 + 2 * FIELDS);
        bulk(buffer, STREAM);
        bulk(buffer, id);
        self.writer.fields(trace, span, at_ms, |key, value| {
            bulk(buffer, key);
            bulk(buffer, value);
        });
        self.waiting += 1;
    }

    /// Publishes the beginning of a span of which no more is known.
    pub fn add_open(&mut self, id: &str, trace: u64) {
        let (trace_id, span_id) = (format!("{:032x}", mixed(trace)), format!("{:016x}", mixed(trace)));
        let fields = [
            ("event_type", "span_start"),
            ("trace_id", &*trace_id),
            ("span_id", &*span_id),
            ("operation", "waits"),
            ("agent_name", "planner-agent"),
        ];
        self.add_fields(id, fields.into_iter());
    }

    /// Publishes an entry of these fields.
    pub fn add_fields<'a>(&mut self, id: &str, fields: impl ExactSizeIterator<Item = (&'a str, &'a str)>) {
        let buffer = &mut self.buffer;
        let _ = write!(buffer, "*{}\r\n$4\r\nXADD\r\n", 3 + 2 * fields.len());
        bulk(buffer, STREAM);
        bulk(buffer, id);
        for (key, value) in fields {
            bulk(buffer, key);
            bulk(buffer, value);
        }
        self.waiting += 1;
    }

    /// How many entries are not written yet.
    pub fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Writes, and waits until Redis has taken all of it.
    pub fn flush(&mut self) -> Result<()> {
        self.socket.write_all(&self.buffer)?;
        self.buffer.clear();
        let mut chunk = vec![0; 64 * 1024];
        while self.waiting > 0 {
            match self.replies.next()? {
                Some(reply) if reply.first() == Some(&b'-') => bail!("Redis refuses an entry: {}", String::from_utf8_lossy(reply)),
                Some(_) => self.waiting -= 1,
                None => {
                    let count = self.socket.read(&mut chunk)?;
                    if count == 0 {
                        bail!("Redis closed the connection of the publisher");
                    }
                    self.replies.push(&chunk[..count]);
                }
            }
        }
        Ok(())
    }
}

fn bulk(buffer: &mut Vec<u8>, text: &str) {
    // Writing to a vector does not fail.
    let _ = write!(buffer, "${}\r\n{text}\r\n", text.len());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_span_of_every_trace_comes_once_and_time_only_grows() {
        let shape = Shape {
            traces: 2_300,
            rate: 50_000,
            first_ms: 5,
            first_trace: 10,
        };
        let mut seen: Vec<(u64, u64)> = (0..shape.entries()).map(|at| shape.entry(at)).collect();
        seen.sort_unstable();
        let all: Vec<(u64, u64)> = (10..2_310).flat_map(|trace| (0..SPANS).map(move |span| (trace, span))).collect();
        assert!(seen == all);
        assert_eq!((shape.at_ms(0), shape.at_ms(50_000)), (5, 1_005));
    }

    #[test]
    fn entries_have_the_fields_of_real_ones_and_ids_of_their_own() {
        let writer = Writer::new().expect("the captured trace");
        let entry = |trace, span| {
            let mut fields = std::collections::BTreeMap::new();
            writer.fields(trace, span, 1_700_000_000_000, |key, value| drop(fields.insert(key.to_owned(), value.to_owned())));
            fields
        };
        let (root, child, other) = (entry(1, 4), entry(1, 0), entry(2, 4));
        assert_eq!((root.len(), root["parent_span"].as_str()), (FIELDS, "null"));
        assert_eq!(root["trace_id"], child["trace_id"]);
        assert_ne!(root["trace_id"], other["trace_id"]);
        assert_eq!(child["parent_span"], entry(1, 1)["span_id"], "the captured tree");
        assert_eq!((root["end_time"].as_str(), root["success"].as_str()), ("1700000000.000000", "True"));
        assert_eq!(entry(FAILS - 1, 0)["success"], "False");
    }
}
