//! When to look at which trace: a heap of due times. Work is done for traces that are due, never for all of them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

#[derive(Debug, Default)]
pub(super) struct Schedule {
    /// `(due time, slot)`. An item whose time is not the one that its trace is scheduled for is stale, and ignored when it comes up:
    /// cheaper than finding it in the heap.
    heap: BinaryHeap<Reverse<(u64, usize)>>,
}

impl Schedule {
    /// Makes sure that `slot` comes up by `due_ms`. An earlier time stands: the trace will be looked at then, and scheduled anew.
    pub fn at_latest(&mut self, slot: usize, scheduled_ms: &mut u64, due_ms: u64) {
        if due_ms < *scheduled_ms {
            *scheduled_ms = due_ms;
            self.heap.push(Reverse((due_ms, slot)));
        }
    }

    /// The next item that is due before `watermark_ms`.
    pub fn pop_before(&mut self, watermark_ms: u64) -> Option<(u64, usize)> {
        let Reverse((due_ms, _)) = self.heap.peek()?;
        if *due_ms >= watermark_ms {
            return None;
        }
        self.pop()
    }

    /// The next item, whenever it is due.
    pub fn pop(&mut self) -> Option<(u64, usize)> {
        self.heap.pop().map(|Reverse(item)| item)
    }
}
