//! What a running guest's calls see: the current batch, its log, its numbers, its grants.

use std::collections::BTreeMap;
use std::sync::Arc;

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::Setup;
use super::access::Access;
use super::http::HttpPolicy;
use super::limiter::Limiter;
use super::logging::Log;
use crate::batch::{Numbers, TraceBatch};

/// The longest name of a plugin's own number, in bytes.
const METRIC_NAME_BYTES: usize = 64;
/// The most counters that a plugin may have, and the most gauges.
const METRICS_MAX: usize = 256;
/// The counter of numbers that were refused.
const REFUSED: &str = "refused_numbers";

/// State of one instance.
pub(super) struct GuestState {
    /// Only while a call that may read it runs.
    pub batch: Option<Arc<TraceBatch>>,
    pub limiter: Limiter,
    pub log: Log,
    pub access: Access,
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
        let log = Log::new(setup);
        let wasi = grants.context(name, &log)?;
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles);
        Ok(GuestState {
            batch: None,
            limiter: Limiter::new(limits, counters),
            log,
            access: Access::new(setup),
            numbers: Numbers::default(),
            refused: 0,
            wasi,
            http: WasiHttpCtx::new(),
            http_policy: HttpPolicy::new(grants, limits, Arc::clone(counters), Arc::clone(name)),
            table,
        })
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
