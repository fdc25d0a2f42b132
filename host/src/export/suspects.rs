//! Traces that an exporter failed with while it took no other. Whose fault that is shows with the next ones: an exporter that takes them works, so
//! these go; one that takes nothing at all is itself what is broken, and everything waits for it.

use std::collections::VecDeque;
use std::time::Duration;

use super::group::Item;
use crate::patience::PAUSE;

/// Deliveries that are held at most. With so many, and not one trace taken, the exporter is given no more.
const MOST: usize = 4;

/// Rows of a delivery that the exporter failed with, each alone, and how.
pub(super) type Failed = Vec<(usize, String)>;

/// Rows of a delivery in the portions in which they are offered.
pub(super) struct Work {
    pub item: Item,
    pub portions: VecDeque<Vec<usize>>,
}

/// What one attempt at a delivery came to.
pub(super) struct Attempt {
    pub item: Item,
    /// Whether the exporter is seen to work: it took something, if not of this delivery then since a trace was last blamed.
    pub works: bool,
    /// What it failed with.
    pub failed: Failed,
    /// What it was not offered any more.
    pub rest: VecDeque<Vec<usize>>,
}

/// What is to be done after an attempt.
#[derive(Default)]
pub(super) struct Judged {
    /// Traces that make the exporter fail, and how.
    pub guilty: Vec<(Item, Failed)>,
    /// To be offered now.
    pub work: Vec<Work>,
}

/// The traces under suspicion.
pub(super) struct Suspects {
    held: Vec<Attempt>,
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

    /// All of them, each alone, to be offered again.
    pub fn take(&mut self) -> Vec<Work> {
        self.pause = (self.pause * 2).min(PAUSE.1);
        std::mem::take(&mut self.held).into_iter().map(Attempt::again).collect()
    }

    /// Keeps what was taken and not offered.
    pub fn put_back(&mut self, work: Work) {
        let Work { item, portions } = work;
        self.held.push(Attempt {
            item,
            works: false,
            failed: Vec::new(),
            rest: portions,
        });
    }

    /// Judges by the latest attempts.
    pub fn judge(&mut self, attempts: Vec<Attempt>) -> Judged {
        let works = attempts.iter().any(|attempt| attempt.works);
        self.held.extend(attempts.into_iter().filter(|attempt| !attempt.failed.is_empty() || !attempt.rest.is_empty()));
        if !works {
            return Judged::default();
        }
        self.pause = PAUSE.0;
        let mut judged = Judged::default();
        for Attempt { item, failed, rest, .. } in std::mem::take(&mut self.held) {
            if !rest.is_empty() {
                judged.work.push(Work { item: item.clone(), portions: rest });
            }
            if !failed.is_empty() {
                judged.guilty.push((item, failed));
            }
        }
        judged
    }
}

impl Attempt {
    fn again(self) -> Work {
        let alone = self.failed.into_iter().map(|(row, _)| vec![row]);
        Work {
            item: self.item,
            portions: alone.chain(self.rest).collect(),
        }
    }
}
