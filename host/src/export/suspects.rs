//! Traces that an exporter failed with. Whose fault that is shows with others: see [`crate::blame`]. Until then they wait, and others are let past them.

use std::collections::VecDeque;
use std::time::Duration;

use super::group::Item;
use crate::blame::{Blame, Suspicion};
use crate::patience::PAUSE;

/// Deliveries that are held at most. With so many, and not one trace taken, the exporter is given no more.
const MOST: usize = 4;

/// Rows that are offered in one call.
#[derive(Debug, Clone)]
pub(super) struct Portion {
    pub rows: Vec<usize>,
    /// Of one row that failed alone: since when, and how often.
    pub suspicion: Option<Suspicion>,
}

/// Rows of a delivery in the portions in which they are offered.
#[derive(Debug)]
pub(super) struct Work {
    pub item: Item,
    pub portions: VecDeque<Portion>,
}

/// The traces under suspicion, and what could not be offered with them.
#[derive(Debug)]
pub(super) struct Suspects {
    held: Vec<Work>,
    /// Until they are offered again.
    pub pause: Duration,
}

impl Portion {
    pub fn new(rows: Vec<usize>) -> Portion {
        Portion { rows, suspicion: None }
    }
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

    /// All of them, to be offered again.
    pub fn take(&mut self) -> Vec<Work> {
        self.pause = (self.pause * 2).min(PAUSE.1);
        std::mem::take(&mut self.held)
    }

    /// Those that a try would tell about, as the exporter has worked since they failed, and what could not be offered.
    pub fn take_ready(&mut self, blame: &Blame) -> Vec<Work> {
        let mut ready = Vec::new();
        for Work { item, portions } in std::mem::take(&mut self.held) {
            let tells = |portion: &Portion| portion.suspicion.as_ref().is_none_or(|suspicion| blame.would_tell(suspicion));
            let (now, later): (VecDeque<Portion>, VecDeque<Portion>) = portions.into_iter().partition(tells);
            self.put(Work { item: item.clone(), portions: later });
            if !now.is_empty() {
                ready.push(Work { item, portions: now });
            }
        }
        ready
    }

    /// Keeps what was not taken.
    pub fn put(&mut self, work: Work) {
        if !work.portions.is_empty() {
            self.held.push(work);
        }
    }
}
