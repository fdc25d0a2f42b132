//! One request over HTTP, behind a trait: the rest of the exporter is tested without a network.

use std::time::Duration;

use crate::Target;

/// What sends requests.
pub trait Transport {
    /// POSTs, and waits for the answer at most as long as `within`.
    ///
    /// # Errors
    /// There was no answer.
    fn post(&mut self, request: &Request<'_>, within: Duration) -> Result<Answer, Failure>;
}

/// A request.
#[derive(Debug)]
pub struct Request<'a> {
    /// Where to.
    pub target: &'a Target,
    /// All headers but the length, which the body has.
    pub headers: &'a [(String, Vec<u8>)],
    /// What is sent.
    pub body: &'a [u8],
}

/// An answer, as far as it matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// `Retry-After`, as it came.
    pub retry_after: Option<String>,
    /// `Content-Type`, as it came; empty when there was none.
    pub content_type: String,
    /// The body's beginning; empty when it could not be read.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The host lets no request of this size out.
    TooLarge,
    /// The connection could not be made, or broke, or the time was over; in words.
    Broken(String),
}

#[cfg(target_family = "wasm")]
pub use wasi::Wasi as Network;

/// There is no network outside of a component.
#[cfg(not(target_family = "wasm"))]
#[derive(Debug, Default)]
pub struct Network;

#[cfg(not(target_family = "wasm"))]
impl Transport for Network {
    fn post(&mut self, _request: &Request<'_>, _within: Duration) -> Result<Answer, Failure> {
        Err(Failure::Broken("outside of a component there is no network".to_owned()))
    }
}

#[cfg(target_family = "wasm")]
mod wasi;
