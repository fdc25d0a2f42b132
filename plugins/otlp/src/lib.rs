//! The `otlp` exporter: sends traces to a collector, as OTLP over HTTP (protobuf).
//!
//! - **The host encodes, we send**: a batch is one request, gzipped; a large batch is several, cut between traces.
//! - **What is sent again**: 429, 502, 503, 504 and requests that got no answer, after the pause that `Retry-After` asks for. Any
//!   other refusal is final, and its traces become dead letters with what the collector said. A request that is too large
//!   (413) is sent in halves, down to one trace.
//! - **A partial success is a success**: the spans that the collector rejected are counted and logged, and never sent again.
//! - **Delivery is at least once**: a request whose answer was lost is sent again, and the collector may see its spans twice.
//! - **Headers may be secrets**: they come from the config or from the environment, and appear in no log line and no reason.

mod config;
mod headers;
mod http;
mod journal;
mod target;
mod verdict;
mod wire;

use std::io::Write;
use std::ops::Range;
use std::time::{Duration, Instant, SystemTime};

use flate2::write::GzEncoder;
use meshtrace_plugin::{Batch, Description, Exporter, Outcome, RowOutcome, export_exporter, metrics};

pub use config::{Compression, Config};
pub use headers::Headers;
pub use http::{Answer, Failure, Network, Request, Transport};
pub use target::Target;
pub use verdict::Verdict;
pub use wire::PartialSuccess;

use journal::Journal;

/// However often a collector says that requests are too large, they do not become smaller than this for all.
const LEAST_REQUEST_BYTES: usize = 64 * 1024;

/// The exporter.
pub struct Otlp {
    target: Target,
    headers: Headers,
    /// All that is sent with a request.
    sent_headers: Vec<(String, Vec<u8>)>,
    compression: Compression,
    timeout: Duration,
    /// Uncompressed bytes of a request, at most, if it has more than one trace; falls when the collector says that it is too much.
    max_bytes: usize,
    transport: Box<dyn Transport>,
    journal: Journal,
}

impl Exporter for Otlp {
    fn describe() -> Description {
        Description::new("otlp", env!("CARGO_PKG_VERSION")).config_schema(include_str!("../config.schema.json")).parallel()
    }

    fn init(config: &str) -> Result<Self, String> {
        let config = Config::parse(config)?;
        let variable = std::env::var(&config.headers_env).ok();
        Otlp::new(&config, variable.as_deref(), Box::new(Network))
    }

    fn export(&mut self, batch: &Batch) -> Outcome {
        let sent = self.send_all(batch);
        self.journal.tell(&sent);
        let nothing_taken = sent.left.len() == batch.len() && sent.left.iter().all(|row| row.retry_after_ms.is_some());
        match sent.left.first().and_then(|row| row.retry_after_ms).filter(|_| nothing_taken) {
            Some(after_ms) => Outcome::Retry(after_ms),
            None => Outcome::all_but(sent.left),
        }
    }
}

/// What became of a batch.
#[derive(Debug, Default)]
struct Sent {
    /// The rows that were not taken.
    left: Vec<RowOutcome>,
    /// What the collector did not take of those that were.
    rejected: PartialSuccess,
}

impl Otlp {
    /// An exporter with these settings; `variable` is the text of the environment variable that the config names.
    ///
    /// # Errors
    /// Which setting is wrong, and how.
    pub fn new(config: &Config, variable: Option<&str>, transport: Box<dyn Transport>) -> Result<Self, String> {
        let target = Target::new(&config.endpoint, &config.path)?;
        let headers = Headers::new(&config.headers, &config.headers_env, variable)?;
        let mut sent_headers = vec![
            ("content-type".to_owned(), b"application/x-protobuf".to_vec()),
            ("user-agent".to_owned(), concat!("meshtrace-otlp/", env!("CARGO_PKG_VERSION")).into()),
        ];
        if config.compression == Compression::Gzip {
            sent_headers.push(("content-encoding".to_owned(), b"gzip".to_vec()));
        }
        sent_headers.retain(|(name, _)| headers.iter().all(|(own, _)| own != name));
        sent_headers.extend(headers.iter().map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())));
        Ok(Otlp {
            target,
            headers,
            sent_headers,
            compression: config.compression,
            timeout: Duration::from_millis(config.timeout_ms.into()),
            max_bytes: config.max_request_bytes,
            transport,
            journal: Journal::default(),
        })
    }

    /// Sends the batch, in as many requests as it takes. The first that is to be sent again ends it: the rest would fare no better.
    fn send_all(&mut self, batch: &Batch) -> Sent {
        let until = Instant::now() + self.timeout;
        let mut sent = Sent::default();
        // What is still to be sent, the first rows last.
        let mut work: Vec<Range<u32>> = std::iter::once(0..batch.len() as u32).collect();
        let mut first = true;
        while let Some(rows) = work.pop() {
            let request = batch.otlp(rows.clone());
            if rows.len() > 1 && request.len() > self.max_bytes {
                work.extend(halves(rows));
                continue;
            }
            let left = until.saturating_duration_since(Instant::now());
            let verdict = if first || !left.is_zero() { self.send(&request, left) } else { out_of_time() };
            first = false;
            match verdict {
                Verdict::Taken(partial) => {
                    sent.rejected.rejected_spans += partial.rejected_spans;
                    if !partial.message.is_empty() {
                        sent.rejected.message = partial.message;
                    }
                }
                Verdict::TooLarge(_) if rows.len() > 1 => {
                    self.max_bytes = (request.len() / 2).max(LEAST_REQUEST_BYTES).min(self.max_bytes);
                    work.extend(halves(rows));
                }
                Verdict::TooLarge(reason) => {
                    let reason = format!("{reason} (this one trace has {} bytes, uncompressed)", request.len());
                    sent.left.extend(rows.map(|row| RowOutcome::reject(row, reason.clone())));
                }
                Verdict::Rejected(reason) => sent.left.extend(rows.map(|row| RowOutcome::reject(row, reason.clone()))),
                Verdict::Retry(after_ms, reason) => {
                    let rest = std::iter::once(rows).chain(work.drain(..).rev()).flatten();
                    sent.left.extend(rest.map(|row| RowOutcome::retry(row, after_ms, reason.clone())));
                }
            }
        }
        sent
    }

    /// Sends one request.
    fn send(&mut self, request: &[u8], within: Duration) -> Verdict {
        let body = match self.compression {
            Compression::Gzip => match gzip(request) {
                Ok(body) => body,
                Err(error) => return Verdict::Rejected(format!("the request cannot be compressed: {error}")),
            },
            Compression::None => request.to_vec(),
        };
        metrics::add("requests", 1);
        metrics::add("request_bytes", body.len() as u64);
        let request = Request {
            target: &self.target,
            headers: &self.sent_headers,
            body: &body,
        };
        let verdict = match self.transport.post(&request, within) {
            Ok(answer) => verdict::judge(&answer, SystemTime::now()),
            Err(Failure::TooLarge) => Verdict::TooLarge("the limit http-request-bytes of this plugin".to_owned()),
            Err(Failure::Broken(what)) => Verdict::Retry(0, what),
        };
        self.about_target(verdict)
    }

    /// Reasons say where, and hold no secrets.
    fn about_target(&self, verdict: Verdict) -> Verdict {
        let told = |reason: &str| format!("{}: {}", self.target, self.headers.hidden_in(reason));
        match verdict {
            Verdict::Taken(mut partial) => {
                partial.message = self.headers.hidden_in(&partial.message);
                Verdict::Taken(partial)
            }
            Verdict::Retry(after_ms, reason) => Verdict::Retry(after_ms, told(&reason)),
            Verdict::TooLarge(reason) => Verdict::TooLarge(told(&reason)),
            Verdict::Rejected(reason) => Verdict::Rejected(told(&reason)),
        }
    }
}

/// What is left of a batch whose time is over is not held up by any fault.
fn out_of_time() -> Verdict {
    Verdict::Retry(1, "the batch took longer than timeout_ms; the rest follows".to_owned())
}

/// The second half below the first, as work is taken from the end.
fn halves(rows: Range<u32>) -> [Range<u32>; 2] {
    let middle = rows.start + (rows.end - rows.start) / 2;
    [middle..rows.end, rows.start..middle]
}

fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    // Protobuf of traces shrinks to a tenth at the fastest level; slower ones gain a few per cent of that.
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 8), flate2::Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

export_exporter!(Otlp);

#[cfg(test)]
mod tests;
