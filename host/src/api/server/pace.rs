//! Where a connection is, and until when it may be there.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::bounds::Bounds;
use crate::api::traffic::End;
use crate::places::{Place, Standing};

/// Room for an answer's bytes, given back when the client has taken them or is gone.
#[derive(Debug, Clone)]
pub struct Held(#[expect(dead_code, reason = "it is held, that is all")] Arc<OwnedSemaphorePermit>);

impl Held {
    pub fn new(room: OwnedSemaphorePermit) -> Held {
        Held(Arc::new(room))
    }
}

/// One connection's progress, as its stream and its requests report it.
#[derive(Debug)]
pub struct Pace {
    place: Place,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// When the phase began.
    since: Instant,
    /// Since when the client has taken nothing of what it is sent.
    stalled: Option<Instant>,
    /// Whether all of the answer has been handed to the connection.
    complete: bool,
    /// What is being sent.
    held: Option<Held>,
    /// The status with which hyper refused what it could not read.
    refused: Option<StatusCode>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// For a request.
    Waiting,
    /// A request has begun, and its head is not complete.
    Asking,
    /// A request is being answered.
    Answering,
}

impl Pace {
    /// It waits for its first request.
    pub fn new(place: Place) -> Pace {
        let state = State {
            phase: Phase::Waiting,
            since: Instant::now(),
            stalled: None,
            complete: false,
            held: None,
            refused: None,
        };
        Pace { place, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until its place is needed by somebody else.
    pub async fn told_to_leave(&self) {
        self.place.told_to_leave().await;
    }

    /// Until when it may be where it is, and how it ends if it still is there then.
    pub fn due(&self, bounds: &Bounds) -> (Instant, End) {
        let state = self.state();
        match (state.phase, state.stalled) {
            (Phase::Waiting, _) => (state.since + bounds.idle, End::Idle),
            (Phase::Asking, _) => (state.since + bounds.head, End::SlowRequest),
            (Phase::Answering, None) => (state.since + bounds.answer, End::SlowReader),
            (Phase::Answering, Some(stalled)) => ((stalled + bounds.stall).min(state.since + bounds.answer), End::SlowReader),
        }
    }

    /// Bytes have come.
    pub fn read(&self) {
        let mut state = self.state();
        if state.phase == Phase::Waiting {
            (state.phase, state.since) = (Phase::Asking, Instant::now());
        }
    }

    /// A request has come.
    pub fn asked(&self) {
        self.place.busy();
        let mut state = self.state();
        (state.phase, state.since, state.complete) = (Phase::Answering, Instant::now(), false);
    }

    /// Its answer begins.
    pub fn answers(&self, held: Option<Held>) {
        self.state().held = held;
    }

    /// All of the answer has been handed to the connection.
    pub fn complete(&self) {
        self.state().complete = true;
    }

    /// Bytes were to be sent. `taken`: some have been.
    pub fn wrote(&self, taken: bool) {
        let mut state = self.state();
        if taken {
            state.stalled = None;
        } else {
            state.stalled.get_or_insert_with(Instant::now);
        }
    }

    /// Nothing is left to be sent.
    pub fn flushed(&self) {
        let mut state = self.state();
        state.stalled = None;
        if state.phase == Phase::Answering && state.complete {
            (state.phase, state.since, state.held) = (Phase::Waiting, Instant::now(), None);
            drop(state);
            self.place.waiting(Standing::Known);
        }
    }

    /// Takes note of an answer that is none of ours, if `bytes` begin one: hyper refuses what it cannot read without a word that says why, so that
    /// is left to us. Tells whether the bytes were taken.
    pub fn takes_refusal(&self, bytes: &[u8]) -> bool {
        let mut state = self.state();
        if state.phase == Phase::Answering {
            return false;
        }
        let status = bytes.strip_prefix(b"HTTP/1.1 ").or(bytes.strip_prefix(b"HTTP/1.0 "));
        let status = status.and_then(|rest| StatusCode::from_bytes(rest.get(..3)?).ok());
        state.refused = state.refused.or(status);
        true
    }

    /// What hyper refused a request with, if it did.
    pub fn refused(&self) -> Option<StatusCode> {
        self.state().refused
    }
}
