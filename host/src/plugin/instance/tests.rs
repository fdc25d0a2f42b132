//! What becomes of a plugin whose instance ends.

use super::*;
use crate::encode::sample;
use crate::plugin::tests::{compiled, setup};
use crate::plugin::{Bundled, Limits};

fn statistics() -> Instance {
    let wasm = Bundled::bytes("stats").expect("it is bundled");
    Instance::start(compiled(wasm), setup(Limits::default())).expect("it starts")
}

fn export(instance: &mut Instance, count: usize) {
    let trace = |number: usize| Arc::new(sample::trace(&format!("t{number}"), vec![sample::span("s")]));
    let batch = Arc::new(TraceBatch::new((0..count).map(trace).collect()));
    assert_eq!(instance.export(&batch), Outcome::Delivered);
}

fn total(instance: &mut Instance) -> serde_json::Value {
    let report = instance.report().expect("it answers").expect("it has one");
    serde_json::from_str::<serde_json::Value>(&report).expect("JSON")["total_traces"].clone()
}

/// Has a call fail as one does in which the guest traps.
fn trap(instance: &mut Instance, moment: Moment) {
    let trapped = instance.call(moment, async |_, _| Err::<(), _>(wasmtime::Error::msg("a trap")));
    assert!(matches!(trapped, Err(CallError::Failed(_))));
}

#[test]
fn the_state_that_was_kept_last_outlives_a_trap() {
    let mut statistics = statistics();
    export(&mut statistics, 2);
    statistics.kept_at = Instant::now().checked_sub(KEEP_EVERY).expect("this machine has run for longer");
    export(&mut statistics, 3);
    export(&mut statistics, 4);
    assert_eq!(total(&mut statistics), 9);
    for _ in 0..2 {
        trap(&mut statistics, Moment::Traces("export-batch"));
        assert_eq!(total(&mut statistics), 5, "what came within {KEEP_EVERY:?} is lost, and no more");
    }
    export(&mut statistics, 1);
    assert_eq!(total(&mut statistics), 6);
}

#[test]
fn failures_beside_traces_are_counted() {
    let mut statistics = statistics();
    let counters = Arc::clone(&statistics.setup.counters);
    let last = || counters.last_failure().map(|failed| failed.reason);
    trap(&mut statistics, Moment::Traces("export-batch"));
    assert_eq!((counters.failures_beside(), last().as_deref()), (0, Some("export-batch: a trap")), "who offers traces counts that");
    for (number, name) in (1..).zip(["flush", "report", "snapshot"]) {
        assert_eq!(total(&mut statistics), 0);
        trap(&mut statistics, Moment::Beside(name));
        assert_eq!((counters.failures_beside(), last()), (number, Some(format!("{name}: a trap"))));
    }
    statistics.setup.config = "{\"colour\": 1}".into();
    assert!(statistics.report().is_err() && matches!(statistics.export(&Arc::new(TraceBatch::new(Vec::new()))), Outcome::NotStarted(_)));
    assert_eq!(counters.failures_beside(), 5, "starts in its place failed");
}
