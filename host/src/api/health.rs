//! `GET /health`: 200 for as long as the host serves.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde_json::json;

use super::{Api, reply};

pub(super) const PATH: &str = "/health";

pub(super) fn route() -> Router<Arc<Api>> {
    Router::new().route(PATH, get(health))
}

async fn health() -> Response {
    reply::document(StatusCode::OK, &json!({"status": "ok"}))
}
