//! Dead letters that Redis does not take now.

use std::collections::VecDeque;

use super::super::dead::GivenUp;
use crate::model::Receipt;
use crate::source::Fate;

/// Dead letters that wait for Redis to take them, at most.
const MAX: usize = 10_000;
/// Bytes that these hold, at most.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// Dead letters to be tried again, in the order in which they are to be tried.
///
/// What they hold is bounded. First the traces go: such letters are written as the log has them by then, since a Redis that refuses dead letters mostly
/// refuses new entries too, and then nothing is trimmed from the log. Beyond that the letters themselves go: their entries stay pending.
#[derive(Debug, Default)]
pub(super) struct Refused {
    waiting: VecDeque<GivenUp>,
    bytes: usize,
    /// Some were let go of, under the leadership with this number.
    left: Option<u32>,
}

impl Refused {
    /// Whether none wait.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether it is not known of one whether Redis has taken it. Until that is known, no other is to be tried.
    pub fn is_unsure(&self) -> bool {
        self.waiting.front().is_some_and(GivenUp::is_unsure)
    }

    /// Number of those that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// All that wait, to be tried.
    pub fn take(&mut self) -> VecDeque<GivenUp> {
        self.bytes = 0;
        std::mem::take(&mut self.waiting)
    }

    /// Takes these behind those that wait, and before them one that may have been taken; says how many there was no room for.
    pub fn keep(&mut self, more: impl IntoIterator<Item = GivenUp>) -> u64 {
        let mut left = 0;
        for mut dead in more {
            let bytes = bytes_without_trace(&dead);
            if self.waiting.len() >= MAX || self.bytes + bytes > BYTES_MAX {
                left += 1;
                self.left = Some(dead.epoch());
                continue;
            }
            self.bytes += bytes;
            let traces = dead.trace_bytes();
            if self.bytes + traces <= BYTES_MAX {
                self.bytes += traces;
            } else {
                dead.forget_trace();
            }
            if dead.is_unsure() {
                self.waiting.push_front(dead);
            } else {
                self.waiting.push_back(dead);
            }
        }
        left
    }

    /// Under which leadership some were let go of, once, when none wait any more.
    pub fn left_behind(&mut self) -> Option<u32> {
        self.left.take_if(|_| self.waiting.is_empty())
    }
}

fn bytes_without_trace(dead: &GivenUp) -> usize {
    let words = match dead.fate() {
        Fate::Dead { plugin, reason, .. } => reason.len() + plugin.as_ref().map_or(0, String::len),
        Fate::Delivered | Fate::Dropped(_) => 0,
    };
    size_of::<GivenUp>() + dead.left() * size_of::<Receipt>() + words
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::encode::sample::{span, trace};
    use crate::model::{Receipts, Text};
    use crate::source::Settlement;

    fn settlement(bytes: usize) -> Settlement {
        let mut large = span("a");
        large.error = Text::own(&"x".repeat(bytes));
        let fate = Fate::Dead {
            stage: "export",
            plugin: None,
            reason: "no".into(),
            trace: Some(Arc::new(trace("t", vec![large]))),
        };
        let receipts = Receipts { epoch: 3, ..Receipts::default() };
        Settlement { receipts, fate }
    }

    fn dead(bytes: usize) -> GivenUp {
        settlement(bytes).into()
    }

    /// One that has so many receipts and such a reason, and no trace.
    fn of(receipts: usize, reason: usize) -> GivenUp {
        let mut settlement = settlement(0);
        settlement.receipts.list = (0..receipts).map(|_| Receipt { stream: 0, ms: 1, seq: 1 }).collect();
        if let Fate::Dead { reason: words, trace, .. } = &mut settlement.fate {
            (*words, *trace) = ("x".repeat(reason), None);
        }
        settlement.into()
    }

    #[test]
    fn what_waits_for_redis_holds_no_more_than_it_may() {
        let mut refused = Refused::default();
        assert_eq!(refused.keep((0..MAX + 5).map(|_| dead(1))), 5);
        assert_eq!(refused.len(), MAX);
        let mut refused = Refused::default();
        assert_eq!(refused.keep([dead(BYTES_MAX / 2), dead(BYTES_MAX / 2), dead(BYTES_MAX / 2), dead(1)]), 0);
        assert_eq!(refused.take().iter().map(|dead| dead.trace_bytes() > 0).collect::<Vec<_>>(), [true, false, false, true]);
        assert_eq!(refused.keep([dead(BYTES_MAX / 2)]), 0);
        assert!(refused.waiting[0].trace_bytes() > 0, "what was taken counts no more");
    }

    #[test]
    fn receipts_and_reasons_are_counted_too() {
        for large in [of(BYTES_MAX / size_of::<Receipt>(), 1), of(1, BYTES_MAX)] {
            let mut refused = Refused::default();
            assert_eq!(refused.keep([of(1, 1), large, of(1, 1)]), 1);
            assert_eq!(refused.len(), 2);
        }
    }

    #[test]
    fn what_was_let_go_of_is_told_once_and_when_none_wait_any_more() {
        let mut refused = Refused::default();
        refused.keep((0..MAX).map(|_| of(1, 1)));
        let waiting = refused.take();
        assert_eq!(refused.left_behind(), None);
        assert_eq!(refused.keep(waiting.into_iter().chain([of(1, 1)])), 1);
        assert_eq!(refused.left_behind(), None, "they still wait");
        refused.take();
        assert_eq!((refused.left_behind(), refused.left_behind()), (Some(3), None));
    }
}
