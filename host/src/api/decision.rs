//! `GET /trace/{id}/decision`: whether a trace was kept or dropped, by which filter, and why.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;

use super::reply::{self, Failure};
use super::trace::id;
use super::{Api, now_unix_ms};
use crate::filter::Known;
use crate::model::{Sampling, TraceId};

pub(super) const PATH: &str = "/trace/{id}/decision";

/// The reason where no filter gave one, because none had an opinion, or there is none.
const BY_DEFAULT: &str = "kept by default: no filter had an opinion";

pub(super) fn route() -> Router<Arc<Api>> {
    Router::new().route(PATH, get(decision))
}

#[derive(Serialize)]
struct Document<'a> {
    trace_id: &'a str,
    decision: &'static str,
    filter: Option<&'a str>,
    reason: Option<&'a str>,
    /// RFC 3339, by the wall clock.
    decided_at: Option<String>,
    /// The latest part that followed the decision; 0: there was no late part.
    part: u32,
}

/// One of the last decisions, else what the store knows of the trace.
async fn decision(State(api): State<Arc<Api>>, uri: Uri, path: Result<Path<String>, PathRejection>) -> Result<Response, Failure> {
    let text = id(&uri, path)?;
    let id = TraceId::parse(&text);
    let known = api.state.pipeline.decision(&id).or_else(|| stored(&api, &id));
    let Some(Known { keep, sampling, at_unix_ms, part }) = known else {
        let is_open = api.answer("the correlator", api.state.pipeline.is_open(id)).await?;
        return Err(if is_open { Failure::TraceUndecided(text) } else { Failure::TraceNotFound(text) });
    };
    let document = Document {
        trace_id: &text,
        decision: if keep { "keep" } else { "drop" },
        filter: sampling.as_ref().map(|sampling| &*sampling.filter),
        reason: sampling.as_ref().map_or(Some(BY_DEFAULT), |sampling| sampling.reason.as_deref()),
        decided_at: i64::try_from(at_unix_ms).ok().and_then(|at| jiff::Timestamp::from_millisecond(at).ok()).map(|at| at.to_string()),
        part,
    };
    Ok(reply::document(StatusCode::OK, &document))
}

/// What is stored was kept.
fn stored(api: &Api, id: &TraceId) -> Option<Known> {
    api.state.store.prune(now_unix_ms());
    let (trace, at_unix_ms) = api.state.store.get_decided(id)?;
    Some(Known {
        keep: true,
        sampling: trace.sampling.clone(),
        at_unix_ms,
        part: trace.part,
    })
}

/// Who dropped the trace, for whoever asks for the trace itself.
pub(super) fn dropped(api: &Api, id: &TraceId) -> Option<Arc<Sampling>> {
    api.state.pipeline.decision(id)?.sampling.filter(|sampling| !sampling.keep)
}
