//! `GET /metrics`: everything that can be counted, for scrapers.
//!
//! Nothing is counted here: each scrape is made of the same summaries as `/trace/status` and `/plugins`.

mod accept;
mod own;
mod pipeline;
mod plugins;
mod text;
mod traffic;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use self::text::{Format, Text};
use super::plugins::Known;
use super::{Api, ApiState, now_unix_ms};

pub(super) const PATH: &str = "/metrics";

pub(super) fn route() -> Router<Arc<Api>> {
    Router::new().route(PATH, get(metrics))
}

async fn metrics(State(api): State<Arc<Api>>, headers: HeaderMap) -> Response {
    let accept: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let format = accept::format((!accept.is_empty()).then(|| accept.join(",")).as_deref());
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(format.content_type())),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (headers, scrape(&api, format)).into_response()
}

fn scrape(api: &Api, format: Format) -> String {
    let ApiState { store, pipeline, .. } = &api.state;
    store.prune(now_unix_ms());
    let mut text = Text::new(format);
    text.gauge("meshtrace_build_info", "1, with the version of meshtrace.").count(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    pipeline::source(&mut text, &pipeline.source());
    pipeline::input(&mut text, &pipeline.input());
    pipeline::correlator(&mut text, &pipeline.correlator());
    pipeline::filters(&mut text, &pipeline.filters());
    text.counter("meshtrace_exported_traces", "Trace parts that every required exporter has taken.")
        .count(&[], pipeline.exporters().exported_traces);
    pipeline::stored(&mut text, store.counts());
    traffic::write(&mut text, &api.traffic);
    plugins::write(&mut text, &Known::ask(api));
    text.finish()
}
