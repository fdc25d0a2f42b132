//! What is refused, and how it is said.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::source::SourceState;

#[tokio::test]
async fn an_unknown_trace_is_a_404_that_names_it() {
    let state = state(store(), Fake::default());
    for path in ["/trace/no%2Fsuch%20trace", "/registry/trace/no%2Fsuch%20trace"] {
        assert_eq!(get(&state, path).await, (StatusCode::NOT_FOUND, json!({"error": "trace not found", "trace_id": "no/such trace"})));
    }
}

#[tokio::test]
async fn a_bad_parameter_is_a_400_that_names_it() {
    let state = state(store(), Fake::default());
    let limit = "an integer above 0; more than 100 counts as 100";
    let whole = "an integer, 0 or more";
    let millis = "an integer, 0 or more (milliseconds)";
    let time = "an RFC 3339 time such as 2024-01-01T00:00:00Z";
    let text = "a text that is not empty";
    for (path, parameter, given, expected) in [
        ("/trace/list?limit=abc", "limit", "abc", limit),
        ("/trace/list?limit=0", "limit", "0", limit),
        ("/trace/list?limit=-1", "limit", "-1", limit),
        ("/trace/list?limit=", "limit", "", limit),
        ("/trace/list?limit=%D9%A1", "limit", "١", limit),
        ("/trace/search?limit=1.5", "limit", "1.5", limit),
        ("/trace/list?offset=x", "offset", "x", whole),
        ("/trace/search?success=yes", "success", "yes", "true or false"),
        ("/trace/search?start_time=yesterday", "start_time", "yesterday", time),
        ("/trace/search?end_time=2024-01-01", "end_time", "2024-01-01", time),
        ("/trace/search?min_duration_ms=1s", "min_duration_ms", "1s", millis),
        ("/trace/search?max_duration_ms=-5", "max_duration_ms", "-5", millis),
        ("/trace/search?agent_name=", "agent_name", "", text),
    ] {
        let refused = json!({"error": "bad parameter", "parameter": parameter, "given": given, "expected": expected});
        assert_eq!(get(&state, path).await, (StatusCode::BAD_REQUEST, refused), "{path}");
    }
}

#[tokio::test]
async fn an_unknown_or_repeated_parameter_is_a_400_that_names_it() {
    let state = state(store(), Fake::default());
    let unknown = json!({"error": "unknown parameter", "parameter": "agent", "given": "x", "expected": "one of limit, offset"});
    assert_eq!(get(&state, "/trace/list?agent=x").await, (StatusCode::BAD_REQUEST, unknown));
    let twice = json!({"error": "parameter given twice", "parameter": "limit", "given": "2", "expected": "limit once"});
    assert_eq!(get(&state, "/trace/list?limit=1&limit=2").await, (StatusCode::BAD_REQUEST, twice));
    let (status, body) = get(&state, &format!("/trace/list?limit={}", "x".repeat(10_000))).await;
    assert_eq!((status, body["given"].as_str().unwrap().chars().count()), (StatusCode::BAD_REQUEST, 201));
}

#[tokio::test]
async fn an_id_that_is_not_text_is_a_400() {
    let state = state(store(), Fake::default());
    let (status, body) = get(&state, "/trace/%ff").await;
    assert_eq!((status, &body["parameter"], &body["given"]), (StatusCode::BAD_REQUEST, &json!("id"), &json!("/trace/%ff")));
}

#[tokio::test]
async fn an_unknown_path_is_a_404_that_lists_the_paths() {
    let state = state(store(), Fake::default());
    for path in ["/", "/trace", "/trace/", "/trace/a/b", "/registry/trace"] {
        let (status, body) = get(&state, path).await;
        assert_eq!((status, &body["error"], &body["path"]), (StatusCode::NOT_FOUND, &json!("no such path"), &json!(path)));
        assert!(body["paths"].as_array().unwrap().contains(&json!("/trace/search")));
    }
}

#[tokio::test]
async fn another_method_is_a_405_that_names_the_right_one() {
    let state = state(store(), Fake::default());
    for path in ["/trace/list", "/trace/some-id", "/registry/trace/some-id", "/health", "/ready"] {
        let response = ask(&state, Method::DELETE, path).await;
        assert_eq!((response.status(), &response.headers()["allow"]), (StatusCode::METHOD_NOT_ALLOWED, &"GET, HEAD".parse().unwrap()));
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let body: Json = serde_json::from_slice(&body).unwrap();
        assert_eq!(body, json!({"error": "method not allowed", "given": "DELETE", "expected": "GET"}));
    }
    assert_eq!(ask(&state, Method::HEAD, "/trace/list").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn statistics_say_why_there_are_none() {
    let (status, body) = get(&state(store(), Fake::default()), "/trace/stats").await;
    assert_eq!((status, &body["variable"]), (StatusCode::NOT_FOUND, &json!("TRACE_ENABLE_STATS")));
    for (report, reason) in [(Err("it trapped".to_owned()), "it trapped"), (Ok("{oops".to_owned()), "not JSON")] {
        let state = state(store(), Fake { report: Some(report), ..Fake::default() });
        let (status, body) = get(&state, "/trace/stats").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(body["error"].as_str().unwrap().contains(reason), "{body}");
    }
}

#[tokio::test]
async fn readiness_follows_the_source_and_says_why_not() {
    for (source, ready) in [(SourceState::Running, true), (SourceState::Recovering, true), (SourceState::Stopped, false)] {
        let state = state(store(), Fake { state: source, ..Fake::default() });
        let (status, body) = get(&state, "/ready").await;
        assert_eq!((status.is_success(), &body["ready"], &body["source"]), (ready, &json!(ready), &json!(source.as_str())));
    }
    let error = Some("connection refused".to_owned());
    let state = state(
        store(),
        Fake {
            state: SourceState::Connecting,
            error,
            ..Fake::default()
        },
    );
    let unready = json!({"ready": false, "source": "connecting", "role": null, "reason": "connection refused"});
    assert_eq!(get(&state, "/ready").await, (StatusCode::SERVICE_UNAVAILABLE, unready));
    assert_eq!(get_ok(&state, "/health").await, json!({"status": "ok"}));
}

#[tokio::test]
async fn a_stage_that_does_not_answer_costs_one_request_its_patience() {
    let state = state(store(), Fake { stuck: true, ..Fake::default() });
    for (path, whose) in [("/trace/unknown", "the correlator"), ("/trace/stats", "the stats plugin")] {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let router = routes(Api::new(state.clone(), Duration::from_millis(20)));
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let body: Json = serde_json::from_slice(&to_bytes(response.into_body(), usize::MAX).await.unwrap()).unwrap();
        assert_eq!(body, json!({"error": format!("{whose} did not answer within 20ms")}));
    }
    // What is stored is answered all the same.
    assert_eq!(get_ok(&state, "/trace/list").await["total"], 1);
}
