//! Any bytes as what a request asks for.

use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::IntoResponse;

use super::access::Access;
use super::params::Params;
use super::search;

/// Lines are a path with its query, and the values of headers. Whatever they are, they are understood or refused in words that are bounded.
pub fn query(data: &[u8]) {
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let Some(uri) = lines.next().and_then(|line| Uri::try_from(line).ok()) else { return };
    let mut headers = HeaderMap::new();
    for (name, value) in [HOST, AUTHORIZATION].into_iter().zip(lines) {
        headers.extend(HeaderValue::from_bytes(value).ok().map(|value| (name, value)));
    }
    for access in [Access::Local, Access::Token("0123456789abcdef".into())] {
        if let Err(refusal) = access.check(&uri, &headers) {
            assert!(refusal.bytes().len() < 4_096, "{refusal:?}");
        }
    }
    let found = [
        search::read(&uri).map(drop),
        Params::read(&uri, &["limit", "offset"]).and_then(|params| params.limit().and(params.offset())).map(drop),
    ];
    for failure in found.into_iter().filter_map(Result::err) {
        assert!(failure.into_response().status().is_client_error());
    }
}
