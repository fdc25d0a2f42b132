//! Who has taken what: a batch on its way through all exporters.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::batch::TraceBatch;
use crate::model::Receipts;
use crate::source::{Fate, Settlement};

/// A batch, and for each trace how many exporters have yet to take it.
#[derive(Debug)]
pub(super) struct Delivery {
    pub batch: Arc<TraceBatch>,
    rows: Mutex<Vec<Row>>,
    settlements: mpsc::Sender<Settlement>,
}

#[derive(Debug)]
struct Row {
    receipts: Receipts,
    waiting: usize,
    dead: Option<Fate>,
}

impl Delivery {
    /// `receipts` are those of each trace of the batch, `exporters` how many have to take it.
    pub fn new(batch: Arc<TraceBatch>, receipts: Vec<Receipts>, exporters: usize, settlements: mpsc::Sender<Settlement>) -> Delivery {
        let rows = receipts.into_iter().map(|receipts| Row { receipts, waiting: exporters, dead: None }).collect();
        Delivery {
            batch,
            rows: Mutex::new(rows),
            settlements,
        }
    }

    /// All rows of the batch.
    pub fn all_rows(&self) -> Vec<usize> {
        (0..self.batch.traces().len()).collect()
    }

    /// One exporter is done with these rows: it has taken those without a reason, and will never take the others.
    /// Traces that no exporter is left to take are settled.
    pub fn done(&self, plugin: &str, rows: impl IntoIterator<Item = (usize, Option<String>)>) -> Vec<Settlement> {
        let mut settled = Vec::new();
        let mut all = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        for (at, reason) in rows {
            // A row that nobody is waited for has been settled: a receipt is used once.
            let Some(row) = all.get_mut(at).filter(|row| row.waiting > 0) else { continue };
            if let Some(reason) = reason {
                row.dead = Some(Fate::Dead {
                    stage: "export",
                    plugin: Some(plugin.to_owned()),
                    reason,
                    trace: self.batch.traces().get(at).map(Arc::clone),
                });
            }
            row.waiting -= 1;
            if row.waiting == 0 {
                settled.push(row.settle());
            }
        }
        settled
    }

    /// Settles all rows of a batch that no exporter has to take.
    pub async fn settle_unwanted(&self) {
        let settled = self.rows.lock().unwrap_or_else(PoisonError::into_inner).iter_mut().map(Row::settle).collect();
        self.settle(settled).await;
    }

    /// Hands settlements to the source. It takes them whatever happens to traces, so this waits only for Redis.
    pub async fn settle(&self, settled: Vec<Settlement>) {
        for settlement in settled {
            if self.settlements.send(settlement).await.is_err() {
                return;
            }
        }
    }

    /// [`Delivery::settle`] from an exporter's thread.
    pub fn settle_blocking(&self, settled: Vec<Settlement>) {
        for settlement in settled {
            if self.settlements.blocking_send(settlement).is_err() {
                return;
            }
        }
    }
}

impl Row {
    fn settle(&mut self) -> Settlement {
        Settlement {
            receipts: std::mem::take(&mut self.receipts),
            fate: self.dead.take().unwrap_or(Fate::Delivered),
        }
    }
}
