//! What is refused before any route sees it, in the same words whoever has to say them: the router, or a connection that HTTP has left.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value as Json, json};

use super::reply::{encoded, shown};
use super::server::{BODY_BYTES, HEAD_BYTES, URI_BYTES};
use crate::go_duration::GoDuration;

/// Why a request gets no further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is no HTTP/1.
    Malformed,
    /// It brings no token, or more than one.
    NoToken,
    /// Its token is another one.
    WrongToken,
    /// Its head did not come within this time.
    Slow(Duration),
    /// It announces too long a body.
    BodyTooLarge,
    /// Its path and query are too long.
    UriTooLong,
    /// It asks for a host that is not this one.
    WrongHost(String),
    /// Its head is too long.
    HeadTooLarge,
    /// Every connection is being answered.
    Crowded,
    /// Too many answers wait for their clients.
    Unread,
}

impl Refusal {
    /// The answer's status.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Refusal::Malformed => StatusCode::BAD_REQUEST,
            Refusal::NoToken | Refusal::WrongToken => StatusCode::UNAUTHORIZED,
            Refusal::Slow(_) => StatusCode::REQUEST_TIMEOUT,
            Refusal::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::UriTooLong => StatusCode::URI_TOO_LONG,
            Refusal::WrongHost(_) => StatusCode::MISDIRECTED_REQUEST,
            Refusal::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Refusal::Crowded | Refusal::Unread => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn body(&self) -> Json {
        match self {
            Refusal::Malformed => json!({"error": "malformed request", "expected": "HTTP/1.1"}),
            Refusal::NoToken => json!({"error": "no token", "expected": "one header Authorization: Bearer TOKEN"}),
            Refusal::WrongToken => {
                json!({"error": "wrong token", "expected": "the token of MESHTRACE_API_TOKEN or MESHTRACE_API_TOKEN_FILE"})
            }
            Refusal::Slow(within) => {
                json!({"error": "the request took too long", "expected": format!("all of its head within {}", GoDuration::from(*within))})
            }
            Refusal::BodyTooLarge => {
                json!({"error": "body too large", "expected": format!("no body; at most {BODY_BYTES} bytes are passed over")})
            }
            Refusal::UriTooLong => json!({"error": "path and query too long", "expected": format!("at most {URI_BYTES} bytes")}),
            Refusal::WrongHost(host) => json!({
                "error": "no such host here", "given": shown(host),
                "expected": "localhost or an address: without MESHTRACE_API_TOKEN_FILE only this machine is answered",
            }),
            Refusal::HeadTooLarge => {
                json!({"error": "request headers too large", "expected": format!("at most {HEAD_BYTES} bytes, 100 headers")})
            }
            Refusal::Crowded => json!({"error": "too many connections, try again"}),
            Refusal::Unread => json!({"error": "too many answers wait for slow clients, try again, or ask for less"}),
        }
    }

    /// As a whole HTTP/1.1 answer, the last one of its connection.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let body = self.body().to_string();
        let mut bytes = format!("HTTP/1.1 {}\r\ncontent-length: {}\r\n", self.status(), body.len()).into_bytes();
        for (name, value) in self.clone().into_response().headers() {
            bytes.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        if !bytes.ends_with(b"connection: close\r\n") {
            bytes.extend_from_slice(b"connection: close\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(body.as_bytes());
        bytes
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = encoded(self.status(), self.body().to_string().into_bytes());
        let header = match self {
            Refusal::NoToken => Some((header::WWW_AUTHENTICATE, "Bearer realm=\"meshtrace\"")),
            Refusal::WrongToken => Some((header::WWW_AUTHENTICATE, "Bearer realm=\"meshtrace\", error=\"invalid_token\"")),
            Refusal::Crowded | Refusal::Unread => Some((header::RETRY_AFTER, "1")),
            // What is on its way is not read.
            Refusal::BodyTooLarge => Some((header::CONNECTION, "close")),
            _ => None,
        };
        if let Some((name, value)) = header {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_a_whole_answer_that_ends_its_connection() {
        let text = String::from_utf8(Refusal::Crowded.bytes()).unwrap();
        let body = r#"{"error":"too many connections, try again"}"#;
        let head = format!(
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: {}\r\ncontent-type: application/json\r\ncache-control: no-store\r\n\
             x-content-type-options: nosniff\r\nretry-after: 1\r\nconnection: close\r\n\r\n",
            body.len()
        );
        assert_eq!(text, head + body);
        let text = String::from_utf8(Refusal::BodyTooLarge.bytes()).unwrap();
        assert_eq!(text.matches("connection: close").count(), 1);
    }
}
