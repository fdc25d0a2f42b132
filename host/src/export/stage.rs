//! The stage: batches of kept traces in, the same to every exporter.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::Handle;
use super::delivery::{Delivery, WayBack};
use super::group::Means;
use super::handle::Shared;
use crate::filter::FilteredBatch;
use crate::model::Leadership;
use crate::patience::Patience;
use crate::source::Settlement;
use crate::tasks::Tasks;

/// What the stage is made of.
#[derive(Debug)]
pub struct Export {
    /// Kept traces.
    pub input: mpsc::Receiver<FilteredBatch>,
    /// Where receipts go.
    pub settlements: mpsc::Sender<Settlement>,
    /// Whether traces are still ours.
    pub leadership: Leadership,
    /// Told when the stage cannot go on: then the host has to end, and the next start reads again what is pending.
    pub failed: mpsc::Sender<anyhow::Error>,
}

/// Starts the stage, which runs until its input closes. It begins without exporters: see [`Handle::put`].
pub fn run(stage: Export, tasks: &Tasks) -> Handle {
    let Export { input, settlements, leadership, failed } = stage;
    let means = Means {
        tasks: tasks.clone(),
        patience: Arc::new(Patience::default()),
        failed,
    };
    let handle = Handle { shared: Arc::new(Shared::new(means)) };
    let way_back = WayBack {
        settlements,
        leadership,
        delivered: Arc::clone(&handle.shared.delivered),
    };
    tasks.spawn("export", feed(input, way_back, Arc::clone(&handle.shared)));
    handle
}

async fn feed(mut input: mpsc::Receiver<FilteredBatch>, way_back: WayBack, shared: Arc<Shared>) {
    while let Some(filtered) = input.recv().await {
        hand_on(&shared, filtered, &way_back).await;
    }
    for group in shared.groups() {
        group.close();
    }
}

/// Queues a batch for every exporter that runs now.
async fn hand_on(shared: &Shared, filtered: FilteredBatch, way_back: &WayBack) {
    // Whether one counts is looked at once: it may change meanwhile.
    let groups: Vec<_> = shared.groups().into_iter().map(|group| (group.is_required(), group)).collect();
    let required = groups.iter().filter(|(counts, _)| *counts).count();
    let delivery = Arc::new(Delivery::new(filtered, required, way_back.clone()));
    for (counts, group) in &groups {
        group.offer(&delivery, *counts).await;
    }
    if required == 0 {
        delivery.settle_unwanted().await;
    }
}
