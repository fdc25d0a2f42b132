//! `GET /trace/stats`: what the statistics plugin reports, passed through.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde_json::value::RawValue;

use super::Api;
use super::reply::{self, Failure};

pub(super) const PATH: &str = "/trace/stats";

/// The bundled plugin whose report this is.
const PLUGIN: &str = "stats";

pub(super) fn route() -> Router<Arc<Api>> {
    Router::new().route(PATH, get(stats))
}

async fn stats(State(api): State<Arc<Api>>) -> Result<Response, Failure> {
    let unanswered = |why: &str| Failure::Unanswered(format!("the {PLUGIN} plugin has no report: {why}"));
    let report = match api.answer("the stats plugin", api.state.pipeline.report(PLUGIN)).await? {
        Ok(Some(report)) => report,
        Ok(None) => return Err(Failure::StatisticsOff),
        Err(reason) => return Err(unanswered(&reason)),
    };
    // A plugin may write anything; what is not JSON is not called JSON.
    match serde_json::from_str::<&RawValue>(&report) {
        Ok(_) => Ok(reply::encoded(StatusCode::OK, report.into_bytes())),
        Err(error) => Err(unanswered(&format!("not JSON ({error})"))),
    }
}
