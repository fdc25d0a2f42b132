//! Requests through the whole router, with a fake in the stages' place.

mod decisions;
mod failures;
mod fake;
mod guarded;
mod metrics;
mod plugins;
mod reports;
mod serving;
mod shapes;
mod standby;
mod under_fire;

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, Response, StatusCode};
use serde_json::Value as Json;
use tower::ServiceExt;

use self::fake::Fake;
pub(super) use self::fake::{loaded, sampling};
use super::{ANSWER_TIMEOUT, Api, ApiState, routes};
use crate::encode::sample;
use crate::model::{Status, Trace, UnixNanos};
use crate::store::{Limits, Store};

/// A store that keeps everything, with the documented example.
fn store() -> Arc<Store> {
    let store = Store::new(Limits::default());
    store.insert(&[Arc::new(sample::documented())], super::now_unix_ms());
    Arc::new(store)
}

fn state(store: Arc<Store>, fake: Fake) -> ApiState {
    ApiState {
        store,
        pipeline: Arc::new(fake),
        enabled: true,
    }
}

/// All routes, with nothing before them.
fn router(state: ApiState) -> axum::Router {
    routes(Api::new(state, ANSWER_TIMEOUT))
}

async fn ask(state: &ApiState, method: Method, path: &str) -> Response<Body> {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    router(state.clone()).oneshot(request).await.unwrap()
}

async fn get(state: &ApiState, path: &str) -> (StatusCode, Json) {
    let response = ask(state, Method::GET, path).await;
    assert_eq!(response.headers()["content-type"], "application/json", "{path}");
    let status = response.status();
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap())
}

async fn get_ok(state: &ApiState, path: &str) -> Json {
    let (status, body) = get(state, path).await;
    assert_eq!(status, StatusCode::OK, "{path}: {body}");
    body
}

/// The ids of the traces in an answer, in their order.
fn ids(answer: &Json) -> Vec<&str> {
    answer["traces"].as_array().unwrap().iter().map(|trace| trace["trace_id"].as_str().unwrap()).collect()
}

/// A trace of one span that takes this many milliseconds from ten o'clock.
fn lasting(id: &str, millis: i128, status: Status) -> Arc<Trace> {
    let mut span = sample::span("s");
    span.end = UnixNanos::new(sample::TEN_O_CLOCK + millis * 1_000_000);
    span.status = status;
    Arc::new(sample::trace(id, vec![span]))
}
