//! One connection's task.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BufMut;
use rustix::net::sockopt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use super::bounds;
use super::conversation::Conversation;
use super::listener::turn_away;
use super::shared::Shared;
use crate::farewell::part;
use crate::places::{Place, Standing};

/// How long, and for how many bytes, a client that is sent away may go on sending. Closing a socket with unread bytes in it resets the
/// connection, and the client would never read why.
const FAREWELL: (Duration, usize) = (Duration::from_secs(1), 8 << 20);

/// Serves a client until it leaves, or has to.
pub async fn serve(shared: Arc<Shared>, mut stream: TcpStream, peer: SocketAddr, id: u64, place: Place) {
    let _counted = shared.connect();
    let mut conversation = Conversation::new(Arc::clone(&shared), id);
    let talked = tokio::select! {
        talked = talk(&shared, &mut stream, &mut conversation, &place) => talked,
        () = place.told_to_leave() => {
            shared.note_crowded();
            turn_away(stream);
            return;
        }
    };
    if let Err(error) = talked {
        tracing::debug!(%peer, %error, "a connection broke");
        return;
    }
    let Some(why) = conversation.why() else { return };
    shared.status.connections_refused.fetch_add(1, Ordering::Relaxed);
    if let Some(withheld) = shared.closed.now() {
        tracing::warn!(%peer, why, withheld, "a connection was closed");
    }
    // Its buffers are not needed for the farewell; its place is, unless somebody else comes: or who is sent away again and again would keep all of them.
    drop(conversation);
    place.waiting(Standing::Stranger);
    let (longest, most_bytes) = FAREWELL;
    tokio::select! {
        () = part(stream, &[], longest, most_bytes) => {}
        () = place.told_to_leave() => {}
    }
}

async fn talk(shared: &Shared, stream: &mut TcpStream, conversation: &mut Conversation, place: &Place) -> io::Result<()> {
    // Replies are small and waited for; a socket that cannot do it is slow, not broken.
    let _ = stream.set_nodelay(true);
    // One that cannot do this keeps its place until it is used; most can.
    let _ = notice_death(stream);
    let own = &shared.config.bounds;
    let (mut rest_due, mut write_due, mut login_due) = (None, None, None);
    loop {
        if conversation.go_on() {
            rest_due = None;
            // Whoever has asked for nothing since before then goes first, and before them whoever has not authenticated.
            place.waiting(if conversation.is_trusted() { Standing::Known } else { Standing::Stranger });
        }
        let unsent = !conversation.replies.bytes().is_empty();
        if conversation.is_over() && !unsent {
            return Ok(());
        }
        let reads = !conversation.is_over() && conversation.wants_input();
        if reads && conversation.room().is_none() {
            continue;
        }
        keep(&mut rest_due, conversation.is_waiting_for_rest(), own.request_timeout);
        keep(&mut write_due, unsent, own.write_timeout);
        keep(&mut login_due, !conversation.is_trusted() && !conversation.is_over(), own.login_timeout);
        tokio::select! {
            ready = stream.writable(), if unsent => {
                ready?;
                if send(stream, conversation)? {
                    write_due = None;
                }
            }
            ready = stream.readable(), if reads => {
                ready?;
                if !receive(stream, conversation)? {
                    return Ok(());
                }
            }
            () = passed(rest_due) => conversation.end("the rest of its request did not come in time".into()),
            () = passed(login_due) => conversation.end("it did not authenticate in time".into()),
            () = passed(write_due) => {
                conversation.end("it does not read its replies".into());
                return Ok(());
            }
        }
    }
}

/// A client may stay for as long as it lives, without a word. Whether it lives is found out by the system: one whose machine or network is gone
/// never says that it leaves, and would keep its place for good.
fn notice_death(stream: &TcpStream) -> io::Result<()> {
    let (silence, pause, probes) = bounds::PROBES;
    sockopt::set_tcp_keepidle(stream, silence)?;
    sockopt::set_tcp_keepintvl(stream, pause)?;
    sockopt::set_tcp_keepcnt(stream, probes)?;
    Ok(sockopt::set_socket_keepalive(stream, true)?)
}

/// Sends what the socket takes. Tells whether that was anything.
fn send(stream: &TcpStream, conversation: &mut Conversation) -> io::Result<bool> {
    match stream.try_write(conversation.replies.bytes()) {
        Ok(0) => Err(io::ErrorKind::WriteZero.into()),
        Ok(count) => {
            conversation.replies.sent(count);
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

/// Reads what there is room for. `false` when the client has left.
fn receive(stream: &TcpStream, conversation: &mut Conversation) -> io::Result<bool> {
    let Some((into, room)) = conversation.room() else { return Ok(true) };
    match stream.try_read_buf(&mut into.limit(room)) {
        Ok(count) => Ok(count > 0),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(error),
    }
}

/// Keeps a deadline while there is something to wait for.
fn keep(due: &mut Option<Instant>, waits: bool, longest: Duration) {
    match waits {
        true => {
            due.get_or_insert_with(|| Instant::now() + longest);
        }
        false => *due = None,
    }
}

async fn passed(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}
