//! Every single trace is accounted for: sent = exported + dropped + dead (+ trimmed, where the run allows that), by its set of spans.

use std::collections::{BTreeMap, BTreeSet};

use super::books::Books;
use super::traces::{Kind, Sent};

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
        let dropped = books.dropped.contains(id);
        if dropped && !matches!(trace.kind, Kind::Dropped | Kind::Wavers) {
            self.wrong.push(format!("{id} ({:?}) was dropped", trace.kind));
        }
        if missing.is_empty() {
            // Exported wins, when a repeat was decided otherwise.
            self.exported += 1;
            if !matches!(trace.kind, Kind::Plain | Kind::Wavers) {
                self.wrong.push(format!("{id} ({:?}) was exported", trace.kind));
            }
            return;
        }
        let buried = books.dead.get(id);
        missing.retain(|span, _| !buried.is_some_and(|buried| buried.contains(*span)));
        if missing.is_empty() {
            self.dead += 1;
        } else if dropped {
            self.dropped += 1;
        } else {
            missing.retain(|span, _| !is_trimmed(&trace.spans[*span]));
            match missing.is_empty() {
                true => self.trimmed += 1,
                false => self.lost.push(format!("{id} ({:?}) of {:?} lacks {missing:?}", trace.kind, trace.span_ids())),
            }
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
            duplicated: _,
        } = self;
        *sent == exported + dropped + dead + trimmed && lost.is_empty() && wrong.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        both.dropped.insert("t".into());
        let reckoning = reckon(Kind::Wavers, &both);
        assert!(reckoning.is_balanced() && reckoning.exported == 1, "{reckoning:?}");
        let mut half = books(&[&SPANS], &[]);
        half.dropped.insert("t".into());
        assert_eq!(reckon(Kind::Wavers, &half).dropped, 1);
    }

    #[test]
    fn a_dead_letter_stands_for_the_span_it_holds_and_no_other() {
        let mut books = books(&[&SPANS], &[]);
        books.dead.insert("t".into(), BTreeSet::from(["s0".into()]));
        assert_eq!(reckon(Kind::Rejected, &books).lost.len(), 1);
        books.dead.insert("t".into(), SPANS.map(str::to_owned).into());
        let reckoning = reckon(Kind::Rejected, &books);
        assert!(reckoning.is_balanced() && reckoning.dead == 1, "{reckoning:?}");
    }

    #[test]
    fn a_verdict_that_its_kind_cannot_get_is_wrong() {
        let mut dropped = books(&[], &[]);
        dropped.dropped.insert("t".into());
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
