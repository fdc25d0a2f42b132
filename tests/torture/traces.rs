//! Numbered traces: what is published, and what is to become of it.

use std::collections::{BTreeMap, BTreeSet};

use super::chance::Chance;
use super::marks;
use crate::support::events::{Fields, entry, span, with};

/// What is to become of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Exported, whole.
    Plain,
    /// Dropped by the filter.
    Dropped,
    /// Dropped or exported, as the filter feels when it is asked.
    Wavers,
    /// Refused by one exporter: dead letters.
    Rejected,
    /// One exporter dies of it: dead letters.
    Breaks,
    /// No trace, but an entry that cannot be decoded: a dead letter.
    Undecodable,
}

/// How many of each in a hundred.
const SHARES: [(u64, Kind); 6] =
    [(80, Kind::Plain), (9, Kind::Dropped), (5, Kind::Wavers), (2, Kind::Rejected), (1, Kind::Breaks), (3, Kind::Undecodable)];

/// What one of the publishers has sent, or is about to.
#[derive(Debug, Clone)]
pub struct Numbered {
    pub id: String,
    pub kind: Kind,
    pub spans: usize,
}

/// What was sent of a trace: all of it is in Redis.
#[derive(Debug, Clone)]
pub struct Sent {
    pub kind: Kind,
    /// The spans, each with the entry that holds it: the last one, where it was sent again.
    pub spans: BTreeMap<String, String>,
    /// The first entry of each.
    pub first: BTreeMap<String, String>,
    /// Whether Redis may have had an entry of it before those, or has forgotten one.
    pub unsure: bool,
}

impl Numbered {
    pub fn new(number: u64, chance: &mut Chance) -> Numbered {
        let kind = *chance.weighted(&SHARES);
        Numbered {
            id: id(kind, number),
            kind,
            spans: if kind == Kind::Undecodable { 1 } else { chance.within(1..9) as usize },
        }
    }

    /// The entry of one of its spans: always the same.
    pub fn entry(&self, at: usize) -> Fields {
        if self.kind == Kind::Undecodable {
            return entry(&[("numbered", &self.id), ("span_id", "s0"), ("function_name", "nothing says which trace this is")]);
        }
        let parent = at.checked_sub(1).map(|last| span_id(last / 2));
        with(span(&self.id, &span_id(at), parent.as_deref()), &[("payload", &"x".repeat(at * 40))])
    }
}

/// The id of a span.
pub fn span_id(at: usize) -> String {
    format!("s{at}")
}

fn id(kind: Kind, number: u64) -> String {
    let mark = match kind {
        Kind::Plain => marks::PLAIN,
        Kind::Dropped => marks::DROPPED,
        Kind::Wavers => marks::WAVERS,
        Kind::Rejected => marks::REJECTED,
        Kind::Breaks => marks::BREAKS,
        Kind::Undecodable => "0d",
    };
    format!("{}{mark}{number:024x}", marks::PREFIX)
}

impl Sent {
    /// Nothing of it yet.
    pub fn new(kind: Kind) -> Sent {
        Sent {
            kind,
            spans: BTreeMap::new(),
            first: BTreeMap::new(),
            unsure: false,
        }
    }

    /// Notes that Redis has this span in this entry.
    pub fn accepted(&mut self, span: String, entry: String) {
        self.first.entry(span.clone()).or_insert_with(|| entry.clone());
        self.spans.insert(span, entry);
    }

    pub fn span_ids(&self) -> BTreeSet<&str> {
        self.spans.keys().map(String::as_str).collect()
    }
}

#[test]
fn an_id_tells_what_is_to_become_of_its_trace() {
    for (kind, mark) in [(Kind::Plain, marks::PLAIN), (Kind::Breaks, marks::BREAKS)] {
        assert!(marks::is_of_kind(&id(kind, u64::MAX), mark));
    }
    assert!(!marks::is_of_kind(&id(Kind::Plain, 0), marks::DROPPED));
}
