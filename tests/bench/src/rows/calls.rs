//! What a plugin's call costs, inside this process: limits and epochs are on as in the host, columns are built once before, as for the second of several
//! plugins. Time is that of the calling thread's processor; the fastest of several rounds counts.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use meshtrace::batch::TraceBatch;
use meshtrace::correlate::{Correlator, Rules};
use meshtrace::decode::Decoder;
use meshtrace::export::{Exporter, Outcome};
use meshtrace::filter::Filter;
use meshtrace::model::{Receipt, Trace};
use meshtrace::plugin::{Compiler, Engine, Grants, Instance, Limits, Setup};
use meshtrace::source::Batch;
use rustix::time::{ClockId, clock_gettime};

use super::{Bench, Row};
use crate::load::{SPANS, Writer};
use crate::report::{Figure, Target};

pub const ROWS: &[Row] = &[
    Row {
        name: "columns",
        about: "a guest in Rust that reads everything, span columns, or trace columns; and building them",
        peer: None,
        run: columns,
    },
    Row {
        name: "call",
        about: "a call of a guest that reads nothing; a filter that reads trace columns",
        peer: None,
        run: call,
    },
];

/// Traces of a batch: as many as a batch has at most.
const TRACES: u64 = 512;
const ROUNDS: usize = 15;
/// How much a round is to take at least.
const ROUND: Duration = Duration::from_millis(40);

fn columns(bench: &mut Bench) -> Result<Vec<Figure>> {
    let guests = bench.guests()?;
    let calls = Calls::new()?;
    let batch = batch()?;
    batch.columns();
    let spans = TRACES * SPANS;
    let mut figures = Vec::new();
    for (guest, name, most) in [
        ("every-column", "a guest that reads everything, per span", 300.0),
        ("span-columns", "a guest that reads span columns, per span", 80.0),
        ("trace-columns", "a guest that reads trace columns, per span", 40.0),
    ] {
        let mut instance = calls.start(&guests.component(guest)?)?;
        let nanos = fastest(|| exported(&mut instance, &batch))? / spans as f64;
        figures.push(Figure::new(name, nanos, "ns").target(Target::AtMost(most)));
    }
    let traces = batch.traces().to_vec();
    let nanos = fastest(|| {
        std::hint::black_box(TraceBatch::new(traces.clone()).columns());
        Ok(())
    })? / spans as f64;
    figures.push(Figure::new("building all columns of a batch, per span", nanos, "ns"));
    Ok(figures)
}

fn call(bench: &mut Bench) -> Result<Vec<Figure>> {
    let guests = bench.guests()?;
    let calls = Calls::new()?;
    let batch = batch()?;
    batch.columns();
    let mut nothing = calls.start(&guests.component("nothing")?)?;
    let empty = fastest(|| exported(&mut nothing, &batch))?;
    let mut judge = calls.start(&guests.component("judge")?)?;
    let judged = fastest(|| match judge.decide(&batch) {
        Ok(decisions) => {
            std::hint::black_box(decisions);
            Ok(())
        }
        Err(reason) => bail!("the filter fails: {reason}"),
    })?;
    Ok(vec![
        Figure::new("a call of a guest that does nothing", empty, "ns").target(Target::AtMost(1_000.0)),
        Figure::new("a filter that reads trace columns, per trace", judged / TRACES as f64, "ns").target(Target::AtMost(300.0)),
    ])
}

fn exported(instance: &mut Instance, batch: &Arc<TraceBatch>) -> Result<()> {
    match instance.export(batch) {
        Outcome::Delivered => Ok(()),
        other => bail!("the guest did not take the batch: {other:?}"),
    }
}

/// Starts components.
struct Calls {
    runtime: tokio::runtime::Runtime,
    compiler: Compiler,
}

impl Calls {
    fn new() -> Result<Calls> {
        Ok(Calls {
            runtime: tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?,
            compiler: Compiler::new(Engine::new()?, None),
        })
    }

    fn start(&self, wasm: &[u8]) -> Result<Instance> {
        let (component, _) = self.compiler.component("guest", wasm)?;
        let setup = Setup {
            name: "guest".into(),
            config: "{}".into(),
            grants: Grants::default(),
            limits: Limits::default(),
            counters: Arc::default(),
            runtime: self.runtime.handle().clone(),
        };
        Instance::start(component, setup)
    }
}

/// A batch of traces as they come out of the correlator.
pub fn batch() -> Result<Arc<TraceBatch>> {
    Ok(Arc::new(TraceBatch::new(traces(TRACES)?)))
}

fn traces(count: u64) -> Result<Vec<Arc<Trace>>> {
    let (writer, mut decoder, mut correlator) = (Writer::new()?, Decoder::default(), Correlator::new(Rules::default()));
    let mut entries = Batch::default();
    let at_ms = 1_700_000_000_000;
    // Agents and names that come for the first time are not known yet: the first round is for them.
    for trace in 0..2 * count {
        for span in 0..SPANS {
            entries.push_entry(
                Receipt {
                    stream: 0,
                    ms: at_ms,
                    seq: trace * SPANS + span,
                },
                at_ms,
            );
            writer.fields(trace, span, at_ms, |key, value| entries.push_field(key.as_bytes(), value.as_bytes()));
        }
    }
    let mut decided = Vec::new();
    for entry in entries.drain() {
        let event = decoder.decode(&entry).ok().context("an entry of the bench is refused")?;
        correlator.add(event, entry.receipt, at_ms, &mut decided);
    }
    correlator.advance(at_ms + 60_000, &mut decided);
    Ok(decided.into_iter().skip(count as usize).map(|decided| Arc::new(decided.trace)).collect())
}

/// Nanoseconds of processor time that one run of `work` takes.
fn fastest(mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let (begin, mut runs) = (processor_time(), 0u32);
        let mut took = Duration::ZERO;
        while took < ROUND {
            for _ in 0..10 {
                work()?;
            }
            runs += 10;
            took = processor_time().saturating_sub(begin);
        }
        best = best.min(took.as_secs_f64() * 1e9 / f64::from(runs));
    }
    Ok(best)
}

/// Processor time of this thread.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or_default(), time.tv_nsec.try_into().unwrap_or_default())
}
