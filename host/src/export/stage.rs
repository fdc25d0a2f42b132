//! The stage: decided traces in, batches to every exporter.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;

use super::Handle;
use super::delivery::Delivery;
use super::group::Means;
use super::handle::Shared;
use crate::batch::TraceBatch;
use crate::correlate::Decided;
use crate::patience::Patience;
use crate::source::Settlement;
use crate::store::Store;
use crate::tasks::Tasks;

/// Traces in one batch, at most.
const BATCH_TRACES: usize = 512;
/// Spans in one batch, at most, unless one trace alone has more.
const BATCH_SPANS: usize = 8_192;

/// What the stage is made of.
#[derive(Debug)]
pub struct Export {
    /// Decided traces.
    pub input: mpsc::Receiver<Vec<Decided>>,
    /// Where receipts go.
    pub settlements: mpsc::Sender<Settlement>,
    /// Keeps recent traces for queries.
    pub store: Arc<Store>,
    /// Told when the stage cannot go on: then the host has to end, and the next start reads again what is pending.
    pub failed: mpsc::Sender<anyhow::Error>,
}

/// Starts the stage, which runs until its input closes. It begins without exporters: see [`Handle::put`].
pub fn run(stage: Export, tasks: &Tasks) -> Handle {
    let Export { input, settlements, store, failed } = stage;
    let means = Means {
        tasks: tasks.clone(),
        patience: Arc::new(Patience::default()),
        failed,
    };
    let handle = Handle { shared: Arc::new(Shared::new(means)) };
    tasks.spawn("export", feed(input, settlements, store, Arc::clone(&handle.shared)));
    handle
}

async fn feed(mut input: mpsc::Receiver<Vec<Decided>>, settlements: mpsc::Sender<Settlement>, store: Arc<Store>, shared: Arc<Shared>) {
    let mut waiting: Vec<Decided> = Vec::new();
    while let Some(first) = input.recv().await {
        waiting.extend(first);
        while waiting.len() < BATCH_TRACES {
            // What is ready goes along; nobody waits for more.
            let Ok(more) = input.try_recv() else { break };
            waiting.extend(more);
        }
        while !waiting.is_empty() {
            let (traces, receipts) = cut(&mut waiting);
            store.insert(&traces, jiff::Timestamp::now().as_millisecond().unsigned_abs());
            let count = traces.len() as u64;
            hand_on(&shared, TraceBatch::new(traces), receipts, &settlements).await;
            shared.exported.fetch_add(count, Ordering::Relaxed);
        }
    }
    for group in shared.groups() {
        group.close();
    }
}

/// Queues a batch for every exporter that runs now.
async fn hand_on(shared: &Shared, batch: TraceBatch, receipts: Vec<Vec<crate::model::Receipt>>, settlements: &mpsc::Sender<Settlement>) {
    // Whether one counts is looked at once: it may change meanwhile.
    let groups: Vec<_> = shared.groups().into_iter().map(|group| (group.is_required(), group)).collect();
    let required = groups.iter().filter(|(counts, _)| *counts).count();
    let delivery = Arc::new(Delivery::new(batch, receipts, required, settlements.clone()));
    for (counts, group) in &groups {
        group.offer(&delivery, *counts).await;
    }
    if required == 0 {
        delivery.settle_unwanted().await;
    }
}

/// Takes the first traces of `waiting` that make a batch.
fn cut(waiting: &mut Vec<Decided>) -> (Vec<Arc<crate::model::Trace>>, Vec<Vec<crate::model::Receipt>>) {
    let mut spans = 0;
    let fits = |decided: &&Decided| {
        spans += decided.trace.spans.len();
        spans <= BATCH_SPANS
    };
    let count = waiting.iter().take(BATCH_TRACES).take_while(fits).count().max(1);
    waiting.drain(..count).map(|decided| (Arc::new(decided.trace), decided.receipts)).unzip()
}
