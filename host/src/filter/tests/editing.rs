//! Edits: what they change, in which order, and what they may come to.

use std::sync::Mutex;

use super::*;
use crate::batch::TraceBatch;
use crate::model::{Key, Name, Span, Text, Trace, Value};

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn on(target: Target, change: Change) -> Edit {
    Edit { target, change }
}

fn set(target: Target, key: &str, value: Value) -> Edit {
    on(target, Change::Attribute(key.to_owned(), Some(value)))
}

fn remove(target: Target, key: &str) -> Edit {
    on(target, Change::Attribute(key.to_owned(), None))
}

/// Makes these edits on each batch, and drops nothing.
fn editing(edits: Vec<Edit>) -> Fake {
    Fake::new(move |batch| {
        Ok(Decisions {
            verdicts: vec![Verdict::Pass; batch.traces().len()],
            edits: edits.clone(),
        })
    })
}

/// A trace of two spans, `{id}-0` with the attributes `b` and `d` and an error, `{id}-1` with none.
fn two(id: &str) -> Decided {
    let mut decided = part(id, 0, 2);
    let span = &mut decided.trace.spans[0];
    span.attributes = sample::attributes([("b", Value::Integer(1)), ("d", Value::Bool(true))]);
    span.error = Text::own("boom");
    decided
}

/// What edits make of the traces `a` and `b`.
async fn edited(edits: Vec<Edit>) -> Vec<Trace> {
    let mut bench = Bench::new(vec![editing(edits).called("editor").on_failure(OnFailure::Pass)]);
    bench.give(vec![two("a"), two("b")]).await;
    let kept = bench.kept().await.batch;
    assert_eq!(bench.filter("editor").last_error, None);
    kept.traces().iter().map(|trace| (**trace).clone()).collect()
}

/// The attributes of a span, as `key=value`.
fn attributes(span: &Span) -> Vec<String> {
    span.attributes.iter().map(|attribute| format!("{}={}", attribute.key.as_str(), attribute.value.text())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_of_a_trace_reach_all_its_spans_and_those_of_a_span_only_it() {
    let traces = edited(vec![
        set(Target::Trace(1), "c", text("x")),
        remove(Target::Trace(1), "d"),
        on(Target::Trace(1), Change::Name("op".to_owned())),
        on(Target::Trace(1), Change::Error(Some("masked".to_owned()))),
        set(Target::Span(1), "a", Value::Integer(7)),
        on(Target::Span(2), Change::Error(None)),
        on(Target::Span(3), Change::Name("last".to_owned())),
    ])
    .await;
    let [a0, a1, b0, b1] = [&traces[0].spans[0], &traces[0].spans[1], &traces[1].spans[0], &traces[1].spans[1]];
    assert_eq!((attributes(a0), a0.error.as_str(), a0.name.as_str()), (vec!["b=1".into(), "d=true".into()], "boom", "tool:get_weather"));
    assert_eq!((attributes(a1), a1.error.as_str()), (vec!["a=7".to_owned()], ""));
    assert_eq!((attributes(b0), b0.error.get(), b0.name.as_str()), (vec!["b=1".into(), "c=x".into()], None, "op"));
    assert_eq!((attributes(b1), b1.error.as_str(), b1.name.as_str()), (vec!["c=x".to_owned()], "masked", "last"));
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_are_made_in_their_order_and_keys_stay_sorted() {
    let first = Target::Span(0);
    let traces = edited(vec![
        set(first, "e", text("1")),
        set(first, "c", text("2")),
        set(first, "a", text("3")),
        set(first, "c", text("4")),
        remove(first, "b"),
        set(first, "d", Value::Double(0.5)),
        remove(first, "e"),
        set(first, "b", Value::Json("[1]".into())),
    ])
    .await;
    let span = &traces[0].spans[0];
    assert_eq!(attributes(span), ["a=3", "b=[1]", "c=4", "d=0.5"]);
    assert!(matches!(span.attribute("b"), Some(Value::Json(_))), "{:?}", span.attribute("b"));
    assert_eq!(span.attribute("d"), Some(Value::Double(0.5)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_adds_nothing() {
    let traces = edited(vec![remove(Target::Trace(0), "nowhere"), on(Target::Span(1), Change::Error(None))]).await;
    assert_eq!((attributes(&traces[0].spans[0]).len(), attributes(&traces[0].spans[1]).len()), (2, 0));
    assert_eq!(traces[0].spans[1].error.get(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_filter_sees_what_an_earlier_one_has_made_and_traces_that_were_not_edited_are_shared() {
    type Seen = Arc<Mutex<Vec<Arc<Trace>>>>;
    let seen = Seen::default();
    let watching = |seen: &Seen| {
        let seen = Arc::clone(seen);
        Fake::new(move |batch: &Arc<TraceBatch>| {
            assert_eq!(batch.columns().traces.parts.len(), 2);
            seen.lock().unwrap().extend(batch.traces().iter().cloned());
            Ok(Decisions {
                verdicts: vec![Verdict::Pass; 2],
                edits: Vec::new(),
            })
        })
    };
    let editor = editing(vec![on(Target::Trace(1), Change::Name("edited".to_owned()))]);
    let filters = vec![watching(&seen).called("1"), editor.called("2"), watching(&seen).called("3")];
    let mut bench = Bench::new(filters);
    bench.give(vec![two("a"), two("b")]).await;
    let kept = bench.kept().await.batch;
    let seen = seen.lock().unwrap();
    let names: Vec<&str> = seen.iter().map(|trace| trace.spans[1].name.as_str()).collect();
    assert_eq!(names, ["tool:get_weather", "tool:get_weather", "tool:get_weather", "edited"]);
    assert!(Arc::ptr_eq(&seen[0], &seen[2]) && Arc::ptr_eq(&seen[2], &kept.traces()[0]));
    assert_eq!(kept.traces()[1].spans[0].name.as_str(), "edited");
    assert_eq!((bench.filter("2").edits, bench.filter("2").refused_edits), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_of_what_is_dropped_are_not_made() {
    let filter = Fake::new(|_| {
        Ok(Decisions {
            verdicts: vec![drop_for("no"), Verdict::Pass],
            edits: vec![on(Target::Trace(0), Change::Name("x".to_owned())), on(Target::Span(2), Change::Name("y".to_owned()))],
        })
    });
    let mut bench = Bench::new(vec![filter.called("f")]);
    bench.give(vec![two("a"), two("b")]).await;
    let kept = bench.kept().await;
    assert_eq!((kept.batch.traces().len(), kept.batch.traces()[0].spans[0].name.as_str()), (1, "y"));
    assert_eq!(bench.filter("f").edits, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_that_would_come_to_too_much_are_a_failure() {
    let large = "x".repeat(100_000);
    let filter = editing(vec![set(Target::Trace(0), "k", text(&large))]);
    let mut bench = Bench::new(vec![filter.called("bomb").on_failure(OnFailure::Pass)]);
    bench.give(vec![part("few", 0, 600)]).await;
    assert_eq!(bench.kept().await.batch.traces()[0].spans[599].attributes.iter().count(), 1);
    bench.give(vec![part("many", 0, 8_000)]).await;
    assert_eq!(bench.kept().await.batch.traces()[0].spans[0].attributes.iter().count(), 0);
    let filter = bench.filter("bomb");
    let said = "its 1 edits come to 800456000 bytes over all spans that they reach; at most 67108864 are made for one batch";
    assert_eq!((filter.undecided, filter.last_error.as_deref()), (1, Some(said)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_span_gets_no_more_attributes_than_it_may_have() {
    let many = (0..3_000).map(|number| set(Target::Span(0), &format!("k{number}"), Value::Bool(true))).collect();
    let mut bench = Bench::new(vec![editing(many).called("many")]);
    bench.give(all(&["a"])).await;
    assert_eq!(bench.kept().await.batch.traces()[0].spans[0].attributes.iter().count(), 2_048);
    assert_eq!((bench.filter("many").edits, bench.filter("many").refused_edits), (3_000, 952));
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_cannot_fill_the_table_of_names() {
    // Each text comes twice, which is when one is let in.
    let edits = (0..2_000).flat_map(|number| {
        let key = format!("no such name anywhere {number}");
        [set(Target::Span(0), &key, text("v")), set(Target::Span(0), &key, text("v"))]
    });
    let rounds: Vec<Vec<Edit>> = edits.collect::<Vec<_>>().chunks(1_000).map(<[Edit]>::to_vec).collect();
    let mut round = 0;
    let filter = Fake::new(move |batch| {
        round += 1;
        let prefix = format!("{round} ");
        let renamed = rounds[round % rounds.len()].iter().cloned().map(|edit| match edit.change {
            Change::Attribute(key, value) => on(edit.target, Change::Attribute(prefix.clone() + &key, value)),
            change => on(edit.target, change),
        });
        Ok(Decisions {
            verdicts: vec![Verdict::Pass; batch.traces().len()],
            edits: renamed.collect(),
        })
    });
    let mut bench = Bench::new(vec![filter.called("f")]);
    let before = Name::interned_bytes();
    let mut own = 0;
    for number in 0..20 {
        bench.give(all(&[&number.to_string()])).await;
        let kept = bench.kept().await.batch;
        own = kept.traces()[0].spans[0].attributes.iter().filter(|attribute| matches!(attribute.key, Key::Text(_))).count();
    }
    assert_eq!(own, 500, "the table has no room for them any more");
    // Other tests of this process may add a few names at the same time.
    assert!(Name::interned_bytes() - before < 5_000 * 200, "{} bytes", Name::interned_bytes() - before);
}
