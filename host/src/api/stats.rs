//! `GET /trace/stats`: what the statistics plugin reports, passed through.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;

use super::reply::Failure;
use super::{Api, plugins};

pub(super) const PATH: &str = "/trace/stats";

/// The bundled plugin whose report this is.
const PLUGIN: &str = "stats";

pub(super) fn route() -> Router<Arc<Api>> {
    Router::new().route(PATH, get(stats))
}

async fn stats(State(api): State<Arc<Api>>) -> Result<Response, Failure> {
    plugins::report(&api, PLUGIN).await?.ok_or(Failure::StatisticsOff)
}
