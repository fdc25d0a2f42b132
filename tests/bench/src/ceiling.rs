//! The yardstick: how fast one stream can be read and acknowledged at all. A reader on a plain socket that finds where replies end, takes the ids,
//! and throws everything else away: two reads are under way at any time, and acknowledgements go along with the next read, so Redis never waits for it.

use std::io::{Read, Write};
use std::ops::Range;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::measure::{Process, Stopwatch, micros_each};
use crate::resp::{Replies, entry_ids};
use crate::server::{STREAM, Server};

const GROUP: &str = "ceiling";
/// Entries per read that are tried.
const COUNTS: [usize; 2] = [500, 1_000];
/// Reads under way.
const IN_FLIGHT: usize = 2;
/// Redis runs commands on one core; with this share of it used, there was no more to be had.
const FULL: f64 = 0.95;

/// How fast it went.
#[derive(Debug, Clone)]
pub struct Ceiling {
    /// Entries per read with which it was fastest.
    pub count: usize,
    pub entries_per_second: f64,
    /// Processor time of Redis for an entry.
    pub redis_micros: f64,
    /// The share of one core that Redis used.
    pub redis_share: f64,
    /// The share of the machine that others used.
    pub others: f64,
}

impl Ceiling {
    /// Reads the whole stream, with each count.
    pub fn measure(server: &Server, entries: u64) -> Result<Ceiling> {
        let mut best: Option<Ceiling> = None;
        for count in COUNTS {
            let ceiling = measure_with(server, entries, count)?;
            eprintln!("bench:   {}", ceiling.describe());
            if best.as_ref().is_none_or(|best| best.entries_per_second < ceiling.entries_per_second) {
                best = Some(ceiling);
            }
        }
        best.map_or_else(|| bail!("nothing was measured"), Ok)
    }

    /// Entries per second that Redis would give if its core had nothing else to do.
    pub fn by_cpu(&self) -> f64 {
        1e6 / self.redis_micros
    }

    /// For people.
    pub fn describe(&self) -> String {
        let Ceiling {
            count,
            entries_per_second,
            redis_micros,
            redis_share,
            others,
        } = self;
        let full = if *redis_share >= FULL { "its core was full" } else { "its core was NOT full: others had a part of it" };
        format!(
            "COUNT {count}: {entries_per_second:.0} entries/s; Redis used {:.0} % of a core ({full}), {redis_micros:.2} µs per entry; others used {:.0} % of the machine",
            redis_share * 100.0,
            others * 100.0,
        )
    }
}

fn measure_with(server: &Server, entries: u64, count: usize) -> Result<Ceiling> {
    let mut connection = server.connect()?;
    redis::cmd("XGROUP").arg("CREATE").arg(STREAM).arg(GROUP).arg("0").exec(&mut connection)?;
    let own = Process(std::process::id());
    let watch = Stopwatch::start(&[server.process(), own])?;
    let read = discard(server, entries, count);
    let used = watch.stop()?;
    redis::cmd("XGROUP").arg("DESTROY").arg(STREAM).arg(GROUP).exec(&mut connection)?;
    read?;
    Ok(Ceiling {
        count,
        entries_per_second: entries as f64 / used.wall.as_secs_f64(),
        redis_micros: micros_each(used.cpu.first().copied().unwrap_or_default(), entries),
        redis_share: used.cpu.first().map_or(0.0, Duration::as_secs_f64) / used.wall.as_secs_f64(),
        others: used.others(),
    })
}

/// Reads and acknowledges so many entries.
fn discard(server: &Server, entries: u64, count: usize) -> Result<()> {
    let mut socket = server.socket()?;
    let read = command(&["XREADGROUP", "GROUP", GROUP, "reader", "COUNT", &count.to_string(), "STREAMS", STREAM, ">"]);
    let mut chunk = vec![0; 1 << 20];
    let mut replies = Replies::default();
    socket.write_all(&read.repeat(IN_FLIGHT))?;
    let (mut seen, mut acknowledged) = (0, 0);
    let mut order = Vec::new();
    while acknowledged < entries {
        let Some(reply) = replies.next()? else {
            let length = socket.read(&mut chunk)?;
            if length == 0 {
                bail!("Redis closed the connection");
            }
            replies.push(&chunk[..length]);
            continue;
        };
        if let Some(number) = reply.strip_prefix(b":") {
            acknowledged += std::str::from_utf8(number)?.trim().parse::<u64>()?;
            continue;
        }
        let ids = entry_ids(reply)?;
        if ids.is_empty() && seen < entries {
            bail!("the stream ended after {seen} of {entries} entries");
        }
        seen += ids.len() as u64;
        order.clear();
        if !ids.is_empty() {
            acknowledge(&mut order, reply, &ids);
        }
        if seen < entries {
            order.extend_from_slice(&read);
        }
        socket.write_all(&order)?;
    }
    Ok(())
}

fn acknowledge(order: &mut Vec<u8>, reply: &[u8], ids: &[Range<usize>]) {
    order.extend_from_slice(
        format!("*{}\r\n$4\r\nXACK\r\n${}\r\n{STREAM}\r\n${}\r\n{GROUP}\r\n", ids.len() + 3, STREAM.len(), GROUP.len()).as_bytes(),
    );
    for id in ids {
        order.extend_from_slice(format!("${}\r\n", id.len()).as_bytes());
        order.extend_from_slice(&reply[id.clone()]);
        order.extend_from_slice(b"\r\n");
    }
}

fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}
