//! A host that stands by tells about itself, and not about traces.

use serde_json::json;

use super::*;
use crate::source::{Role, SourceState};

fn standby() -> ApiState {
    let fake = Fake {
        state: SourceState::StandingBy,
        role: Some(Role::Standby),
        ..Fake::default()
    };
    state(store(), fake)
}

#[tokio::test]
async fn what_asks_for_traces_is_a_503_that_names_the_leader_and_says_when_to_ask_again() {
    let state = standby();
    for path in
        ["/trace/list", "/trace/search?limit=1", "/trace/stats", "/trace/some-id", "/trace/some-id/decision", "/registry/trace/some-id"]
    {
        let response = ask(&state, Method::GET, path).await;
        assert_eq!(
            (response.status(), response.headers()["retry-after"].to_str().unwrap()),
            (StatusCode::SERVICE_UNAVAILABLE, "5"),
            "{path}"
        );
        let error = "standing by: another meshtrace reads this stream and has its traces";
        assert_eq!(get(&state, path).await.1, json!({"error": error, "leader": "meshtrace-other-7-1"}), "{path}");
    }
}

#[tokio::test]
async fn what_tells_about_the_host_is_answered_and_it_is_not_ready() {
    let state = standby();
    let status = get_ok(&state, "/trace/status").await;
    let consumer = &status["consumer"];
    let told = (&consumer["status"], &consumer["role"], &consumer["leader"]);
    assert_eq!(told, (&json!("standing_by"), &json!("standby"), &json!("meshtrace-other-7-1")));
    for path in ["/health", "/plugins"] {
        get_ok(&state, path).await;
    }
    let reason = "another meshtrace leads this group; this one takes over when that ends";
    let unready = json!({"ready": false, "source": "standing_by", "role": "standby", "reason": reason});
    assert_eq!(get(&state, "/ready").await, (StatusCode::SERVICE_UNAVAILABLE, unready));
    let metrics = to_bytes(ask(&state, Method::GET, "/metrics").await.into_body(), usize::MAX).await.unwrap();
    assert!(String::from_utf8_lossy(&metrics).contains("\nmeshtrace_leader 0\n"));
}
