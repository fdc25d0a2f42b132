//! A host that stands by has no traces: whoever leads has them. It says so instead of answering with nothing.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Api;
use super::reply::Failure;
use crate::source::Role;

/// Answers in place of a route that tells of traces, while another host leads.
pub(super) async fn refuse(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let source = api.state.pipeline.source();
    if source.role == Some(Role::Standby) {
        return Failure::StandingBy(source.leader).into_response();
    }
    next.run(request).await
}
