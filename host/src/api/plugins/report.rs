//! `GET /plugins/{name}/report`: what a plugin reports of itself, passed through.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use serde_json::value::RawValue;

use super::{Known, name};
use crate::api::Api;
use crate::api::reply::{self, Failure};

pub(in crate::api) const PATH: &str = "/plugins/{name}/report";

pub(super) fn route() -> Router<Arc<Api>> {
    Router::new().route(PATH, get(own_report))
}

async fn own_report(State(api): State<Arc<Api>>, uri: Uri, path: Result<Path<String>, PathRejection>) -> Result<Response, Failure> {
    let name = name(&uri, path)?;
    Known::ask(&api).one(&name)?;
    report(&api, &name).await?.ok_or(Failure::NoReport(name))
}

/// The report of the plugin called `plugin` as an answer; `None` when it has none.
pub(in crate::api) async fn report(api: &Api, plugin: &str) -> Result<Option<Response>, Failure> {
    let unanswered = |why: &str| Failure::Unanswered(format!("the {plugin} plugin has no report: {why}"));
    let report = match api.answer(&format!("the {plugin} plugin"), api.state.pipeline.report(plugin)).await? {
        Ok(Some(report)) => report,
        Ok(None) => return Ok(None),
        Err(reason) => return Err(unanswered(&reason)),
    };
    // A plugin may write anything; what is not JSON is not called JSON.
    match serde_json::from_str::<&RawValue>(&report) {
        Ok(_) => Ok(Some(reply::encoded(StatusCode::OK, report.into_bytes()))),
        Err(error) => Err(unanswered(&format!("not JSON ({error})"))),
    }
}
