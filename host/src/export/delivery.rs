//! Who has taken what: a batch on its way through all exporters.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::batch::TraceBatch;
use crate::budget::Share;
use crate::filter::FilteredBatch;
use crate::model::{Leadership, Receipts};
use crate::source::{Fate, Settlement};

/// A batch, and for each trace how many exporters have yet to take it.
#[derive(Debug)]
pub(super) struct Delivery {
    pub batch: Arc<TraceBatch>,
    /// The latest leadership under which anything of it was read.
    epoch: u32,
    rows: Mutex<Rows>,
    way_back: WayBack,
}

/// Where receipts go, and where it is counted that their traces have been delivered.
#[derive(Debug, Clone)]
pub(super) struct WayBack {
    pub settlements: mpsc::Sender<Settlement>,
    /// Whether traces are still ours.
    pub leadership: Leadership,
    pub delivered: Arc<Delivered>,
}

/// What every exporter has taken that it waited for.
#[derive(Debug, Default)]
pub(super) struct Delivered {
    /// Traces.
    pub traces: AtomicU64,
    /// Parts above 0.
    pub late_parts: AtomicU64,
}

#[derive(Debug)]
struct Rows {
    all: Vec<Row>,
    /// Those that some exporter has yet to take.
    unsettled: usize,
    /// What the batch takes of the bytes that may be on their way; given back when all is settled. What exporters that nobody waits for keep of it
    /// longer counts as theirs.
    share: Share,
}

#[derive(Debug)]
struct Row {
    receipts: Receipts,
    waiting: usize,
    dead: Option<Fate>,
}

impl Delivery {
    /// A batch for so many exporters.
    pub fn new(filtered: FilteredBatch, exporters: usize, way_back: WayBack) -> Delivery {
        let FilteredBatch { batch, receipts, share } = filtered;
        let epoch = receipts.iter().map(|receipts| receipts.epoch).max().unwrap_or_default();
        let all: Vec<Row> = receipts.into_iter().map(|receipts| Row { receipts, waiting: exporters, dead: None }).collect();
        let rows = Rows { unsettled: all.len(), all, share };
        Delivery {
            batch,
            epoch,
            rows: Mutex::new(rows),
            way_back,
        }
    }

    /// Whether all of it is another host's by now. Then it has been thrown away, and is not to be offered to anybody.
    pub fn is_over(&self) -> bool {
        let over = self.way_back.leadership.is_over(self.epoch);
        if over {
            let mut own = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
            self.way_back.leadership.threw_away(std::mem::take(&mut own.unsettled));
            own.all.iter_mut().for_each(|row| row.waiting = 0);
            own.share = Share::default();
        }
        over
    }

    /// Bytes of its traces.
    pub fn bytes(&self) -> usize {
        self.batch.traces().iter().map(|trace| trace.bytes()).sum()
    }

    /// All rows of the batch.
    pub fn all_rows(&self) -> Vec<usize> {
        (0..self.batch.traces().len()).collect()
    }

    /// One exporter is done with these rows: it has taken those without a reason, and will never take the others.
    /// Traces that no exporter is left to take are settled.
    pub fn done(&self, plugin: &str, rows: impl IntoIterator<Item = (usize, Option<String>)>) -> Vec<Settlement> {
        let mut settled = Vec::new();
        let mut own = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        for (at, reason) in rows {
            // A row that nobody is waited for has been settled: a receipt is used once.
            let Some(row) = own.all.get_mut(at).filter(|row| row.waiting > 0) else { continue };
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
                settled.push(self.settled(at, row));
                own.unsettled -= 1;
            }
        }
        if own.unsettled == 0 {
            drop(std::mem::take(&mut own.share));
        }
        settled
    }

    /// Settles all rows of a batch that no exporter has to take.
    pub async fn settle_unwanted(&self) {
        let settled = {
            let mut own = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
            (own.unsettled, own.share) = (0, Share::default());
            own.all.iter_mut().enumerate().map(|(at, row)| self.settled(at, row)).collect()
        };
        self.settle(settled).await;
    }

    /// Hands settlements to the source. It takes them whatever happens to traces, so this waits only for Redis.
    pub async fn settle(&self, settled: Vec<Settlement>) {
        for settlement in settled {
            if self.way_back.settlements.send(settlement).await.is_err() {
                return;
            }
        }
    }

    /// [`Delivery::settle`] from an exporter's thread.
    pub fn settle_blocking(&self, settled: Vec<Settlement>) {
        for settlement in settled {
            if self.way_back.settlements.blocking_send(settlement).is_err() {
                return;
            }
        }
    }

    /// What becomes of row `at`, for which nobody is waited any more.
    fn settled(&self, at: usize, row: &mut Row) -> Settlement {
        let fate = row.dead.take().unwrap_or(Fate::Delivered);
        if matches!(fate, Fate::Delivered) {
            let is_late = self.batch.traces().get(at).is_some_and(|trace| trace.part > 0);
            let Delivered { traces, late_parts } = &*self.way_back.delivered;
            if is_late { late_parts } else { traces }.fetch_add(1, Ordering::Relaxed);
        }
        Settlement {
            receipts: std::mem::take(&mut row.receipts),
            fate,
        }
    }
}
