//! Traces that an exporter failed with while it took no other. Whose fault that is shows with the next ones: an exporter that takes them works, so
//! these go; one that takes nothing at all is itself what is broken, and everything waits for it.

use std::sync::Arc;
use std::time::Duration;

use super::delivery::Delivery;
use crate::patience::PAUSE;

/// Deliveries that are held at most. With so many, and not one trace taken, the exporter is given no more.
const MOST: usize = 4;

/// Something of a delivery.
pub(super) type Of<T> = (Arc<Delivery>, T);

/// Rows of a delivery that the exporter failed with, each alone, and how.
pub(super) type Failed = Vec<(usize, String)>;

/// What one attempt at a delivery came to.
#[derive(Default)]
pub(super) struct Attempt {
    /// Whether the exporter is seen to work: it took something, if not of this delivery then since a trace was last blamed.
    pub works: bool,
    /// What it failed with.
    pub failed: Failed,
}

/// The traces under suspicion.
pub(super) struct Suspects {
    held: Vec<Of<Failed>>,
    /// Until they are offered again.
    pub pause: Duration,
}

impl Suspects {
    pub fn new() -> Suspects {
        Suspects { held: Vec::new(), pause: PAUSE.0 }
    }

    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether another delivery may show if the exporter works.
    pub fn has_room(&self) -> bool {
        self.held.len() < MOST
    }

    /// Forgets them all: they stay with the log.
    pub fn clear(&mut self) {
        self.held.clear();
    }

    /// All of them, to be offered again.
    pub fn take(&mut self) -> Vec<Of<Failed>> {
        self.pause = (self.pause * 2).min(PAUSE.1);
        std::mem::take(&mut self.held)
    }

    /// Judges by the latest attempts: what is returned is guilty.
    pub fn judge(&mut self, attempts: Vec<Of<Attempt>>) -> Vec<Of<Failed>> {
        let works = attempts.iter().any(|(_, attempt)| attempt.works);
        let failed = attempts.into_iter().map(|(delivery, attempt)| (delivery, attempt.failed));
        self.held.extend(failed.filter(|(_, rows)| !rows.is_empty()));
        if !works {
            return Vec::new();
        }
        self.pause = PAUSE.0;
        std::mem::take(&mut self.held)
    }
}
