//! How soon a decided trace leaves, by a clock of the test's own: the stage reads none.

use std::pin::{Pin, pin};
use std::task::{Context, Waker};

use super::*;
use crate::model::Receipt;
use crate::source::TICK;

/// Key and value of a field.
type Field = (&'static [u8], &'static [u8]);

/// When a span came, and what keeps its trace open.
struct Span {
    trace: String,
    at_ms: u64,
    fields: &'static [Field],
    /// Milliseconds after which its trace is due.
    due_in_ms: u64,
}

/// One that nothing is missing from, one whose parent never comes, and one that never ends, at every millisecond of two ticks.
fn spans(begin_ms: u64) -> Vec<Span> {
    let rules = Rules::default();
    let kinds: [(&str, &'static [Field], u64); 3] = [
        ("whole", &[(b"end_time", b"1795221702.75")], rules.quiet_ms),
        ("orphan", &[(b"end_time", b"1795221702.75"), (b"parent_span", b"killed")], rules.parent_wait_ms),
        ("endless", &[(b"event_type", b"span_start")], rules.timeout_ms),
    ];
    let of = |at_ms| {
        kinds.map(|(kind, fields, due_in_ms)| Span {
            trace: format!("{kind}-{at_ms}"),
            at_ms,
            fields,
            due_in_ms,
        })
    };
    (begin_ms..begin_ms + 2 * TICK.as_millis() as u64).flat_map(of).collect()
}

/// What a source hands on at `now_ms`: the spans that came since it last did, and that nothing is left from before then.
fn batch(spans: &[Span], last_ms: u64, now_ms: u64) -> Batch {
    let mut batch = Batch::default();
    for (seq, span) in (0..).zip(spans).filter(|(_, span)| (last_ms..now_ms).contains(&span.at_ms)) {
        batch.push_entry(Receipt { stream: 0, ms: span.at_ms, seq }, span.at_ms);
        let own: [(&[u8], &[u8]); 3] = [(b"trace_id", span.trace.as_bytes()), (b"span_id", b"a"), (b"start_time", b"1795221702.5")];
        own.iter().chain(span.fields).for_each(|(key, value)| batch.push_field(key, value));
    }
    batch.watermark_ms = last_ms;
    batch
}

/// Lets the stage do all that there is to do.
fn go_on(stage: Pin<&mut impl Future<Output = ()>>) {
    assert!(stage.poll(&mut Context::from_waker(Waker::noop())).is_pending(), "it ends with its input");
}

/// Scenario: a source says every [`TICK`], and no more often, how far stream time had come a tick before.
/// Guarantees: each trace leaves as soon as that is past its due time: not before it is due, and less than 100 ms after.
#[test]
fn a_trace_leaves_within_a_tenth_of_a_second_after_it_is_due_and_not_before() {
    let (batches, input) = mpsc::channel(1);
    let (output, mut left) = mpsc::channel(4);
    let (handle, questions) = Handle::new();
    let stage = Correlate {
        rules: Rules::default(),
        input,
        output,
        settlements: mpsc::channel(1).0,
        budget: Arc::new(Budget::new(1024 * 1024)),
        store: Arc::new(Store::new(crate::store::Limits::default())),
        questions,
        counters: Arc::clone(&handle.counters),
    };
    let mut stage = pin!(run(stage));
    let (begin_ms, tick_ms) = (1_795_221_700_000, TICK.as_millis() as u64);
    let spans = spans(begin_ms);
    let end_ms = spans.iter().map(|span| span.at_ms + span.due_in_ms).max().expect("spans") + 2 * tick_ms;
    let mut late_ms = Vec::new();
    for now_ms in (begin_ms..=end_ms).step_by(TICK.as_millis() as usize) {
        batches.try_send(batch(&spans, now_ms - tick_ms, now_ms)).expect("the stage has taken the last one");
        go_on(stage.as_mut());
        while let Ok(portion) = left.try_recv() {
            for decided in portion {
                let span = spans.iter().find(|span| decided.trace.id.to_string() == span.trace).expect("one that was sent");
                late_ms.push(now_ms.checked_sub(span.at_ms + span.due_in_ms).expect("none leaves before it is due"));
            }
            // It may have waited for room.
            go_on(stage.as_mut());
        }
    }
    assert_eq!(late_ms.len(), spans.len());
    assert!(late_ms.iter().all(|late_ms| (1..100).contains(late_ms)), "{late_ms:?}");
}
