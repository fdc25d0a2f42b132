//! `GET /trace/search?agent_name=…&success=…`: recent traces that meet every criterion, newest first.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;

use super::params::Params;
use super::reply::{self, Failure};
use super::{Api, is_little, now_unix_ms};
use crate::encode::JsonTrace;
use crate::model::SpanId;
use crate::store::{Criteria, Search};

pub(super) const PATH: &str = "/trace/search";

/// Traces that are looked at at once, which takes a millisecond at most; a search that has not found enough by then is gone on with elsewhere.
const AT_ONCE: usize = 2_048;

/// In the documents' order.
const PARAMETERS: [&str; 9] =
    ["parent_span_id", "agent_name", "operation", "success", "start_time", "end_time", "min_duration_ms", "max_duration_ms", "limit"];

pub(super) fn route() -> Router<Arc<Api>> {
    Router::new().route(PATH, get(search))
}

#[derive(Serialize)]
struct Found<'a> {
    enabled: bool,
    traces: Vec<JsonTrace<'a>>,
    count: usize,
    limit: usize,
    criteria: Asked,
}

/// The criteria that were given, and only those.
#[derive(Serialize)]
struct Asked {
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    success: Option<bool>,
    /// As given.
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<String>,
    /// As given.
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_duration_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_duration_ms: Option<u64>,
}

async fn search(State(api): State<Arc<Api>>, uri: Uri) -> Result<Response, Failure> {
    let (params, limit, criteria) = read(&uri)?;
    let asked = asked(&params, &criteria);
    api.state.store.prune(now_unix_ms());
    let mut search = Search::new(criteria, limit);
    let little = search.go_on(&api.state.store, AT_ONCE) && is_little(search.found());
    api.render(little, move |state| {
        search.finish(&state.store);
        let traces = search.found();
        let found = Found {
            enabled: state.enabled,
            traces: traces.iter().map(|trace| JsonTrace::decided(trace)).collect(),
            count: traces.len(),
            limit,
            criteria: asked,
        };
        reply::document(StatusCode::OK, &found)
    })
    .await
}

/// What is asked for: as it came, how many at most, and which.
pub(super) fn read(uri: &Uri) -> Result<(Params, usize, Criteria), Failure> {
    let params = Params::read(uri, &PARAMETERS)?;
    let (limit, criteria) = (params.limit()?, criteria(&params)?);
    Ok((params, limit, criteria))
}

fn criteria(params: &Params) -> Result<Criteria, Failure> {
    Ok(Criteria {
        agent_name: params.text("agent_name")?,
        operation: params.text("operation")?,
        parent_span_id: params.text("parent_span_id")?.map(|id| SpanId::parse(&id)),
        success: params.truth("success")?,
        start_unix_nanos: params.time("start_time")?,
        end_unix_nanos: params.time("end_time")?,
        min_duration_ms: params.millis("min_duration_ms")?,
        max_duration_ms: params.millis("max_duration_ms")?,
    })
}

fn asked(params: &Params, criteria: &Criteria) -> Asked {
    let given = |name| params.get(name).map(str::to_owned);
    Asked {
        parent_span_id: given("parent_span_id"),
        agent_name: given("agent_name"),
        operation: given("operation"),
        success: criteria.success,
        start_time: given("start_time"),
        end_time: given("end_time"),
        min_duration_ms: criteria.min_duration_ms,
        max_duration_ms: criteria.max_duration_ms,
    }
}
