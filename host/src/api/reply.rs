//! Answers: JSON, and failures that say what was wrong.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

use super::PATHS;
use crate::model::Sampling;

/// When to ask a host again that stands by, in seconds: it may lead by then.
const RETRY_AFTER_STANDBY: HeaderValue = HeaderValue::from_static("5");

/// Characters of a refused value that an error repeats.
const MAX_SHOWN: usize = 200;

/// A document as an answer.
pub(super) fn document(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => encoded(status, bytes),
        Err(_) => Failure::Broken.into_response(),
    }
}

/// JSON bytes as an answer.
pub(super) fn encoded(status: StatusCode, bytes: impl Into<Bytes>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        // The next answer is another one; and a browser must not take a caller's text for a page.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (status, headers, bytes.into()).into_response()
}

/// Why a request is not answered.
#[derive(Debug)]
pub(super) enum Failure {
    /// A parameter that is not what it may be, not known, or given twice.
    BadParameter {
        /// In a few words.
        error: &'static str,
        /// Its name.
        parameter: String,
        /// Its value as it came.
        given: String,
        /// What it may be.
        expected: String,
    },
    /// Neither stored nor open. With the id as it was asked for.
    TraceNotFound(String),
    /// A filter dropped it.
    TraceDropped {
        /// The id as it was asked for.
        id: String,
        /// Which filter, and why.
        sampling: Arc<Sampling>,
        /// The path that tells more.
        see: String,
    },
    /// It is open, so nothing has been decided about it. With the id as it was asked for.
    TraceUndecided(String),
    /// The statistics plugin does not run.
    StatisticsOff,
    /// No plugin has this name, nor had one; with the names there are.
    NoSuchPlugin(String, Vec<String>),
    /// The plugin of this name has no report, or does not run.
    NoReport(String),
    /// Somebody within was asked and did not answer; says who, and why if that is known.
    Unanswered(String),
    /// Another host reads the stream; says which, if that is known.
    StandingBy(Option<String>),
    /// Another path.
    NoSuchPath(String),
    /// A path that exists, asked with another method.
    NoSuchMethod(String),
    /// A bug of ours.
    Broken,
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let retry_after = matches!(self, Failure::StandingBy(_)).then_some(RETRY_AFTER_STANDBY);
        let (status, body) = match self {
            Failure::BadParameter { error, parameter, given, expected } => (
                StatusCode::BAD_REQUEST,
                json!({"error": error, "parameter": shown(&parameter), "given": shown(&given), "expected": expected}),
            ),
            Failure::TraceNotFound(id) => (StatusCode::NOT_FOUND, json!({"error": "trace not found", "trace_id": id})),
            Failure::TraceDropped { id, sampling, see } => (
                StatusCode::NOT_FOUND,
                json!({"error": "trace dropped", "trace_id": id, "filter": *sampling.filter, "reason": sampling.reason.as_deref(), "see": see}),
            ),
            Failure::TraceUndecided(id) => (StatusCode::NOT_FOUND, json!({"error": "trace not decided yet", "trace_id": id})),
            Failure::StatisticsOff => (
                StatusCode::NOT_FOUND,
                json!({"error": "statistics are off", "variable": "TRACE_ENABLE_STATS", "expected": "true, at the next start"}),
            ),
            Failure::NoSuchPlugin(name, known) => {
                (StatusCode::NOT_FOUND, json!({"error": "no such plugin", "plugin": shown(&name), "plugins": known}))
            }
            Failure::NoReport(name) => {
                (StatusCode::NOT_FOUND, json!({"error": "the plugin has no report, or does not run", "plugin": shown(&name)}))
            }
            Failure::Unanswered(error) => (StatusCode::SERVICE_UNAVAILABLE, json!({"error": error})),
            Failure::StandingBy(leader) => (
                StatusCode::SERVICE_UNAVAILABLE,
                json!({"error": "standing by: another meshtrace reads this stream and has its traces", "leader": leader}),
            ),
            Failure::NoSuchPath(path) => (StatusCode::NOT_FOUND, json!({"error": "no such path", "path": shown(&path), "paths": PATHS})),
            Failure::NoSuchMethod(method) => {
                (StatusCode::METHOD_NOT_ALLOWED, json!({"error": "method not allowed", "given": shown(&method), "expected": "GET"}))
            }
            Failure::Broken => (StatusCode::INTERNAL_SERVER_ERROR, json!({"error": "internal error"})),
        };
        let mut response = encoded(status, body.to_string().into_bytes());
        if status == StatusCode::METHOD_NOT_ALLOWED {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

/// The beginning of a text that may have any length.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
