//! The loop that reads: connections that come and go, leaderships that begin and end.

mod read;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::clock::StreamClock;
use super::connect::{self, Backoff};
use super::lease::Term;
use super::pace::{Pace, REPLY_BYTES};
use super::recover::{Recovery, Trimmed, Whose};
use super::reply::EntryId;
use super::tap::Tap;
use super::{Shared, group, journal, recover};
use crate::source::{Batch, Beginning, SourceState};
use read::{Came, Which, read};

/// How long entries are let gather that come one by one. A read of one costs nearly as much as a read of a hundred, and Redis gives what comes first at once.
const GATHER: Duration = Duration::from_millis(5);

/// Why a session with Redis ended.
pub(super) enum SessionEnd {
    /// Told to stop.
    Stopped,
    /// The next stage has ended.
    Closed,
    /// Another meshtrace leads now.
    Lost,
    /// The connection, or what it answered, was no good.
    Failed(redis::RedisError),
    /// So many entries, asked for at once, had more bytes than are taken at once.
    Cut { entries: usize },
}

impl From<redis::RedisError> for SessionEnd {
    fn from(error: redis::RedisError) -> Self {
        SessionEnd::Failed(error)
    }
}

/// What outlives a connection, and ends with a leadership.
struct Progress {
    /// The leadership that the next stages know of.
    epoch: Option<u32>,
    clock: StreamClock,
    pace: Pace,
    recovery: Recovery,
    /// The last new entry handed on. A reply that was lost on its way holds later ones; they are pending for us, and read again.
    last: Option<EntryId>,
    trimmed: Trimmed,
}

impl Progress {
    fn new(shared: &Shared, pace: Pace) -> Progress {
        Progress {
            epoch: None,
            clock: StreamClock::new(Arc::clone(&shared.vigil)),
            pace,
            recovery: Recovery::new(Whose::Everybodys),
            last: None,
            trimmed: Trimmed::default(),
        }
    }

    /// Whether the leadership that the next stages know of has ended.
    fn is_over(&self, shared: &Shared) -> bool {
        self.epoch.is_some_and(|epoch| epoch != shared.lease.epoch())
    }

    /// Begins anew. How large entries are does not depend on who leads.
    fn reset(&mut self, shared: &Shared) {
        *self = Progress::new(shared, std::mem::replace(&mut self.pace, Pace::new(shared.count)));
    }
}

/// Reads until told to stop, or until `out` is closed.
pub(super) async fn run(shared: &Shared, out: mpsc::Sender<Batch>, mut stop: watch::Receiver<bool>) {
    let mut progress = Progress::new(shared, Pace::new(shared.count));
    let mut pause = Backoff::new(stop.clone());
    loop {
        let end = tokio::select! {
            biased;
            // It may have been lost while nobody was connected.
            () = std::future::ready(()), if progress.is_over(shared) => SessionEnd::Lost,
            end = session(shared, &out, &mut progress, &mut pause) => end,
            () = shared.lease.lost() => SessionEnd::Lost,
            _ = stop.wait_for(|stop| *stop) => SessionEnd::Stopped,
        };
        match end {
            SessionEnd::Stopped | SessionEnd::Closed => return,
            SessionEnd::Lost => {
                let done = tokio::select! {
                    let_go = let_go(shared, &out, &mut progress) => let_go.is_err(),
                    _ = stop.wait_for(|stop| *stop) => true,
                };
                if done {
                    return;
                }
            }
            SessionEnd::Cut { entries } => {
                tracing::warn!(
                    entries,
                    at_once_bytes = REPLY_BYTES,
                    "entries have more bytes together than are taken at once; reading fewer at a time, on another connection"
                );
                pause.reset();
            }
            SessionEnd::Failed(error) => {
                let error = shared.connector.explain(&error);
                tracing::warn!(error, "reading from Redis failed; connecting again");
                shared.status.set_error(error);
                shared.status.set_state(SourceState::Connecting);
                if pause.wait().await.is_break() {
                    return;
                }
            }
        }
    }
}

/// Has the next stages drop what was made of entries that somebody else reads now.
async fn let_go(shared: &Shared, out: &mpsc::Sender<Batch>, progress: &mut Progress) -> Result<(), SessionEnd> {
    progress.reset(shared);
    let nothing = Beginning {
        epoch: shared.lease.epoch(),
        ..Beginning::default()
    };
    hand_on(shared, out, Batch::beginning(nothing)).await
}

async fn session(shared: &Shared, out: &mpsc::Sender<Batch>, progress: &mut Progress, pause: &mut Backoff) -> SessionEnd {
    let tap = Arc::new(Tap::default());
    let (connection, moving) = match shared.connector.connect_reader(&progress.pace.meter, &tap).await {
        Ok(connected) => connected,
        Err(error) => return SessionEnd::Failed(error),
    };
    let mut session = pin!(try_session(shared, connection, &tap, out, progress, pause));
    let ended = tokio::select! {
        ended = &mut session => ended,
        // It learns why from what it asks, or has asked.
        () = moving => session.await,
    };
    let end = match ended {
        Ok(never) => match never {},
        Err(end) => end,
    };
    if matches!(&end, SessionEnd::Failed(error) if error.is_io_error()) {
        shared.status.disconnects.fetch_add(1, Ordering::Relaxed);
    }
    end
}

async fn try_session(
    shared: &Shared,
    mut connection: MultiplexedConnection,
    tap: &Tap,
    out: &mpsc::Sender<Batch>,
    progress: &mut Progress,
    pause: &mut Backoff,
) -> Result<std::convert::Infallible, SessionEnd> {
    connect::name(&mut connection).await?;
    // Two that read would split every trace between them.
    // Standing by is what a connection is good for: the next one that is lost is the first again, or a take-over would wait for the pause after all of them.
    let term = shared.lease.acquire(shared, &mut connection, || pause.reset()).await?;
    let made_from = group::ensure(shared, &mut connection).await?;
    if progress.epoch != Some(term.epoch) {
        let beginning = journal::recall(shared, &mut connection, term.epoch).await?;
        let last = group::delivered_up_to(shared, &mut connection).await?;
        let next_ms = group::next_ms(shared, &mut connection, last).await?;
        progress.reset(shared);
        progress.clock.begin(last.ms, next_ms);
        progress.last = Some(last);
        hand_on(shared, out, Batch::beginning(beginning)).await?;
        progress.epoch = Some(term.epoch);
    } else {
        // A server that knows less than the one before gives again what it has given, by ids that may be lower.
        let delivered = group::delivered_up_to(shared, &mut connection).await?;
        if let Some(last) = progress.last.filter(|last| delivered < *last && made_from.is_none()) {
            // It may also give ids again that stood for others, which are held: acknowledging one of those would acknowledge one that nobody has yet. So nothing
            // is held any more, before anything of it is read. Where what is not read yet is later than all that is held, there is no such id.
            if group::next_ms(shared, &mut connection, delivered).await? <= last.ms {
                tracing::warn!(
                    %delivered, read = %last,
                    "Redis has forgotten entries that were read, and may give their ids to others; what is held is dropped, and what is pending is read again"
                );
                shared.lease.begin_anew(shared, &term);
                return Err(SessionEnd::Lost);
            }
            progress.last = Some(delivered);
        }
    }
    if made_from.is_some() {
        // Of a group that is new, we have been given nothing.
        progress.last = made_from;
    }
    recover_all(shared, &mut connection, out, progress, &term).await?;
    while read(shared, (&mut connection, tap), out, progress, (Which::Lost, &term)).await? != Came::Nothing {}
    shared.status.set_state(SourceState::Running);
    pause.reset();
    loop {
        if shared.strays.swap(false, Ordering::Relaxed) && progress.recovery.is_done() {
            progress.recovery = Recovery::new(Whose::Strays);
        }
        recover_all(shared, &mut connection, out, progress, &term).await?;
        // Of nothing, the next read waits for something; of as much as was wanted, there may be more already.
        if read(shared, (&mut connection, tap), out, progress, (Which::New, &term)).await? == Came::Some {
            sleep(GATHER).await;
        }
    }
}

/// Reads again what is pending, if that has to be.
async fn recover_all(
    shared: &Shared,
    connection: &mut MultiplexedConnection,
    out: &mpsc::Sender<Batch>,
    progress: &mut Progress,
    term: &Term,
) -> Result<(), SessionEnd> {
    if shared.lease.has_forgotten() | shared.read_again.swap(false, Ordering::Relaxed) {
        progress.recovery = Recovery::new(Whose::AgainEverybodys);
    }
    if progress.recovery.is_done() {
        return Ok(());
    }
    shared.status.set_state(SourceState::Recovering);
    loop {
        make_sure(shared, connection).await?;
        let Some(batch) =
            recover::next(shared, connection, &mut progress.recovery, (&mut progress.clock, &mut progress.pace), term).await?
        else {
            break;
        };
        hand_on(shared, out, batch).await?;
    }
    shared.status.set_state(SourceState::Running);
    Ok(())
}

/// Makes sure that nobody else can lead for a while.
async fn make_sure(shared: &Shared, connection: &mut MultiplexedConnection) -> Result<(), SessionEnd> {
    if shared.lease.is_sure() { Ok(()) } else { still_leads(shared, connection).await }
}

/// Asks Redis whether we lead. Where the key that tells it was lost, it is written again.
pub(super) async fn still_leads(shared: &Shared, connection: &mut MultiplexedConnection) -> Result<(), SessionEnd> {
    if shared.lease.keep(shared, connection).await? { Ok(()) } else { Err(SessionEnd::Lost) }
}

async fn hand_on(shared: &Shared, out: &mpsc::Sender<Batch>, batch: Batch) -> Result<(), SessionEnd> {
    let count = batch.len() as u64;
    out.send(batch).await.map_err(|_| SessionEnd::Closed)?;
    shared.status.entries_read.fetch_add(count, Ordering::Relaxed);
    Ok(())
}
