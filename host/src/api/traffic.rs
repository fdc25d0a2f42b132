//! What is counted of connections and answers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    /// The client left, or was answered for the last time.
    Done,
    /// It asked nothing for too long.
    Idle,
    /// It asked nothing, and its place was needed.
    Crowded,
    /// It took too long over a request.
    SlowRequest,
    /// It took too long over an answer.
    SlowReader,
    /// What it sent was no request, or too long for one.
    Malformed,
    /// It did not come to TLS.
    Handshake,
    /// It broke.
    Broken,
    /// It got no place.
    Refused,
}

impl End {
    /// All of them.
    pub(super) const ALL: [End; 9] =
        [End::Done, End::Idle, End::Crowded, End::SlowRequest, End::SlowReader, End::Malformed, End::Handshake, End::Broken, End::Refused];

    /// A word or two.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            End::Done => "done",
            End::Idle => "idle",
            End::Crowded => "crowded",
            End::SlowRequest => "slow_request",
            End::SlowReader => "slow_reader",
            End::Malformed => "malformed",
            End::Handshake => "handshake",
            End::Broken => "broken",
            End::Refused => "refused",
        }
    }
}

/// Written while requests are served, read by `/metrics`.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    open: AtomicU64,
    ended: Mutex<BTreeMap<End, u64>>,
    answers: Mutex<BTreeMap<u16, u64>>,
}

/// Counts a connection while it lives.
pub(super) struct Open(Arc<Traffic>);

impl Traffic {
    /// One more is open, until this is dropped.
    pub(super) fn opened(self: &Arc<Self>) -> Open {
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(self))
    }

    /// A connection has ended.
    pub(super) fn ended(&self, end: End) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner).entry(end).or_default() += 1;
    }

    /// A request was answered.
    pub(super) fn answered(&self, status: StatusCode) {
        *self.answers.lock().unwrap_or_else(PoisonError::into_inner).entry(status.as_u16()).or_default() += 1;
    }

    /// Connections there are.
    pub(super) fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// Connections that have ended so.
    pub(super) fn count(&self, end: End) -> u64 {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).get(&end).copied().unwrap_or_default()
    }

    /// Answers so far, by status.
    pub(super) fn answers(&self) -> BTreeMap<u16, u64> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
