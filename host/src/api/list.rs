//! `GET /trace/list?limit=20&offset=0`: recent traces, newest first.

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

pub(super) const PATH: &str = "/trace/list";

pub(super) fn route() -> Router<Arc<Api>> {
    Router::new().route(PATH, get(list))
}

#[derive(Serialize)]
struct Page<'a> {
    enabled: bool,
    traces: Vec<JsonTrace<'a>>,
    /// Traces on this page.
    count: usize,
    /// Traces there are.
    total: usize,
    limit: usize,
    offset: usize,
}

async fn list(State(api): State<Arc<Api>>, uri: Uri) -> Result<Response, Failure> {
    let params = Params::read(&uri, &["limit", "offset"])?;
    let (limit, offset) = (params.limit()?, params.offset()?);
    api.state.store.prune(now_unix_ms());
    let (traces, total) = api.state.store.list(limit, offset);
    api.render(is_little(&traces), move |state| {
        let page = Page {
            enabled: state.enabled,
            traces: traces.iter().map(|trace| JsonTrace::decided(trace)).collect(),
            count: traces.len(),
            total,
            limit,
            offset,
        };
        reply::document(StatusCode::OK, &page)
    })
    .await
}
