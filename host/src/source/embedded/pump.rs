//! From the log to the next stage, and settlements back.

use std::sync::atomic::Ordering;

use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::bounds::{Bounds, TICK};
use super::log::Log;
use crate::source::{Batch, Settlement, SourceState, SourceStatus};

/// Settlements taken at once.
const SETTLEMENTS: usize = 64;

/// Hands on entries as they come, stream time at least every [`TICK`] (unless the next stage takes nothing), and lets go of what is
/// settled. When the log has been closed and what it had accepted is handed on (or [`Bounds::stop_timeout`] is over: what is left stays held), `out` is
/// dropped, and settlements are taken until nobody is left who could send one.
pub async fn pump(log: &Log, out: Sender<Batch>, mut settlements: Receiver<Settlement>, status: &SourceStatus, bounds: &Bounds) {
    hand_on(log, out, &mut settlements, status, bounds).await;
    let mut settled = Vec::with_capacity(SETTLEMENTS);
    while settlements.recv_many(&mut settled, SETTLEMENTS).await > 0 {
        settle(log, &mut settled, status);
    }
}

async fn hand_on(log: &Log, out: Sender<Batch>, settlements: &mut Receiver<Settlement>, status: &SourceStatus, bounds: &Bounds) {
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut due, mut more_settlements) = (false, true);
    let mut settled = Vec::with_capacity(SETTLEMENTS);
    let mut deadline = None;
    loop {
        let (closed, waiting) = log.look();
        status.held_bytes.store(log.holding().bytes as u64, Ordering::Relaxed);
        if closed && waiting == 0 {
            // Nothing can come any more, and nothing is left behind for another time: what is open is decided now, as it is.
            let mut all_read = Batch::default();
            all_read.watermark_ms = u64::MAX;
            // The next stage may wait for settlements to be taken before it takes anything.
            let sending = async {
                if out.send(all_read).await.is_err() {
                    tracing::debug!("the next stage has ended");
                }
            };
            let settling = async {
                while settlements.recv_many(&mut settled, SETTLEMENTS).await > 0 {
                    settle(log, &mut settled, status);
                }
                std::future::pending().await
            };
            tokio::select! {
                () = sending => {}
                () = settling => {}
            }
            return;
        }
        if closed && *deadline.get_or_insert(Instant::now() + bounds.stop_timeout) <= Instant::now() {
            return;
        }
        tokio::select! {
            count = settlements.recv_many(&mut settled, SETTLEMENTS), if more_settlements => {
                more_settlements = count > 0;
                if settle(log, &mut settled, status) && !closed {
                    // Clears the error that told of being full.
                    status.set_state(SourceState::Running);
                }
            }
            permit = out.reserve(), if due || waiting > 0 => {
                let Ok(permit) = permit else {
                    tracing::debug!("the next stage has ended");
                    return;
                };
                let batch = log.take();
                status.entries_read.fetch_add(batch.len() as u64, Ordering::Relaxed);
                permit.send(batch);
                due = false;
            }
            // Looked at above.
            () = log.changed() => {}
            _ = tick.tick() => due = true,
        }
    }
}

/// Lets go of what is settled. Tells whether that made room in a log that was full.
fn settle(log: &Log, settled: &mut Vec<Settlement>, status: &SourceStatus) -> bool {
    let freed = settled.drain(..).fold(false, |freed, settlement| log.settle(settlement, status) | freed);
    status.held_bytes.store(log.holding().bytes as u64, Ordering::Relaxed);
    freed
}
