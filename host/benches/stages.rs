//! What a span costs in each stage by itself: `cargo bench -p meshtrace`. What the whole pipeline costs, `cargo xtask bench` measures.

#![expect(clippy::expect_used, reason = "a bench that cannot begin has nothing to say")]

use std::sync::Arc;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use meshtrace::batch::TraceBatch;
use meshtrace::correlate::{Correlator, Decided, Rules};
use meshtrace::decode::{Decoder, Event};
use meshtrace::encode;
use meshtrace::export::{Exporter, Outcome};
use meshtrace::model::{Receipt, Trace};
use meshtrace::plugin::{Compiler, Counters, Engine, Found, Grants, Instance, Limits, Setup};
use meshtrace::source::Batch;

/// Events as agents sent them, an entry each.
const CAPTURED: &str = include_str!("../../tests/fixtures/mesh-events-python.ndjson");
const AT_MS: u64 = 1_795_221_703_000;
/// Past every wait.
const LATER_MS: u64 = AT_MS + 3_600_000;

fn main() {
    divan::main();
}

/// All captured entries, as a source hands them on.
fn entries() -> Batch {
    let mut batch = Batch::default();
    for (line, seq) in CAPTURED.lines().zip(0..) {
        let entry: serde_json::Value = serde_json::from_str(line).expect("a captured entry");
        batch.push_entry(Receipt { stream: 0, ms: AT_MS, seq }, AT_MS);
        for (key, value) in entry["fields"].as_object().expect("its fields") {
            batch.push_field(key.as_bytes(), value.as_str().unwrap_or_default().as_bytes());
        }
    }
    batch
}

fn decoded(decoder: &mut Decoder) -> Vec<Event> {
    entries().drain().filter_map(|entry| decoder.decode(&entry).ok()).collect()
}

fn correlated(events: Vec<Event>) -> Vec<Decided> {
    let (mut correlator, mut decided) = (Correlator::new(Rules::default()), Vec::new());
    for (event, seq) in events.into_iter().zip(0..) {
        correlator.add(event, Receipt { stream: 0, ms: AT_MS, seq }, AT_MS, &mut decided);
    }
    correlator.advance(LATER_MS, &mut decided);
    decided
}

/// Their traces, by a decoder that knows the agents.
fn traces() -> Vec<Arc<Trace>> {
    let mut decoder = Decoder::default();
    decoded(&mut decoder);
    correlated(decoded(&mut decoder)).into_iter().map(|decided| Arc::new(decided.trace)).collect()
}

fn spans(traces: &[Arc<Trace>]) -> ItemsCount {
    ItemsCount::new(traces.iter().map(|trace| trace.spans.len()).sum::<usize>())
}

#[divan::bench]
fn decode(bencher: Bencher) {
    let mut decoder = Decoder::default();
    let count = decoded(&mut decoder).len();
    bencher
        .counter(ItemsCount::new(count))
        .with_inputs(entries)
        .bench_local_values(|mut entries| entries.drain().filter_map(|entry| decoder.decode(&entry).ok()).collect::<Vec<_>>());
}

#[divan::bench]
fn correlate(bencher: Bencher) {
    let mut decoder = Decoder::default();
    let count = decoded(&mut decoder).len();
    bencher.counter(ItemsCount::new(count)).with_inputs(|| decoded(&mut Decoder::default())).bench_local_values(correlated);
}

#[divan::bench]
fn all_columns(bencher: Bencher) {
    let traces = traces();
    bencher.counter(spans(&traces)).with_inputs(|| TraceBatch::new(traces.clone())).bench_local_refs(|batch| {
        black_box(batch.columns());
    });
}

#[divan::bench]
fn trace_columns(bencher: Bencher) {
    let traces = traces();
    bencher.counter(spans(&traces)).with_inputs(|| TraceBatch::new(traces.clone())).bench_local_refs(|batch| {
        black_box(batch.trace_columns());
    });
}

#[divan::bench]
fn json(bencher: Bencher) {
    let traces = traces();
    bencher.counter(spans(&traces)).bench_local(|| traces.iter().map(|trace| encode::json(trace).len()).sum::<usize>());
}

/// The bundled `stats`, as a component, with limits; columns are there already.
#[divan::bench]
fn call_of_stats(bencher: Bencher) {
    let traces = traces();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let found = Found::bundled("stats");
    let wasm = found.source.read(&Limits::default(), &Counters::default()).expect("it is bundled");
    let compiler = Compiler::new(Engine::new().expect("an engine"), None);
    let (component, _) = compiler.component("stats", &wasm).expect("a component");
    let setup = Setup {
        name: "stats".into(),
        config: "{}".into(),
        grants: Grants::default(),
        limits: Limits::default(),
        counters: Arc::default(),
        runtime: runtime.handle().clone(),
    };
    let mut instance = Instance::start(component, setup).expect("it starts");
    let (count, batch) = (spans(&traces), Arc::new(TraceBatch::new(traces)));
    batch.columns();
    bencher.counter(count).bench_local(|| assert_eq!(instance.export(&batch), Outcome::Delivered));
}
