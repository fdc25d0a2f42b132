//! What filters decided, asked for by id.

use serde_json::json;

use super::*;
use crate::filter::Known;
use crate::model::{Sampling, TraceId};

fn verdict(keep: bool, reason: Option<&str>) -> Option<Arc<Sampling>> {
    Some(Arc::new(Sampling {
        filter: "sampling".into(),
        keep,
        reason: reason.map(Arc::from),
    }))
}

fn known(keep: bool, sampling: Option<Arc<Sampling>>, part: u32) -> Known {
    Known {
        keep,
        sampling,
        at_unix_ms: 1_704_103_200_123,
        part,
    }
}

/// A host whose filters have decided this about one trace.
fn decided(id: &str, known: Known) -> ApiState {
    let fake = Fake {
        decisions: vec![(TraceId::parse(id), known)],
        ..Fake::default()
    };
    state(store(), fake)
}

#[tokio::test]
async fn a_decision_is_told_with_its_filter_and_reason() {
    for (known, decision, filter, reason, part) in [
        (known(true, verdict(true, Some("errors")), 0), "keep", json!("sampling"), json!("errors"), 0),
        (known(false, verdict(false, Some("rate")), 2), "drop", json!("sampling"), json!("rate"), 2),
        (known(false, verdict(false, None), 0), "drop", json!("sampling"), json!(null), 0),
        (known(true, None, 0), "keep", json!(null), json!("kept by default: no filter had an opinion"), 0),
    ] {
        let answer = get_ok(&decided("a/b", known), "/trace/a%2Fb/decision").await;
        let expected = json!({"trace_id": "a/b", "decision": decision, "filter": filter, "reason": reason,
                              "decided_at": "2024-01-01T10:00:00.123Z", "part": part});
        assert_eq!(answer.to_string(), expected.to_string());
    }
}

#[tokio::test]
async fn a_trace_that_was_dropped_is_a_404_that_says_by_whom_and_why() {
    let state = decided("a/b", known(false, verdict(false, Some("rate")), 0));
    let said = json!({"error": "trace dropped", "trace_id": "a/b", "filter": "sampling", "reason": "rate", "see": "/trace/a%2Fb/decision"});
    for path in ["/trace/a%2Fb", "/registry/trace/a%2Fb"] {
        assert_eq!(get(&state, path).await, (StatusCode::NOT_FOUND, said.clone()));
    }
    let kept = decided("a/b", known(true, verdict(true, None), 0));
    let gone = json!({"error": "trace not found", "trace_id": "a/b"});
    assert_eq!(get(&kept, "/trace/a%2Fb").await, (StatusCode::NOT_FOUND, gone), "kept, and no longer stored");
}

#[tokio::test]
async fn what_is_stored_was_kept_though_its_decision_is_not_known_any_more() {
    let store = store();
    let mut trace = (*lasting("kept", 1, Status::Ok)).clone();
    trace.sampling = verdict(true, Some("errors"));
    store.insert(&[Arc::new(trace), lasting("plain", 1, Status::Ok)], crate::api::now_unix_ms());
    let state = state(store, Fake::default());
    let answer = get_ok(&state, "/trace/kept/decision").await;
    assert_eq!((&answer["decision"], &answer["filter"], &answer["reason"]), (&json!("keep"), &json!("sampling"), &json!("errors")));
    assert!(answer["decided_at"].as_str().unwrap().starts_with("20"), "{answer}");
    let answer = get_ok(&state, "/trace/plain/decision").await;
    let by_default = json!("kept by default: no filter had an opinion");
    assert_eq!((&answer["decision"], &answer["filter"], &answer["reason"]), (&json!("keep"), &json!(null), &by_default));
    assert_eq!(get_ok(&state, "/trace/kept").await["sampling"], json!({"decision": "keep", "filter": "sampling", "reason": "errors"}));
}

#[tokio::test]
async fn an_unknown_decision_is_a_404_and_an_open_trace_says_so() {
    let open = (*lasting("open", 1, Status::Ok)).clone();
    let state = state(store(), Fake { open: Some(open), ..Fake::default() });
    let said = |error: &str, id: &str| (StatusCode::NOT_FOUND, json!({"error": error, "trace_id": id}));
    assert_eq!(get(&state, "/trace/open/decision").await, said("trace not decided yet", "open"));
    assert_eq!(get(&state, "/trace/unknown/decision").await, said("trace not found", "unknown"));
}
