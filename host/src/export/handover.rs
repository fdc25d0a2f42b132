//! One exporter takes over from another, in all lanes or in none.

use std::time::Instant;

use tokio::sync::oneshot;

use super::Exporter;
use super::breaker::Breaker;
use super::lane::{Effect, Lane};
use crate::patience::PAUSE;

/// An exporter that is to take over, together with those of the other lanes: all do, or none.
pub(super) struct Handover {
    pub successor: Box<dyn Exporter>,
    /// Told when it has the state and could take over; or why it cannot. Closed: nobody waits for it any more.
    pub ready: oneshot::Sender<Result<(), String>>,
    /// Comes when all are ready. Dropped: one is not, and nothing changes.
    pub go: oneshot::Receiver<()>,
    /// Told when it has taken over.
    pub done: oneshot::Sender<()>,
}

impl Lane {
    /// Lets a successor take over, when those of all lanes are ready to; else everything stays as it was. Nothing is exported in between, so that the
    /// successor misses nothing of the state.
    pub(super) fn swap(&mut self, handover: Handover) -> Effect {
        let Handover { mut successor, ready, go, done } = handover;
        if ready.is_closed() {
            return Effect::None;
        }
        let begin = Instant::now();
        let prepared = self.hand_state_to(&mut *successor);
        let is_ready = prepared.is_ok();
        if ready.send(prepared).is_err() || !is_ready || self.runtime.block_on(go).is_err() {
            return Effect::None;
        }
        if let Err(error) = self.exporter.flush() {
            tracing::error!(plugin = self.group.name, error, "flushing the plugin that is replaced failed");
        }
        self.exporter = successor;
        self.group.status.note_swap(begin.elapsed());
        // The new one has yet to show that it works.
        (self.breaker, self.suspects.pause, self.again_at) = (Breaker::default(), PAUSE.0, None);
        self.blame.begin_anew();
        // Who asked may have gone away meanwhile.
        let _ = done.send(());
        Effect::Changed
    }

    fn hand_state_to(&mut self, successor: &mut dyn Exporter) -> Result<(), String> {
        match self.exporter.snapshot() {
            Ok(Some(snapshot)) => successor.restore(&snapshot),
            Ok(None) => Ok(()),
            Err(error) => {
                tracing::warn!(plugin = self.group.name, error, "the state of the plugin could not be had; its successor begins anew");
                Ok(())
            }
        }
    }
}
