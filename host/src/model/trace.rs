//! A decided trace, or a late part of one.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{Sampling, Span, SpanId, SpanState, Status, Text, TraceId, UnixNanos};

/// From this many spans on, what is looked for by id or name is looked for in an index; below, looking through all of them is faster.
const INDEX_FROM: usize = 24;

/// Why a trace was decided when it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Every span known to exist was closed, and the trace was quiet.
    Complete,
    /// As above, but for a parent that never came.
    ParentMissing,
    /// A span stayed open until the trace timed out.
    Expired,
    /// It never fell quiet, and reached the maximum age.
    MaxAge,
    /// It reached the maximum number of spans.
    MaxSpans,
    /// It reached the maximum number of bytes.
    MaxBytes,
    /// Open traces needed more memory than they may have, and this one was nearest to its end.
    Memory,
}

impl Decision {
    /// One lower-case word for status and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Decision::Complete => "complete",
            Decision::ParentMissing => "parent_missing",
            Decision::Expired => "expired",
            Decision::MaxAge => "max_age",
            Decision::MaxSpans => "max_spans",
            Decision::MaxBytes => "max_bytes",
            Decision::Memory => "memory",
        }
    }

    /// Whether it was decided before it was quiet, because of a bound: more of it may be about to come.
    pub fn cuts_off(self) -> bool {
        match self {
            Decision::MaxAge | Decision::MaxSpans | Decision::MaxBytes | Decision::Memory => true,
            Decision::Complete | Decision::ParentMissing | Decision::Expired => false,
        }
    }
}

/// Spans of one trace id that were decided together.
#[derive(Debug, Clone)]
pub struct Trace {
    /// The id that its spans share.
    pub id: TraceId,
    /// 0, or the number of the late part.
    pub part: u32,
    /// Why it was decided.
    pub decision: Decision,
    /// In order of start time (unknown last), then of id.
    pub spans: Vec<Span>,
    /// Which filter decided about it, if one had an opinion.
    pub sampling: Option<Arc<Sampling>>,
}

impl Trace {
    /// A trace of `spans`, which may come in any order, each id once.
    pub fn new(id: TraceId, part: u32, decision: Decision, mut spans: Vec<Span>) -> Trace {
        spans.sort_by(|a, b| {
            let start = |span: &Span| span.start.map_or(u64::MAX, UnixNanos::get);
            start(a).cmp(&start(b)).then_with(|| a.id.cmp(&b.id))
        });
        Trace {
            id,
            part,
            decision,
            spans,
            sampling: None,
        }
    }

    /// The earliest start.
    pub fn start(&self) -> Option<UnixNanos> {
        self.spans.iter().filter_map(|span| span.start).min()
    }

    /// The latest end.
    pub fn end(&self) -> Option<UnixNanos> {
        self.spans.iter().filter_map(Span::finish).max()
    }

    /// Nanoseconds from the earliest start to the latest end.
    pub fn duration_nanos(&self) -> Option<u64> {
        Some(self.end()?.since(self.start()?))
    }

    /// Number of failed spans.
    pub fn failed_spans(&self) -> usize {
        self.spans.iter().filter(|span| span.status == Status::Error).count()
    }

    /// Whether no span failed. A child's failure may be swallowed by its parent: the trace has failed all the same.
    pub fn success(&self) -> bool {
        self.failed_spans() == 0
    }

    /// Whether every span was seen to end, and no bound cut it off before.
    pub fn complete(&self) -> bool {
        !self.decision.cuts_off() && self.decision != Decision::Expired && self.spans.iter().all(|span| span.state == SpanState::Closed)
    }

    /// Distinct agent names, in order of first appearance.
    pub fn agents(&self) -> Vec<&Text> {
        let names = self.spans.iter().map(|span| &span.resource.name).filter(|name| !name.is_absent());
        let mut agents = Vec::new();
        if self.spans.len() < INDEX_FROM {
            names.for_each(|name| {
                if !agents.contains(&name) {
                    agents.push(name);
                }
            });
            return agents;
        }
        let mut seen: HashSet<&str, ahash::RandomState> = HashSet::default();
        agents.extend(names.filter(|name| seen.insert(name.as_str())));
        agents
    }

    /// For each span the index of its parent in `spans`, if it is here and is not the span itself.
    pub fn parents(&self) -> Vec<Option<usize>> {
        if self.spans.len() < INDEX_FROM {
            return self.parents_by(|id| self.spans.iter().rposition(|span| span.id == *id));
        }
        let by_id: HashMap<&SpanId, usize, ahash::RandomState> = self.spans.iter().enumerate().map(|(at, span)| (&span.id, at)).collect();
        self.parents_by(|id| by_id.get(id).copied())
    }

    fn parents_by(&self, find: impl Fn(&SpanId) -> Option<usize>) -> Vec<Option<usize>> {
        let parent = |(at, span): (usize, &Span)| find(span.parent.as_ref()?).filter(|found| *found != at);
        self.spans.iter().enumerate().map(parent).collect()
    }

    /// The index of the root: the earliest span without a parent, else the earliest whose parent is not here.
    pub fn root(&self) -> Option<usize> {
        let first =
            |wanted: &dyn Fn(usize, &Span) -> bool| self.spans.iter().enumerate().find(|(at, span)| wanted(*at, span)).map(|(at, _)| at);
        first(&|_, span| span.parent.is_none()).or_else(|| {
            let parents = self.parents();
            first(&|at, _| parents[at].is_none())
        })
    }

    /// This trace with the spans of `other`, another part of it or the same that came again: the union by span id.
    pub fn united(&self, other: &Trace) -> Trace {
        let mut spans = self.spans.clone();
        let mut by_id: HashMap<SpanId, usize, ahash::RandomState> =
            spans.iter().enumerate().map(|(at, span)| (span.id.clone(), at)).collect();
        for span in &other.spans {
            match by_id.get(&span.id) {
                Some(at) => spans[*at].settle(span.clone()),
                None => {
                    by_id.insert(span.id.clone(), spans.len());
                    spans.push(span.clone());
                }
            }
        }
        // What was once cut off may lack something; of other decisions the latest holds, since a late part may close what was open.
        let latest = if self.part > other.part { self.decision } else { other.decision };
        let decision = [self.decision, other.decision].into_iter().find(|decision| decision.cuts_off()).unwrap_or(latest);
        let mut united = Trace::new(self.id.clone(), self.part.min(other.part), decision, spans);
        // The verdict on part 0 holds for all; of two on the same part the later one, which is the other's.
        let (first, second) = if self.part < other.part { (self, other) } else { (other, self) };
        united.sampling = first.sampling.clone().or_else(|| second.sampling.clone());
        united
    }

    /// Bytes that this trace holds.
    pub fn bytes(&self) -> usize {
        let sampling = self.sampling.as_ref().map_or(0, |sampling| sampling.bytes());
        size_of::<Trace>() + self.id.heap_bytes() + sampling + self.spans.iter().map(Span::bytes).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::sample;

    #[test]
    fn parents_and_agents_are_the_same_with_an_index_and_without() {
        for count in [1, 2, INDEX_FROM - 1, INDEX_FROM, 3 * INDEX_FROM] {
            let spans: Vec<Span> = (0..count)
                .map(|at| {
                    let mut span = sample::span(&format!("s{at}"));
                    // Its own parent, one that never came, the one before it.
                    span.parent =
                        [Some(span.id.clone()), Some(SpanId::parse("nobody")), Some(SpanId::parse(&format!("s{}", at.wrapping_sub(1))))]
                            [at % 3]
                            .clone();
                    Arc::make_mut(&mut span.resource).name = Text::own(["a", "", "b"][at % 3]);
                    span
                })
                .collect();
            let mut trace = sample::trace("t", vec![]);
            trace.spans = spans;
            let expected: Vec<Option<usize>> = (0..count).map(|at| (at % 3 == 2).then(|| at - 1)).collect();
            assert_eq!(trace.parents(), expected, "{count}");
            let agents: Vec<&str> = trace.agents().into_iter().map(Text::as_str).collect();
            assert_eq!(agents, if count > 2 { vec!["a", "b"] } else { vec!["a"] }, "{count}");
        }
    }

    fn decided(decision: Decision, part: u32, state: SpanState) -> Trace {
        let mut span = sample::span("a");
        span.state = state;
        Trace {
            decision,
            part,
            ..sample::trace("t", vec![span])
        }
    }

    #[test]
    fn what_was_cut_off_is_not_complete_however_closed_its_spans_are() {
        use Decision::{Complete, Expired, MaxAge, MaxBytes, MaxSpans, Memory, ParentMissing};
        for (decision, complete) in [
            (Complete, true),
            (ParentMissing, true),
            (Expired, false),
            (MaxAge, false),
            (MaxSpans, false),
            (MaxBytes, false),
            (Memory, false),
        ] {
            assert_eq!(decided(decision, 0, SpanState::Closed).complete(), complete, "{decision:?}");
            assert!(!decided(decision, 0, SpanState::Open).complete(), "{decision:?}");
        }
    }

    #[test]
    fn a_late_part_completes_what_had_expired_but_not_what_was_cut_off() {
        let late = decided(Decision::Complete, 1, SpanState::Closed);
        for (decision, complete) in [(Decision::Expired, true), (Decision::MaxSpans, false)] {
            let first = decided(decision, 0, SpanState::Open);
            assert_eq!((first.united(&late).complete(), late.united(&first).complete()), (complete, complete), "{decision:?}");
        }
    }
}
