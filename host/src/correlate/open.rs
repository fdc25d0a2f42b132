//! One open trace.

use std::collections::{HashMap, HashSet};

use ahash::RandomState;

use super::memory::Next;
use super::{Decided, Rules};
use crate::budget::Share;
use crate::decode::Retry;
use crate::model::{Decision, Mark, Receipt, Receipts, Span, SpanId, SpanState, Trace, TraceId};

/// From this many spans on, a trace keeps an index of their ids; below, looking through them is faster and smaller.
const INDEX_FROM: usize = 24;

#[derive(Debug)]
pub(super) struct OpenTrace {
    pub id: TraceId,
    pub id_hash: u64,
    /// 0, or the number of the late part that this is.
    pub part: u32,
    /// Whether it is a late part of a trace that was dropped before the journal was read.
    pub dropped: bool,
    /// The latest retry that brought something of it back.
    pub retry: Option<Retry>,
    /// Stream time of its first entry.
    pub first_ms: u64,
    /// Stream time of its latest entry.
    pub last_ms: u64,
    /// When the schedule will look at it next; `u64::MAX` = not scheduled.
    pub scheduled_ms: u64,
    spans: Vec<Span>,
    #[expect(clippy::box_collection, reason = "few traces have one, and a table takes 64 bytes where it is not")]
    index: Option<Box<HashMap<SpanId, usize, RandomState>>>,
    receipts: Vec<Receipt>,
    span_bytes: usize,
}

impl OpenTrace {
    pub fn new(id: TraceId, id_hash: u64, next: Next, at_ms: u64) -> OpenTrace {
        OpenTrace {
            id,
            id_hash,
            part: next.part,
            dropped: next.dropped,
            retry: None,
            first_ms: at_ms,
            last_ms: at_ms,
            scheduled_ms: u64::MAX,
            spans: Vec::new(),
            index: None,
            receipts: Vec::new(),
            span_bytes: 0,
        }
    }

    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Takes an account of a span. Repeated accounts of one span settle into one; each entry's receipt is kept.
    pub fn add(&mut self, span: Span, receipt: Receipt, at_ms: u64) {
        make_room(&mut self.receipts);
        self.receipts.push(receipt);
        self.first_ms = self.first_ms.min(at_ms);
        self.last_ms = self.last_ms.max(at_ms);
        if let Some(at) = self.find(&span.id) {
            let known = &mut self.spans[at];
            self.span_bytes -= known.bytes();
            known.settle(span);
            self.span_bytes += known.bytes();
            return;
        }
        self.span_bytes += span.bytes();
        if let Some(index) = &mut self.index {
            index.insert(span.id.clone(), self.spans.len());
        }
        make_room(&mut self.spans);
        self.spans.push(span);
        if self.index.is_none() && self.spans.len() >= INDEX_FROM {
            self.index = Some(Box::new(self.spans.iter().enumerate().map(|(at, span)| (span.id.clone(), at)).collect()));
        }
    }

    fn find(&self, id: &SpanId) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(id).copied(),
            None => self.spans.iter().position(|span| span.id == *id),
        }
    }

    /// Bytes that it holds, roughly: the index counts as one more id per span.
    pub fn bytes(&self) -> usize {
        let indexed = if self.index.is_some() { self.spans.len() * (size_of::<SpanId>() + size_of::<usize>()) } else { 0 };
        size_of::<OpenTrace>() + self.id.heap_bytes() + self.span_bytes + self.receipts.len() * size_of::<Receipt>() + indexed
    }

    /// When it falls due if nothing more comes, and what that will mean.
    pub fn due(&self, rules: &Rules) -> (u64, Decision) {
        let (wait_ms, decision) = if self.spans.iter().any(|span| span.state == SpanState::Open) {
            (rules.timeout_ms, Decision::Expired)
        } else if self.part == 0 && self.misses_a_parent() {
            (rules.parent_wait_ms.max(rules.quiet_ms), Decision::ParentMissing)
        } else {
            (rules.quiet_ms, Decision::Complete)
        };
        let (due_ms, oldest_ms) = (self.last_ms.saturating_add(wait_ms), self.first_ms.saturating_add(rules.max_age_ms));
        if oldest_ms < due_ms { (oldest_ms, Decision::MaxAge) } else { (due_ms, decision) }
    }

    /// Whether a span names a parent that has not come. Not asked of late parts: their parents are in an earlier part.
    fn misses_a_parent(&self) -> bool {
        if self.index.is_some() || self.spans.len() < INDEX_FROM {
            return self.spans.iter().filter_map(|span| span.parent.as_ref()).any(|parent| self.find(parent).is_none());
        }
        let ids: HashSet<&SpanId, RandomState> = self.spans.iter().map(|span| &span.id).collect();
        self.spans.iter().filter_map(|span| span.parent.as_ref()).any(|parent| !ids.contains(parent))
    }

    /// Decides it as one of `parts` parts, for the leadership with this number.
    pub fn decided(self, decision: Decision, at_ms: u64, parts: u32, epoch: u32) -> Decided {
        let mark = Mark { id_hash: self.id_hash, parts, at_ms };
        Decided {
            retry: self.retry.is_some() && self.part == 0,
            follows_drop: self.dropped && self.part > 0,
            trace: Trace::new(self.id, self.part, decision, self.spans),
            receipts: Receipts {
                epoch,
                mark: Some(mark),
                list: self.receipts,
            },
            at_ms,
            share: Share::default(),
        }
    }
}

/// Makes room for one more. Most traces have few spans and wait for long: doubling would leave room for as many again.
fn make_room<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact((list.len() / 2).max(2));
    }
}
