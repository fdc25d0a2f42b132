//! What stands before every route: sizes, who may ask, and how many bytes may wait for their clients.

use std::sync::Arc;

use axum::Router;
use axum::body::HttpBody;
use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::sync::Semaphore;

use super::access::Access;
use super::refusal::Refusal;
use super::server::{BODY_BYTES, Bounds, Held, URI_BYTES};
use super::traffic::Traffic;
use super::{health, ready, reply};

/// Answers of so many bytes or fewer are sent however much waits already: every connection may have one, and probes must not fail for others' sake.
const SHORT_BYTES: u64 = 16 << 10;

/// In what room for answers is counted.
const ROOM_UNIT: usize = 1 << 10;

struct Guard {
    access: Access,
    room: Arc<Semaphore>,
    /// What `room` holds when nothing waits.
    room_max: u32,
    traffic: Arc<Traffic>,
}

/// Lets through to `routes` what may pass.
pub(super) fn before(routes: Router, access: Access, bounds: &Bounds, traffic: Arc<Traffic>) -> Router {
    let room_max = u32::try_from(bounds.held_bytes / ROOM_UNIT).unwrap_or(u32::MAX).max(1);
    let guard = Guard {
        access,
        room: Arc::new(Semaphore::new(room_max as usize)),
        room_max,
        traffic,
    };
    routes.layer(from_fn_with_state(Arc::new(guard), pass))
}

async fn pass(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let response = match guard.admit(&request) {
        Ok(Admitted::Known) => guard.hold(next.run(request).await),
        Ok(Admitted::Prober) => terse(&next.run(request).await),
        Err(refusal) => refusal.into_response(),
    };
    guard.traffic.answered(response.status());
    response
}

enum Admitted {
    /// Is answered whatever it asks for.
    Known,
    /// Has no token, as probes often can have none, and asks whether the host is ready.
    Prober,
}

impl Guard {
    fn admit(&self, request: &Request) -> Result<Admitted, Refusal> {
        let uri = request.uri();
        if uri.path_and_query().is_some_and(|path| path.as_str().len() > URI_BYTES) {
            return Err(Refusal::UriTooLong);
        }
        let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|bytes| bytes > BODY_BYTES) {
            return Err(Refusal::BodyTooLarge);
        }
        match self.access.check(uri, request.headers()) {
            Ok(()) => Ok(Admitted::Known),
            Err(Refusal::NoToken | Refusal::WrongToken) if uri.path() == health::PATH => Ok(Admitted::Known),
            Err(Refusal::NoToken | Refusal::WrongToken) if uri.path() == ready::PATH => Ok(Admitted::Prober),
            Err(refusal) => Err(refusal),
        }
    }

    /// Takes room for an answer until its client has taken it, or refuses it.
    fn hold(&self, mut response: Response) -> Response {
        let bytes = response.body().size_hint().lower();
        if bytes <= SHORT_BYTES {
            return response;
        }
        // One that is larger than all the room there is needs all of it.
        let units = u32::try_from(bytes.div_ceil(ROOM_UNIT as u64)).unwrap_or(u32::MAX).min(self.room_max);
        match Arc::clone(&self.room).try_acquire_many_owned(units) {
            Ok(room) => {
                response.extensions_mut().insert(Held::new(room));
                response
            }
            Err(_) => Refusal::Unread.into_response(),
        }
    }
}

/// What anybody may know: whether, and not why, since reasons name servers.
fn terse(response: &Response) -> Response {
    let status = response.status();
    reply::document(status, &json!({"ready": status.is_success()}))
}
