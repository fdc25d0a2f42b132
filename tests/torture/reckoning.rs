//! Every single trace is accounted for: sent = exported + dropped + dead (+ trimmed, where the run allows that), by its set of spans.

use std::collections::{BTreeMap, BTreeSet};

use super::books::{Books, Cause, Decision};
use super::server::in_order;
use super::traces::{Kind, Sent};
use super::trimming::{Gone, Trimmed};

/// Of so many traces one may be excused, and one in any case.
const SENT_PER_EXCUSED: usize = 1_000;

/// A trace is not decided before the stream has brought nothing of it for so long. The hosts of a run are told the same.
pub const QUIET_MS: u64 = 1_000;

/// What the stream says at the end, and hosts about it.
#[derive(Debug, Default)]
pub struct Stream {
    pub trimmed: Trimmed,
    /// Entries that hosts which lead until the end could not read again, as they say.
    pub counted: u64,
    /// What the group has not acknowledged.
    pub pending: BTreeSet<String>,
    /// The last entry that it was given.
    pub given: String,
}

impl Stream {
    fn has_acknowledged(&self, entry: &str) -> bool {
        in_order(entry) <= in_order(&self.given) && !self.pending.contains(entry)
    }
}

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
    /// Entries of what is nowhere that were trimmed under a host which has led ever since: it must have counted as many.
    pub unread: BTreeSet<String>,
}

impl Reckoning {
    /// Reckons `sent` against `books`, and what is in neither against the stream.
    pub fn of(sent: &BTreeMap<String, Sent>, books: &Books, stream: &Stream) -> Reckoning {
        let mut reckoning = Reckoning { sent: sent.len(), ..Reckoning::default() };
        for (id, trace) in sent {
            reckoning.add(id, trace, books, stream);
        }
        if reckoning.unread.len() as u64 > stream.counted {
            let (all, first, counted) = (reckoning.unread.len(), reckoning.unread.first(), stream.counted);
            reckoning.lost.push(format!(
                "{all} entries from {first:?} on were trimmed under hosts that led on, which say they could not read {counted}"
            ));
        }
        reckoning.duplicated = books.exporters.values().map(|book| book.repeats).max().unwrap_or(0);
        reckoning
    }

    fn add(&mut self, id: &str, trace: &Sent, books: &Books, stream: &Stream) {
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
            return;
        }
        let undecided: BTreeMap<_, _> = missing.iter().filter(|(span, _)| !is_dropped(span, trace, decisions, stream)).collect();
        if undecided.is_empty() {
            self.dropped += 1;
            // The last word counts: what was dropped, came again and was kept then is owed to all exporters. But a host that was stopped, and leads no
            // more, may have had the last word, and what it said counts for nothing.
            if !decisions.iter().max().is_some_and(|last| last.dropped) {
                self.excused.push(format!("{id} ({:?}) lacks {missing:?} and was kept last: {decisions:?}", trace.kind));
            }
            return;
        }
        let gone: Vec<_> = undecided.keys().map(|span| (&trace.spans[**span], stream.trimmed.gone(&trace.spans[**span]))).collect();
        if gone.iter().any(|(_, gone)| gone.is_none()) {
            self.lost.push(format!("{id} ({:?}) of {:?} lacks {undecided:?}; decided: {decisions:?}", trace.kind, trace.spans));
        } else {
            self.trimmed += 1;
            self.unread.extend(gone.into_iter().filter(|(_, gone)| *gone == Some(Gone::FromAHost)).map(|(entry, _)| entry.clone()));
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
            unread: _,
            duplicated: _,
        } = self;
        let is_seldom = excused.len() <= 1 + sent / SENT_PER_EXCUSED;
        *sent == exported + dropped + dead + trimmed && lost.is_empty() && wrong.is_empty() && is_seldom
    }
}

/// Whether the filter dropped this span: it was shown it when it dropped the trace, or the span came when that had been decided. Then it follows without another
/// look, and all that is left to ask is whether its entry was acknowledged, and came late indeed.
fn is_dropped(span: &str, trace: &Sent, decisions: &[Decision], stream: &Stream) -> bool {
    let mut drops = decisions.iter().filter(|decision| decision.dropped);
    if drops.clone().any(|drop| drop.spans.contains(span)) {
        return true;
    }
    let came = |span: &str| trace.first.get(span).map_or(0, |entry| in_order(entry).0);
    let is_late = |drop: &Decision| {
        let last = drop.spans.iter().map(|shown| came(shown)).max().unwrap_or_default();
        trace.unsure || came(span) >= last + QUIET_MS
    };
    drops.any(is_late) && stream.has_acknowledged(&trace.spans[span])
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPANS: [&str; 2] = ["s0", "s1"];

    fn sent(kind: Kind) -> BTreeMap<String, Sent> {
        let mut sent = Sent::new(kind);
        SPANS.iter().zip(1..).for_each(|(span, number)| sent.accepted((*span).to_owned(), format!("1-{number}")));
        BTreeMap::from([("t".to_owned(), sent)])
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

    /// Notes what the filter decided on all spans, one decision after the other.
    fn decide(books: &mut Books, dropped: &[bool]) {
        decide_on(books, &SPANS, dropped);
    }

    fn decide_on(books: &mut Books, spans: &[&str], dropped: &[bool]) {
        let spans: BTreeSet<String> = spans.iter().map(|span| (*span).to_owned()).collect();
        let decisions = (1..).zip(dropped).map(|(at, dropped)| Decision {
            at,
            dropped: *dropped,
            spans: spans.clone(),
        });
        books.decided.entry("t".into()).or_default().extend(decisions);
    }

    /// A stream of which everything is acknowledged.
    fn stream() -> Stream {
        Stream {
            given: "9999-0".into(),
            ..Stream::default()
        }
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
        Reckoning::of(&sent(kind), books, &stream())
    }

    #[test]
    fn a_span_that_one_exporter_lacks_is_a_trace_lost() {
        let reckoning = reckon(Kind::Plain, &books(&[&SPANS], &[&["s0"]]));
        assert_eq!(reckoning.lost, [r#"t (Plain) of {"s0": "1-1", "s1": "1-2"} lacks {"s1": ["second"]}; decided: []"#]);
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
        assert!(!Reckoning::of(&all, &half, &stream()).is_balanced(), "that may happen once, not twice");
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
    fn a_span_that_the_filter_was_not_shown_is_dropped_only_if_it_came_late_and_is_acknowledged() {
        let mut books = books(&[], &[]);
        decide_on(&mut books, &["s0"], &[true]);
        let of = |entry: &str, unsure: bool, change: fn(&mut Stream)| {
            let mut all = sent(Kind::Dropped);
            let mut trace = Sent { unsure, ..Sent::new(Kind::Dropped) };
            trace.accepted("s0".into(), "500-0".into());
            trace.accepted("s1".into(), entry.into());
            // Sent again, which makes it no later.
            trace.accepted("s1".into(), format!("9{entry}"));
            all.insert("t".into(), trace);
            let mut stream = Stream {
                given: "99999-0".into(),
                ..Stream::default()
            };
            change(&mut stream);
            let reckoning = Reckoning::of(&all, &books, &stream);
            (reckoning.dropped, reckoning.lost.len(), reckoning.is_balanced())
        };
        assert_eq!(of("1500-0", false, |_| ()), (1, 0, true));
        assert_eq!(of("1499-0", false, |_| ()), (0, 1, false), "it came before anybody could have decided");
        assert_eq!(of("1499-0", true, |_| ()), (1, 0, true), "it may have come before, too");
        assert_eq!(of("1500-0", false, |stream| stream.given = "9000-0".into()), (0, 1, false), "it was not read");
        assert_eq!(of("1500-0", true, |stream| stream.pending = BTreeSet::from(["91500-0".to_owned()])), (0, 1, false), "it is pending");
    }

    #[test]
    fn what_was_trimmed_under_a_host_that_leads_on_must_have_been_counted_by_it() {
        let books = books(&[], &[]);
        let mut stream = stream();
        stream.trimmed = Trimmed::of(&["1-1"], &["1-2"]);
        let reckoning = Reckoning::of(&sent(Kind::Plain), &books, &stream);
        assert_eq!((reckoning.trimmed, reckoning.lost.len(), reckoning.is_balanced()), (1, 1, false));
        stream.counted = 1;
        assert!(Reckoning::of(&sent(Kind::Plain), &books, &stream).is_balanced());
    }

    #[test]
    fn only_what_redis_let_go_is_trimmed() {
        let mut stream = stream();
        stream.trimmed = Trimmed::of(&["1-1"], &[]);
        assert_eq!(Reckoning::of(&sent(Kind::Plain), &books(&[], &[]), &stream).lost.len(), 1);
        stream.trimmed = Trimmed::of(&["1-1", "1-2"], &[]);
        let reckoning = Reckoning::of(&sent(Kind::Plain), &books(&[], &[]), &stream);
        assert!(reckoning.is_balanced() && reckoning.trimmed == 1, "{reckoning:?}");
    }
}
