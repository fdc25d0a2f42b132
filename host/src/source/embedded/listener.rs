//! Who may come in.

use std::io::Write as _;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

use super::connection::serve;
use super::shared::Shared;
use crate::places::{Places, Standing};

/// How long to wait when no connection can be accepted: the process has no file descriptor left, until some connection ends.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until `stop` is true, or nobody is left who could say so. Then all of them have ended, and nothing is accepted.
pub async fn listen(listener: TcpListener, shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let places = Arc::new(Places::new(shared.config.bounds.connections));
    let standing = if shared.config.password.is_some() { Standing::Stranger } else { Standing::Known };
    let mut connections = JoinSet::new();
    let mut next_id = 0;
    let mut stopped = pin!(async move {
        let _ = stop.wait_for(|stop| *stop).await;
    });
    loop {
        tokio::select! {
            () = &mut stopped => break,
            Some(ended) = connections.join_next() => note(ended),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => match places.enter(standing).await {
                    Some(place) => {
                        next_id += 1;
                        connections.spawn(serve(Arc::clone(&shared), stream, peer, next_id, place));
                    }
                    None => {
                        shared.note_crowded();
                        turn_away(stream);
                    }
                },
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    connections.abort_all();
    while let Some(ended) = connections.join_next().await {
        note(ended);
    }
}

fn note(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task ended by a panic; this is a bug in meshtrace");
    }
}

/// Tells a client that there is no place for it.
pub fn turn_away(stream: TcpStream) {
    // A socket that nothing waits for takes this line at once; one that does not is not waited for.
    let _ = stream.into_std().and_then(|mut stream| stream.write_all(b"-ERR max number of clients reached\r\n"));
}
