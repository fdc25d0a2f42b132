//! `GET /ready`: 200 while span events are read (or shall not be), else 503 with the reason. A host that stands by is not ready: it answers no queries.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde_json::json;

use super::{Api, reply};
use crate::source::{Role, SourceState};

pub(super) const PATH: &str = "/ready";

pub(super) fn route() -> Router<Arc<Api>> {
    Router::new().route(PATH, get(ready))
}

async fn ready(State(api): State<Arc<Api>>) -> Response {
    let source = api.state.pipeline.source();
    let role = source.role.map(Role::as_str);
    let reason = match source.state {
        SourceState::Running | SourceState::Recovering | SourceState::Disabled => {
            return reply::document(StatusCode::OK, &json!({"ready": true, "source": source.state.as_str(), "role": role}));
        }
        SourceState::Starting => "plugins are being loaded; /plugins shows which",
        SourceState::Connecting => "not connected yet",
        SourceState::StandingBy => "another meshtrace leads this group; this one takes over when that ends",
        SourceState::Stopped => "stopped reading",
    };
    let reason = source.last_error.as_deref().unwrap_or(reason);
    let document = json!({"ready": false, "source": source.state.as_str(), "role": role, "reason": reason});
    reply::document(StatusCode::SERVICE_UNAVAILABLE, &document)
}
