//! The stage with made-up filters: what they decide, when they fail, and how they come and go.

mod bench;
mod changing;
mod editing;
mod ending;
mod failing;
mod following;
mod judging;

use std::sync::Arc;
use std::time::Duration;

use self::bench::{Bench, Fake, deciding, drop_for, keep_for, passing};
use super::{Change, Decisions, Edit, OnFailure, Slot, Target, Verdict};
use crate::budget::Share;
use crate::correlate::Decided;
use crate::encode::sample;
use crate::model::{IdHasher, Mark, Receipt, Receipts};

/// A trace of one span, called as its trace, with one receipt.
fn one(id: &str) -> Decided {
    part(id, 0, 1)
}

/// A part of a trace with so many spans, decided at second 1.
fn part(id: &str, part: u32, spans: usize) -> Decided {
    let mut trace = sample::trace(id, (0..spans).map(|number| sample::span(&format!("{id}-{number}"))).collect());
    trace.part = part;
    let mark = Mark {
        id_hash: IdHasher::new(&[0; 16]).hash(&trace.id),
        parts: part + 1,
        at_ms: 1_000,
    };
    Decided {
        trace,
        receipts: Receipts {
            epoch: 0,
            mark: Some(mark),
            list: vec![Receipt { stream: 0, ms: 1, seq: 1 }],
        },
        at_ms: 1_000,
        retry: false,
        share: Share::default(),
        follows_drop: false,
    }
}

fn all(ids: &[&str]) -> Vec<Decided> {
    ids.iter().map(|id| one(id)).collect()
}
