//! Who has taken what: a batch on its way through all exporters.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use super::TraceBatch;
use crate::model::Receipt;
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
    receipts: Vec<Receipt>,
    waiting: usize,
    dead: Option<Fate>,
}

impl Delivery {
    /// `receipts` are those of each trace of the batch.
    pub fn new(batch: TraceBatch, receipts: Vec<Vec<Receipt>>, exporters: usize, settlements: mpsc::Sender<Settlement>) -> Delivery {
        let rows = receipts.into_iter().map(|receipts| Row { receipts, waiting: exporters, dead: None }).collect();
        Delivery {
            batch: Arc::new(batch),
            rows: Mutex::new(rows),
            settlements,
        }
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
                let fate = row.dead.take().unwrap_or(Fate::Delivered);
                settled.push(Settlement {
                    receipts: std::mem::take(&mut row.receipts),
                    fate,
                });
            }
        }
        settled
    }

    /// Hands settlements to the source. It takes them whatever happens to traces, so this waits only for Redis.
    pub fn settle_blocking(&self, settled: Vec<Settlement>) {
        for settlement in settled {
            if self.settlements.blocking_send(settlement).is_err() {
                return;
            }
        }
    }

    /// Settles all rows of a batch that no exporter wants.
    pub async fn settle_unwanted(self) {
        let rows = self.rows.into_inner().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            let settlement = Settlement {
                receipts: row.receipts,
                fate: Fate::Delivered,
            };
            if self.settlements.send(settlement).await.is_err() {
                return;
            }
        }
    }
}
