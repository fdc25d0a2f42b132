//! What stands before the routes: the token, and what is answered without one.

use std::sync::Arc;

use axum::Router;
use serde_json::json;

use super::*;
use crate::api::access::Access;
use crate::api::guard;
use crate::api::server::Bounds;
use crate::source::SourceState;

fn with_token(fake: Fake) -> Router {
    let access = Access::Token("0123456789abcdef".into());
    guard::before(router(state(store(), fake)), access, &Bounds::default(), Arc::default())
}

async fn asked(router: Router, path: &str, authorization: Option<&str>) -> (Response<()>, Json) {
    let mut request = Request::builder().uri(path);
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    let (parts, body) = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap().into_parts();
    let body = serde_json::from_slice(&to_bytes(body, usize::MAX).await.unwrap()).unwrap();
    (Response::from_parts(parts, ()), body)
}

#[tokio::test]
async fn with_a_token_every_route_asks_for_it() {
    for path in crate::api::PATHS.iter().filter(|path| !["/health", "/ready"].contains(path)).chain(&["/", "/no/such/path"]) {
        let (head, body) = asked(with_token(Fake::default()), path, None).await;
        assert_eq!((head.status(), &body["error"]), (StatusCode::UNAUTHORIZED, &json!("no token")), "{path}");
        assert_eq!(head.headers()["www-authenticate"], "Bearer realm=\"meshtrace\"");
        let (head, body) = asked(with_token(Fake::default()), path, Some("Bearer 0123456789abcdeg")).await;
        assert_eq!((head.status(), &body["error"]), (StatusCode::UNAUTHORIZED, &json!("wrong token")), "{path}");
        assert_eq!(head.headers()["www-authenticate"], "Bearer realm=\"meshtrace\", error=\"invalid_token\"");
        assert!(!body.to_string().contains("0123456789"), "{body}");
    }
    let (head, body) = asked(with_token(Fake::default()), "/trace/list", Some("Bearer 0123456789abcdef")).await;
    assert_eq!((head.status(), &body["total"]), (StatusCode::OK, &json!(1)));
}

#[tokio::test]
async fn probes_need_no_token_and_learn_no_reason() {
    let unready = || Fake {
        state: SourceState::Connecting,
        error: Some("redis://secret-host: connection refused".to_owned()),
        ..Fake::default()
    };
    let (head, body) = asked(with_token(unready()), "/ready", None).await;
    assert_eq!((head.status(), body), (StatusCode::SERVICE_UNAVAILABLE, json!({"ready": false})));
    let (_, body) = asked(with_token(unready()), "/ready", Some("Bearer 0123456789abcdef")).await;
    assert_eq!(body["reason"], "redis://secret-host: connection refused");
    let (head, body) = asked(with_token(Fake::default()), "/health", None).await;
    assert_eq!((head.status(), body), (StatusCode::OK, json!({"status": "ok"})));
}

#[tokio::test]
async fn a_page_whose_name_was_bent_to_this_machine_learns_nothing() {
    let guarded = || guard::before(router(state(store(), Fake::default())), Access::Local, &Bounds::default(), Arc::default());
    for path in ["/trace/list", "/health", "/metrics"] {
        let request = Request::builder().uri(path).header("host", "evil.example:8090").body(Body::empty()).unwrap();
        let response = guarded().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::MISDIRECTED_REQUEST);
        let body: Json = serde_json::from_slice(&to_bytes(response.into_body(), usize::MAX).await.unwrap()).unwrap();
        assert_eq!((&body["error"], &body["given"]), (&json!("no such host here"), &json!("evil.example:8090")));
    }
}
