//! What a running guest's calls see: the current batch, its log, its numbers, its grants.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::Setup;
use super::bindings::meshtrace::plugin::host_log::Level;
use super::http::HttpPolicy;
use super::limiter::Limiter;
use crate::batch::{Numbers, TraceBatch};

/// The longest name of a plugin's own number, in bytes.
const METRIC_NAME_BYTES: usize = 64;
/// The most counters that a plugin may have, and the most gauges.
const METRICS_MAX: usize = 256;
/// The counter of numbers that were refused.
const REFUSED: &str = "refused_numbers";

/// State of one instance.
pub(super) struct GuestState {
    pub plugin: Arc<str>,
    /// Only while a call that may read it runs.
    pub batch: Option<Arc<TraceBatch>>,
    pub limiter: Limiter,
    log_message_bytes: usize,
    numbers: Numbers,
    refused: u64,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    http_policy: HttpPolicy,
    table: ResourceTable,
}

impl GuestState {
    /// # Errors
    /// What was granted and is not there.
    pub fn new(setup: &Setup) -> anyhow::Result<GuestState> {
        let Setup { name, grants, limits, counters, .. } = setup;
        Ok(GuestState {
            plugin: Arc::clone(name),
            batch: None,
            limiter: Limiter::new(limits),
            log_message_bytes: limits.log_message_bytes,
            numbers: Numbers::default(),
            refused: 0,
            wasi: grants.context(name)?,
            http: WasiHttpCtx::new(),
            http_policy: HttpPolicy::new(grants, limits, Arc::clone(counters), Arc::clone(name)),
            table: ResourceTable::new(),
        })
    }

    pub fn log(&self, level: Level, message: &str) {
        log(&self.plugin, level, message, self.log_message_bytes);
    }

    pub fn add(&mut self, name: String, amount: u64) {
        let Numbers { counters, gauges } = &mut self.numbers;
        if accepts(counters, gauges, &name) {
            let counter = counters.entry(name).or_default();
            *counter = counter.saturating_add(amount);
        } else {
            self.refused += 1;
        }
    }

    /// Its counters and gauges, and how many numbers were refused, if any were.
    pub fn numbers(&self) -> Numbers {
        let mut numbers = self.numbers.clone();
        if self.refused > 0 {
            numbers.gauges.remove(REFUSED);
            numbers.counters.insert(REFUSED.to_owned(), self.refused);
        }
        numbers
    }

    pub fn set(&mut self, name: String, value: f64) {
        let Numbers { counters, gauges } = &mut self.numbers;
        if accepts(gauges, counters, &name) {
            gauges.insert(name, value);
        } else {
            self.refused += 1;
        }
    }
}

/// Whether a number may have this name: one that is among those `known` of its kind, or that neither they nor the `others` have yet.
fn accepts<T, U>(known: &BTreeMap<String, T>, others: &BTreeMap<String, U>, name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let named = !name.is_empty() && name.len() <= METRIC_NAME_BYTES && name.bytes().all(good);
    named && (known.contains_key(name) || known.len() < METRICS_MAX && !others.contains_key(name))
}

impl WasiView for GuestState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for GuestState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.http_policy,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

/// One line of a plugin in the log: at most `max` bytes, control characters escaped.
fn log(plugin: &str, level: Level, message: &str, max: usize) {
    let mut line = String::with_capacity(message.len().min(max));
    for c in message[..message.floor_char_boundary(max)].chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    match level {
        Level::Error => tracing::error!(target: "plugin", plugin, "{line}"),
        Level::Warning => tracing::warn!(target: "plugin", plugin, "{line}"),
        Level::Info => tracing::info!(target: "plugin", plugin, "{line}"),
        Level::Debug => tracing::debug!(target: "plugin", plugin, "{line}"),
        Level::Trace => tracing::trace!(target: "plugin", plugin, "{line}"),
    }
}

/// Standard output or error that goes to the log, line by line.
#[derive(Clone)]
pub(super) struct LogStream {
    plugin: Arc<str>,
    stream: &'static str,
    line: Arc<std::sync::Mutex<Vec<u8>>>,
}

/// The longest line; a longer one is logged in pieces.
const LINE_BYTES: usize = 4096;

impl LogStream {
    pub fn new(plugin: &str, stream: &'static str) -> LogStream {
        LogStream {
            plugin: plugin.into(),
            stream,
            line: Arc::default(),
        }
    }

    fn take(&self, bytes: &[u8]) {
        let mut line = self.line.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for byte in bytes {
            if *byte == b'\n' || line.len() >= LINE_BYTES {
                let text = format!("{}: {}", self.stream, String::from_utf8_lossy(&line));
                log(&self.plugin, if self.stream == "stderr" { Level::Warning } else { Level::Info }, &text, LINE_BYTES + 16);
                line.clear();
            }
            if *byte != b'\n' {
                line.push(*byte);
            }
        }
    }
}

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogStream {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Only WASI 0.3 guests ask for it, and they are not linked.
        Box::new(tokio::io::sink())
    }
}

impl OutputStream for LogStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> Result<usize, StreamError> {
        Ok(64 * 1024)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for LogStream {
    async fn ready(&mut self) {}
}
