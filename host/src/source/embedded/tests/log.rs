//! The log alone: ids, bounds, watermarks.

use std::sync::Arc;

use proptest::prelude::*;

use super::receipts;
use crate::source::embedded::bounds;
use crate::source::embedded::entry_id::{AskedId, EntryId};
use crate::source::embedded::log::{Log, Refused};
use crate::source::embedded::payload::Payload;
use crate::source::{Fate, Settlement, SourceStatus};

fn log(held_bytes: usize) -> Log {
    Log::new(held_bytes)
}

fn payload(value: &[u8]) -> Payload {
    Payload::pack([&b"key"[..], value].into_iter())
}

fn exactly(ms: u64, seq: u64) -> AskedId {
    AskedId::Exactly(EntryId { ms, seq })
}

fn give(log: &Log, asked: AskedId) -> Result<String, Refused> {
    log.append(asked, payload(b"value")).map(|id| id.to_string())
}

#[test]
fn ids_follow_the_rules_of_redis() {
    let log = log(1 << 20);
    assert_eq!(give(&log, exactly(0, 0)), Err(Refused::IdZero));
    assert_eq!(give(&log, AskedId::NextIn(0)), Ok("0-1".into()));
    assert_eq!(give(&log, exactly(5, 7)), Ok("5-7".into()));
    assert_eq!(give(&log, exactly(5, 7)), Err(Refused::IdTooSmall));
    assert_eq!(give(&log, AskedId::NextIn(4)), Err(Refused::IdTooSmall));
    assert_eq!(give(&log, AskedId::NextIn(5)), Ok("5-8".into()));
    assert_eq!(give(&log, AskedId::NextIn(6)), Ok("6-0".into()));
    let by_clock = log.append(AskedId::Next, payload(b"value")).unwrap();
    assert!(by_clock.ms > 1_700_000_000_000, "{by_clock}");
    assert_eq!(give(&log, exactly(u64::MAX, u64::MAX - 1)), Ok(format!("{0}-{1}", u64::MAX, u64::MAX - 1)));
    assert_eq!(give(&log, AskedId::Next), Ok(EntryId::MAX.to_string()));
    for asked in [AskedId::Next, AskedId::NextIn(u64::MAX), exactly(1, 1)] {
        assert_eq!(give(&log, asked), Err(Refused::NoMoreIds));
    }
}

#[test]
fn what_is_held_is_bounded_until_it_is_settled() {
    let (log, status) = (log(3 * (bounds::ENTRY_BYTES + 16)), SourceStatus::default());
    for _ in 0..3 {
        give(&log, AskedId::Next).unwrap();
    }
    assert_eq!(give(&log, AskedId::Next), Err(Refused::Full { first: true }));
    assert_eq!(give(&log, AskedId::Next), Err(Refused::Full { first: false }));
    let mut batch = log.take();
    let receipts = receipts(batch.drain().take(1).map(|entry| entry.receipt).collect());
    assert_eq!(log.holding().entries, 3, "handing on settles nothing");
    let fate = Fate::Delivered;
    assert!(log.settle(Settlement { receipts, fate }, &status));
    assert_eq!(log.holding().entries, 2);
    assert!(give(&log, AskedId::Next).is_ok());
    assert_eq!(give(&log, AskedId::Next), Err(Refused::Full { first: true }));
}

#[test]
fn batches_end_by_entries_and_by_bytes() {
    let log = log(64 << 20);
    for _ in 0..bounds::BATCH_ENTRIES + 1 {
        give(&log, AskedId::Next).unwrap();
    }
    assert_eq!(log.take().len(), bounds::BATCH_ENTRIES);
    for _ in 0..3 {
        log.append(AskedId::Next, payload(&vec![0; bounds::BATCH_BYTES / 2])).unwrap();
    }
    assert_eq!(log.take().len(), 3);
    assert_eq!((log.take().len(), log.look()), (1, (false, 0)));
}

#[test]
fn a_closed_log_takes_nothing_and_hands_on_what_it_has() {
    let log = log(1 << 20);
    give(&log, AskedId::Next).unwrap();
    log.close();
    assert_eq!(give(&log, AskedId::Next), Err(Refused::Closed));
    assert_eq!((log.look(), log.take().len(), log.look()), ((true, 1), 1, (true, 0)));
}

#[test]
fn what_a_filter_dropped_is_let_go_of_and_is_no_dead_letter() {
    let (log, status) = (log(1 << 20), SourceStatus::default());
    give(&log, AskedId::Next).unwrap();
    let receipts = receipts(log.take().drain().map(|entry| entry.receipt).collect());
    let sampling = crate::model::Sampling {
        filter: "sampling".into(),
        keep: false,
        reason: None,
    };
    log.settle(
        Settlement {
            receipts,
            fate: Fate::Dropped(sampling.into()),
        },
        &status,
    );
    let status = status.snapshot();
    assert_eq!((log.holding().entries, status.entries_acknowledged, status.entries_dead), (0, 1, 0));
}

#[test]
fn what_was_given_up_last_is_remembered_with_its_reason() {
    let (log, status) = (log(1 << 20), SourceStatus::default());
    for seq in 1..=24 {
        give(&log, exactly(1, seq)).unwrap();
    }
    let mut batch = log.take();
    let mut list: Vec<_> = batch.drain().map(|entry| entry.receipt).collect();
    while let Some(second) = list.pop() {
        let fate = Fate::Dead {
            stage: "export",
            plugin: Some("json".into()),
            reason: format!("no {}", second.seq),
            trace: None,
        };
        let receipts = receipts([Some(second), list.pop()].into_iter().flatten().collect());
        log.settle(Settlement { receipts, fate }, &status);
    }
    let status = status.snapshot();
    assert_eq!((log.holding().entries, status.entries_acknowledged, status.entries_dead), (0, 24, 24));
    let told: Vec<_> = status.given_up.iter().map(|one| (one.entry.as_str(), one.entries, one.stage, one.reason.as_str())).collect();
    assert_eq!((told.len(), told[0], told[9]), (10, ("1-1", 2, "export", "no 2"), ("1-19", 2, "export", "no 20")));
    assert!(status.given_up.iter().all(|one| one.plugin.as_deref() == Some("json")));
}

#[test]
fn an_unknown_receipt_settles_nothing() {
    let (log, status) = (log(1 << 20), SourceStatus::default());
    give(&log, AskedId::Next).unwrap();
    let mut receipts = receipts(log.take().drain().map(|entry| entry.receipt).collect());
    receipts.list[0].seq += 1;
    let fate = Fate::Delivered;
    assert!(!log.settle(Settlement { receipts, fate }, &status));
    assert_eq!((log.holding().entries, status.snapshot().entries_acknowledged), (1, 0));
}

proptest! {
    /// Whatever ids publishers choose, and whenever batches are taken.
    #[test]
    fn the_watermark_never_passes_an_entry_that_was_not_handed_on(
        steps in prop::collection::vec((0..4u8, 0..2_000_000_000_000u64), 1..60)
    ) {
        let log = Arc::new(log(1 << 20));
        let (mut watermark_ms, mut last, mut accepted, mut handed) = (0, None, 0, 0);
        for (step, ms) in steps.into_iter().chain([(0, 0)]) {
            let asked = match step {
                0 => {
                    let mut batch = log.take();
                    let before_ms = std::mem::replace(&mut watermark_ms, batch.watermark_ms);
                    prop_assert!(before_ms <= watermark_ms);
                    for entry in batch.drain() {
                        prop_assert!(entry.at_ms >= before_ms);
                        let id = (entry.receipt.ms, entry.receipt.seq);
                        prop_assert!(last.replace(id) < Some(id));
                        handed += 1;
                    }
                    continue;
                }
                1 => AskedId::Next,
                2 => AskedId::NextIn(ms),
                _ => exactly(ms, ms % 3),
            };
            accepted += usize::from(give(&log, asked).is_ok());
        }
        prop_assert_eq!(accepted, handed);
    }
}
