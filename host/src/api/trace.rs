//! `GET /trace/{id}` and, for `meshctl trace ID --registry-url http://HOST:PORT/registry`, `GET /registry/trace/{id}`.
//!
//! Ids are opaque, percent-encoded in the path as need be.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;

use super::reply::{self, Failure};
use super::{Api, decision, is_little, now_unix_ms};
use crate::encode;
use crate::filter::FilterSummary;
use crate::model::{Outline, Trace, TraceId};

pub(super) const PATH: &str = "/trace/{id}";
pub(super) const REGISTRY_PATH: &str = "/registry/trace/{id}";

/// Why nothing more is told of an open trace.
const OPEN: &str = "open traces show times and counts only while a filter protects what is shown: it has yet to decide on this one";
/// Why nothing more is told of a decided trace.
const PASSING: &str = "the trace is on its way through the filters; until they have decided on it, it shows times and counts only";

pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new().route(PATH, get(documented)).route(REGISTRY_PATH, get(for_meshctl))
}

/// A decided trace, or what is known of one that is open.
async fn documented(State(api): State<Arc<Api>>, uri: Uri, path: Result<Path<String>, PathRejection>) -> Result<Response, Failure> {
    let text = id(&uri, path)?;
    let id = TraceId::parse(&text);
    if let Some(stored) = stored(&api, &id) {
        return as_json(api, stored).await;
    }
    if api.answer("the correlator", api.state.pipeline.is_open(id.clone())).await? {
        // Before there is a copy of it: there are as many as are put together at one time.
        let turn = api.turn().await?;
        if let Some(open) = api.answer("the correlator", api.state.pipeline.open_trace(id.clone())).await? {
            // What no filter has seen yet is not shown where filters protect somebody.
            if api.state.pipeline.filters().filters.iter().any(FilterSummary::protects) {
                return Ok(outlined(&Outline::of(&open), OPEN));
            }
            return api.render_in(turn, move |_| reply::encoded(StatusCode::OK, encode::json_open(&open))).await;
        }
    }
    if let Some(outline) = api.state.store.outline(&id) {
        return Ok(outlined(&outline, PASSING));
    }
    // It may have been stored between the two looks.
    let stored = stored(&api, &id).ok_or_else(|| absent(&api, &uri, &id, text))?;
    as_json(api, stored).await
}

async fn as_json(api: Arc<Api>, stored: Arc<Trace>) -> Result<Response, Failure> {
    let little = is_little(std::slice::from_ref(&stored));
    api.render(little, move |_| reply::encoded(StatusCode::OK, encode::json(&stored))).await
}

fn outlined(outline: &Outline, redacted: &str) -> Response {
    reply::encoded(StatusCode::OK, encode::json_outline(outline, redacted))
}

/// A decided trace only: this shape cannot say that a trace is open, and `meshctl` asks again after a 404.
async fn for_meshctl(State(api): State<Arc<Api>>, uri: Uri, path: Result<Path<String>, PathRejection>) -> Result<Response, Failure> {
    let text = id(&uri, path)?;
    let id = TraceId::parse(&text);
    let stored = stored(&api, &id).ok_or_else(|| absent(&api, &uri, &id, text))?;
    let little = is_little(std::slice::from_ref(&stored));
    api.render(little, move |_| reply::encoded(StatusCode::OK, encode::meshctl(&stored))).await
}

fn stored(api: &Api, id: &TraceId) -> Option<Arc<Trace>> {
    api.state.store.prune(now_unix_ms());
    api.state.store.get(id)
}

/// Why there is no such trace, as far as is known.
fn absent(api: &Api, uri: &Uri, id: &TraceId, text: String) -> Failure {
    let Some(sampling) = decision::dropped(api, id) else { return Failure::TraceNotFound(text) };
    // As it was asked for, percent-encoded.
    let encoded = uri.path().rsplit('/').next().unwrap_or_default();
    Failure::TraceDropped {
        see: decision::PATH.replace("{id}", encoded),
        id: text,
        sampling,
    }
}

/// The id in a path.
pub(super) fn id(uri: &Uri, path: Result<Path<String>, PathRejection>) -> Result<String, Failure> {
    path.map(|Path(id)| id).map_err(|_| Failure::BadParameter {
        error: "bad parameter",
        parameter: "id".to_owned(),
        given: uri.path().to_owned(),
        expected: "a trace id in UTF-8, percent-encoded".to_owned(),
    })
}
