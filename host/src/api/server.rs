//! Connections to the API: who gets one, how long each may take over what, and how all of them end.
//!
//! Nobody who connects is trusted. Whatever clients do or leave undone, there are never more of them than [`Bounds`] say, each step of theirs
//! ends in bounded time, and one that only waits makes room for one that asks.
//!
//! ```text
//! listener ──► place ──► (TLS) ──► watched stream ──► hyper ──► router       (places: who may stay; pace: where a connection is,
//!                                                                             and until when; watched: the bytes that tell)
//! ```

mod bounds;
mod connection;
mod pace;
mod tls;
mod watched;

use std::io::Write as _;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

pub(super) use self::bounds::{BODY_BYTES, Bounds, HEAD_BYTES, URI_BYTES};
pub(super) use self::pace::Held;
pub(super) use self::tls::acceptor;

use super::refusal::Refusal;
use super::traffic::{End, Traffic};
use crate::places::{Places, Standing};

/// How long to wait when no connection can be accepted: the process has no file descriptor left, until some connection ends.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What connections are served with.
pub(super) struct Server {
    /// Answers every request.
    pub(super) router: Router,
    /// What connections are encrypted with, if they are.
    pub(super) tls: Option<TlsAcceptor>,
    /// What they may take.
    pub(super) bounds: Bounds,
    /// Counts them.
    pub(super) traffic: Arc<Traffic>,
}

impl Server {
    /// Accepts connections until `shutdown`, then lets the answers under way finish, for [`Bounds::shutdown`] at most.
    pub(super) async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let server = Arc::new(self);
        let places = Arc::new(Places::new(server.bounds.connections));
        let (stop, stopping) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                Some(ended) = connections.join_next() => note(ended),
                accepted = listener.accept() => match accepted {
                    // A token comes with every request, and says nothing of the connection.
                    Ok((stream, _)) => match places.enter(Standing::Known).await {
                        Some(place) => {
                            connections.spawn(connection::serve(Arc::clone(&server), stream, place, stopping.clone()));
                        }
                        None => server.turn_away(stream),
                    },
                    Err(error) => {
                        tracing::warn!(%error, "a connection to the API could not be accepted");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(listener);
        // Received by every connection that is left.
        let _ = stop.send(true);
        let all = async { while connections.join_next().await.is_some() {} };
        // Those that are not done by then end with the set.
        let _ = timeout(server.bounds.shutdown, all).await;
    }

    /// Every place is taken by somebody who is being answered.
    fn turn_away(&self, stream: TcpStream) {
        self.traffic.ended(End::Refused);
        if self.tls.is_none() {
            // A fresh socket takes these bytes at once; one that does not is not waited for.
            let _ = stream.into_std().and_then(|mut stream| stream.write_all(&Refusal::Crowded.bytes()));
        }
    }
}

fn note(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection to the API ended by a panic; this is a bug in meshtrace");
    }
}
