//! The stage: batches of kept traces in, the same to every exporter.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::delivery::Delivery;
use super::worker::{self, ReportRequest, Worker, WorkerStatus, WorkerSummary};
use crate::filter::FilteredBatch;
use crate::patience::Patience;
use crate::source::Settlement;
use crate::store::Store;
use crate::tasks::Tasks;

/// Batches that wait for one exporter, at most.
const QUEUE: usize = 4;

/// What the stage is made of.
#[derive(Debug)]
pub struct Export {
    /// Traces that are kept.
    pub input: mpsc::Receiver<FilteredBatch>,
    /// Where receipts go.
    pub settlements: mpsc::Sender<Settlement>,
    /// Keeps recent traces for queries.
    pub store: Arc<Store>,
    /// The exporters.
    pub workers: Vec<Worker>,
    /// Told when the stage cannot go on: then the host has to end, and the next start reads again what is pending.
    pub failed: mpsc::Sender<anyhow::Error>,
}

/// Asks the stage.
#[derive(Debug, Clone, Default)]
pub struct Handle {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    workers: Vec<Known>,
    exported: AtomicU64,
    patience: Arc<Patience>,
}

#[derive(Debug)]
struct Known {
    name: String,
    status: Arc<WorkerStatus>,
    reports: mpsc::Sender<ReportRequest>,
}

impl Handle {
    /// Traces and late parts that have been handed to the exporters.
    pub fn exported_traces(&self) -> u64 {
        self.shared.exported.load(Ordering::Relaxed)
    }

    /// What each exporter has done.
    pub fn summaries(&self) -> Vec<WorkerSummary> {
        self.shared.workers.iter().map(|known| known.status.summary(&known.name)).collect()
    }

    /// The report of the exporter called `name`; `None` when there is no such exporter or it has no report.
    ///
    /// # Errors
    /// What the exporter says, or that it does not answer now.
    pub async fn report(&self, name: &str) -> Result<Option<String>, String> {
        let Some(known) = self.shared.workers.iter().find(|known| known.name == name) else { return Ok(None) };
        let (answer, asked) = oneshot::channel();
        known.reports.send(answer).await.map_err(|_| format!("the plugin {name:?} has ended"))?;
        match tokio::time::timeout(Duration::from_secs(2), asked).await {
            Ok(Ok(report)) => report,
            Ok(Err(_)) => Err(format!("the plugin {name:?} has ended")),
            Err(_) => Err(format!("the plugin {name:?} is busy and did not answer within 2 s")),
        }
    }

    /// From `until` on, exporters stop repeating what they could not deliver; it stays with the log.
    pub fn end_patience_at(&self, until: Instant) {
        self.shared.patience.end_at(until);
    }
}

/// Starts the exporters' threads, and the stage that feeds them until its input closes.
pub fn run(stage: Export, tasks: &mut Tasks) -> std::io::Result<Handle> {
    let Export {
        input,
        settlements,
        store,
        workers,
        failed,
    } = stage;
    let patience = Arc::new(Patience::default());
    let (mut queues, mut known) = (Vec::new(), Vec::new());
    for worker in workers {
        let (queue, batches) = mpsc::channel(QUEUE);
        let (reports, requests) = mpsc::channel(16);
        known.push(Known {
            name: worker.name.clone(),
            status: Arc::clone(&worker.status),
            reports,
        });
        queues.push(queue);
        let (patience, runtime) = (Arc::clone(&patience), tasks.runtime());
        tasks.spawn_thread(format!("export-{}", worker.name), move || worker::run(worker, batches, requests, &patience, &runtime))?;
    }
    let handle = Handle {
        shared: Arc::new(Shared {
            workers: known,
            exported: AtomicU64::new(0),
            patience,
        }),
    };
    let shared = Arc::clone(&handle.shared);
    tasks.spawn("export", async move {
        if let Err(error) = feed(input, settlements, store, queues, shared).await {
            // Received unless the host is stopping anyway.
            drop(failed.send(error).await);
        }
    });
    Ok(handle)
}

async fn feed(
    mut input: mpsc::Receiver<FilteredBatch>,
    settlements: mpsc::Sender<Settlement>,
    store: Arc<Store>,
    queues: Vec<mpsc::Sender<Arc<Delivery>>>,
    shared: Arc<Shared>,
) -> anyhow::Result<()> {
    while let Some(FilteredBatch { batch, receipts }) = input.recv().await {
        store.insert(batch.traces(), jiff::Timestamp::now().as_millisecond().unsigned_abs());
        let count = batch.traces().len() as u64;
        let delivery = Delivery::new(batch, receipts, queues.len(), settlements.clone());
        if queues.is_empty() {
            delivery.settle_unwanted().await;
        } else {
            let delivery = Arc::new(delivery);
            for queue in &queues {
                if queue.send(Arc::clone(&delivery)).await.is_err() {
                    anyhow::bail!(
                        "an exporter's thread ended early, by a fault of this program; what is pending is read again at the next start"
                    );
                }
            }
        }
        shared.exported.fetch_add(count, Ordering::Relaxed);
    }
    Ok(())
}
