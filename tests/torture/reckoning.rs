//! Every single trace is accounted for: sent = exported + dropped + dead (+ trimmed, where the run allows that), by its set of spans.

use std::collections::BTreeMap;

use super::books::{Books, Cause};
use super::traces::{Kind, Sent};

/// Of so many traces one may be excused, and one in any case.
const SENT_PER_EXCUSED: usize = 1_000;

/// What became of all that was sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reckoning {
    pub sent: usize,
    pub exported: usize,
    /// Exports that brought nothing new.
    pub duplicated: usize,
    pub dropped: usize,
    pub dead: usize,
    pub trimmed: usize,
    /// Traces of which a span is nowhere: the id, and where the span is missing.
    pub lost: Vec<String>,
    /// Traces that ended where none of their kind may.
    pub wrong: Vec<String>,
    /// Those that did so for a reason that is known, and may come together now and then.
    pub excused: Vec<String>,
}

impl Reckoning {
    /// Reckons `sent` against `books`. `is_trimmed` tells whether Redis let go of an entry by itself; only asked for spans that are nowhere else.
    pub fn of(sent: &BTreeMap<String, Sent>, books: &Books, is_trimmed: impl Fn(&str) -> bool) -> Reckoning {
        let mut reckoning = Reckoning { sent: sent.len(), ..Reckoning::default() };
        for (id, trace) in sent {
            reckoning.add(id, trace, books, &is_trimmed);
        }
        reckoning.duplicated = books.exporters.values().map(|book| book.repeats).max().unwrap_or(0);
        reckoning
    }

    fn add(&mut self, id: &str, trace: &Sent, books: &Books, is_trimmed: &impl Fn(&str) -> bool) {
        let mut missing: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (exporter, book) in &books.exporters {
            let taken = book.traces.get(id);
            for span in trace.span_ids() {
                if !taken.is_some_and(|taken| taken.contains(span)) {
                    missing.entry(span).or_default().push(exporter);
                }
            }
        }
        let decisions = books.decided.get(id).map(Vec::as_slice).unwrap_or_default();
        let dropped = decisions.iter().any(|decision| decision.dropped);
        if dropped && !matches!(trace.kind, Kind::Dropped | Kind::Wavers) {
            self.wrong.push(format!("{id} ({:?}) was dropped", trace.kind));
        }
        let grave = books.dead.get(id);
        grave.into_iter().flat_map(|grave| &grave.causes).for_each(|cause| self.judge(id, trace.kind, cause));
        if missing.is_empty() {
            // Exported wins, when a repeat was decided otherwise.
            self.exported += 1;
            if !matches!(trace.kind, Kind::Plain | Kind::Wavers) {
                self.wrong.push(format!("{id} ({:?}) was exported", trace.kind));
            }
            return;
        }
        missing.retain(|span, _| !grave.is_some_and(|grave| grave.spans.contains(*span)));
        if missing.is_empty() {
            self.dead += 1;
        } else if dropped {
            self.dropped += 1;
            // The last word counts: what was dropped, came again and was kept then is owed to all exporters. But a host that was stopped, and leads no
            // more, may have had the last word, and what it said counts for nothing.
            if !decisions.iter().max().is_some_and(|last| last.dropped) {
                self.excused.push(format!("{id} ({:?}) lacks {missing:?} and was kept last: {decisions:?}", trace.kind));
            }
        } else {
            missing.retain(|span, _| !is_trimmed(&trace.spans[*span]));
            match missing.is_empty() {
                true => self.trimmed += 1,
                false => self.lost.push(format!("{id} ({:?}) of {:?} lacks {missing:?}", trace.kind, trace.span_ids())),
            }
        }
    }

    /// Whether a trace of this kind may become a dead letter for this.
    fn judge(&mut self, id: &str, kind: Kind, cause: &Cause) {
        let Cause { stage, plugin, reason } = cause;
        let is_due = match kind {
            Kind::Rejected => plugin == "ledger" && reason == "it is to be refused",
            Kind::Breaks => plugin == "moody" && stage == "export",
            Kind::Undecodable => stage == "decode",
            Kind::Plain | Kind::Dropped | Kind::Wavers => false,
        };
        // An exporter that fails with this trace alone, takes another, and fails with this one again: it may be in a mood both times, or its disk slow, or its
        // host stopped, and nobody can tell that from a trace that makes it fail.
        let is_bad_luck = stage == "export"
            && (reason.starts_with("it ran longer than its limit") || plugin == "moody" && reason.starts_with("it panicked"));
        if !is_due {
            let list = if is_bad_luck { &mut self.excused } else { &mut self.wrong };
            list.push(format!("{id} ({kind:?}) is a dead letter: {cause:?}"));
        }
    }

    /// Whether all is accounted for.
    pub fn is_balanced(&self) -> bool {
        let Reckoning {
            sent,
            exported,
            dropped,
            dead,
            trimmed,
            lost,
            wrong,
            excused,
            duplicated: _,
        } = self;
        let is_seldom = excused.len() <= 1 + sent / SENT_PER_EXCUSED;
        *sent == exported + dropped + dead + trimmed && lost.is_empty() && wrong.is_empty() && is_seldom
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torture::books::Decision;

    const SPANS: [&str; 2] = ["s0", "s1"];

    fn sent(kind: Kind) -> BTreeMap<String, Sent> {
        let spans = SPANS.map(|span| (span.to_owned(), format!("1-{span}")));
        BTreeMap::from([("t".to_owned(), Sent { kind, spans: spans.into() })])
    }

    fn books(first: &[&[&str]], second: &[&[&str]]) -> Books {
        let mut books = Books::of(&["first", "second"]);
        for (name, lines) in [("first", first), ("second", second)] {
            for line in lines {
                books.take(name, "t", line.iter().map(|span| (*span).to_owned()).collect());
            }
        }
        books
    }

    /// Notes what the filter decided, one decision after the other.
    fn decide(books: &mut Books, dropped: &[bool]) {
        let decisions = (1..).zip(dropped).map(|(at, dropped)| Decision { at, dropped: *dropped });
        books.decided.entry("t".into()).or_default().extend(decisions);
    }

    fn bury(books: &mut Books, spans: &[&str], cause: &Cause) {
        let grave = books.dead.entry("t".into()).or_default();
        grave.spans.extend(spans.iter().map(|span| (*span).to_owned()));
        grave.causes.insert(cause.clone());
    }

    fn refused() -> Cause {
        Cause {
            stage: "export".into(),
            plugin: "ledger".into(),
            reason: "it is to be refused".into(),
        }
    }

    fn reckon(kind: Kind, books: &Books) -> Reckoning {
        Reckoning::of(&sent(kind), books, |entry| entry == "1-trimmed")
    }

    #[test]
    fn a_span_that_one_exporter_lacks_is_a_trace_lost() {
        let reckoning = reckon(Kind::Plain, &books(&[&SPANS], &[&["s0"]]));
        assert_eq!(reckoning.lost, [r#"t (Plain) of {"s0", "s1"} lacks {"s1": ["second"]}"#]);
        assert!(!reckoning.is_balanced());
        let whole = reckon(Kind::Plain, &books(&[&SPANS], &[&["s0"], &["s1"]]));
        assert!(whole.is_balanced() && whole.exported == 1, "{whole:?}");
    }

    #[test]
    fn what_comes_again_is_a_duplicate_and_a_late_part_is_none() {
        let reckoning = reckon(Kind::Plain, &books(&[&["s0"], &["s1"], &["s0"], &SPANS], &[&SPANS]));
        assert_eq!((reckoning.exported, reckoning.duplicated), (1, 2));
    }

    #[test]
    fn exported_wins_over_dropped_and_a_half_of_it_does_not() {
        let mut both = books(&[&SPANS], &[&SPANS]);
        decide(&mut both, &[true]);
        let reckoning = reckon(Kind::Wavers, &both);
        assert!(reckoning.is_balanced() && reckoning.exported == 1, "{reckoning:?}");
        let mut half = books(&[&SPANS], &[]);
        decide(&mut half, &[false, true]);
        let reckoning = reckon(Kind::Wavers, &half);
        assert_eq!((reckoning.dropped, &reckoning.excused[..]), (1, &[][..]));
    }

    #[test]
    fn what_was_kept_after_it_was_dropped_is_owed_to_everybody() {
        let mut half = books(&[&SPANS], &[]);
        decide(&mut half, &[true, false]);
        assert_eq!(reckon(Kind::Wavers, &half).excused.len(), 1);
        let mut all = sent(Kind::Wavers);
        all.insert("u".into(), all["t"].clone());
        half.decided.insert("u".into(), half.decided["t"].clone());
        assert!(!Reckoning::of(&all, &half, |_| false).is_balanced(), "that may happen once, not twice");
    }

    #[test]
    fn a_dead_letter_stands_for_the_span_it_holds_and_no_other() {
        let mut books = books(&[&SPANS], &[]);
        bury(&mut books, &["s0"], &refused());
        assert_eq!(reckon(Kind::Rejected, &books).lost.len(), 1);
        bury(&mut books, &SPANS, &refused());
        let reckoning = reckon(Kind::Rejected, &books);
        assert!(reckoning.is_balanced() && reckoning.dead == 1, "{reckoning:?}");
    }

    #[test]
    fn a_good_trace_that_is_a_dead_letter_is_wrong_also_if_it_was_exported() {
        for taken in [&[][..], &[&SPANS[..]]] {
            let mut books = books(taken, taken);
            bury(&mut books, &SPANS, &refused());
            let reckoning = reckon(Kind::Plain, &books);
            assert!(!reckoning.is_balanced() && reckoning.wrong.len() == 1, "{reckoning:?}");
        }
    }

    #[test]
    fn a_dead_letter_for_another_reason_than_its_kind_is_wrong_and_a_moody_exporter_is_excused() {
        let cause = |plugin: &str, reason: &str| Cause {
            plugin: plugin.into(),
            reason: reason.into(),
            ..refused()
        };
        let of = |kind, cause: &Cause| {
            let mut books = books(&[&SPANS], &[]);
            bury(&mut books, &SPANS, cause);
            let reckoning = reckon(kind, &books);
            (reckoning.wrong.len(), reckoning.excused.len())
        };
        let panicked = "it panicked or aborted (its log may say why)";
        assert_eq!(of(Kind::Rejected, &cause("json", "no")), (1, 0));
        assert_eq!(of(Kind::Breaks, &cause("moody", panicked)), (0, 0));
        assert_eq!(of(Kind::Plain, &cause("moody", panicked)), (0, 1));
        assert_eq!(of(Kind::Plain, &cause("ledger", panicked)), (1, 0));
        assert_eq!(of(Kind::Plain, &cause("json", "it ran longer than its limit of 5s")), (0, 1));
    }

    #[test]
    fn a_verdict_that_its_kind_cannot_get_is_wrong() {
        let mut dropped = books(&[], &[]);
        decide(&mut dropped, &[true]);
        assert_eq!(reckon(Kind::Plain, &dropped).wrong, ["t (Plain) was dropped"]);
        assert_eq!(reckon(Kind::Dropped, &books(&[&SPANS], &[&SPANS])).wrong, ["t (Dropped) was exported"]);
    }

    #[test]
    fn only_what_redis_let_go_is_trimmed() {
        let mut sent = sent(Kind::Plain);
        sent.values_mut().for_each(|trace| trace.spans = BTreeMap::from([("s0".into(), "1-trimmed".into())]));
        let reckoning = Reckoning::of(&sent, &books(&[], &[]), |entry| entry == "1-trimmed");
        assert!(reckoning.is_balanced() && reckoning.trimmed == 1, "{reckoning:?}");
    }
}
