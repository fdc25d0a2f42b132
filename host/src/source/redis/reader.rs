//! The loop that reads.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::time::Instant;

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value};
use tokio::sync::{mpsc, watch};

use super::clock::StreamClock;
use super::connect::{Backoff, Connector};
use super::lease::Held;
use super::recover::Recovery;
use super::reply::{EntryId, entry, push, stream_entries, time_ms};
use super::{BLOCK, Shared, group, recover};
use crate::source::{Batch, SourceState};

/// Why a session with Redis ended.
enum SessionEnd {
    /// Told to stop.
    Stopped,
    /// The next stage has ended.
    Closed,
    /// The connection, or what it answered, was no good.
    Failed(redis::RedisError),
}

impl From<redis::RedisError> for SessionEnd {
    fn from(error: redis::RedisError) -> Self {
        SessionEnd::Failed(error)
    }
}

/// What outlives a connection.
struct Progress {
    clock: StreamClock,
    recovery: Recovery,
    /// The last new entry handed on. A reply that was lost on its way holds later ones; they are pending for us, and read again.
    last: Option<EntryId>,
    /// The life of the server that has all our acknowledgements.
    life: Option<String>,
}

/// Reads until told to stop, or until `out` is closed.
pub(super) async fn run(shared: &Shared, out: mpsc::Sender<Batch>, mut stop: watch::Receiver<bool>) {
    let mut progress = Progress {
        clock: StreamClock::default(),
        recovery: Recovery::default(),
        last: None,
        life: None,
    };
    let mut pause = Backoff::new(stop.clone());
    loop {
        let end = tokio::select! {
            end = session(shared, &out, &mut progress, &mut pause) => end,
            () = shared.lease.lost() => {
                tracing::warn!("another meshtrace leads this group now; standing by");
                continue;
            }
            _ = stop.wait_for(|stop| *stop) => SessionEnd::Stopped,
        };
        let SessionEnd::Failed(error) = end else { return };
        let error = shared.connector.explain(&error);
        tracing::warn!(error, "reading from Redis failed; connecting again");
        shared.status.set_error(error);
        shared.status.set_state(SourceState::Connecting);
        if pause.wait().await.is_break() {
            return;
        }
    }
}

async fn session(shared: &Shared, out: &mpsc::Sender<Batch>, progress: &mut Progress, pause: &mut Backoff) -> SessionEnd {
    let connection = match shared.connector.connect().await {
        Ok(connection) => connection,
        Err(error) => return SessionEnd::Failed(error),
    };
    let end = match try_session(shared, connection, out, progress, pause).await {
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
    out: &mpsc::Sender<Batch>,
    progress: &mut Progress,
    pause: &mut Backoff,
) -> Result<std::convert::Infallible, SessionEnd> {
    // Two that read would split every trace between them.
    if shared.lease.acquire(shared, &mut connection).await? == Held::Anew {
        progress.recovery = Recovery::default();
    }
    // A server that was restarted, or took over from another, may have forgotten the last things that it was told: what is pending is looked through again.
    let life = Connector::life(&mut connection).await?;
    if life != progress.life {
        progress.recovery = Recovery::default();
        progress.life = life;
    }
    group::ensure(shared, &mut connection).await?;
    if !progress.recovery.is_done() {
        shared.status.set_state(SourceState::Recovering);
        progress.last = Some(last_delivered(shared, &mut connection).await?);
        while let Some(batch) = recover::next(shared, &mut connection, &mut progress.recovery, &mut progress.clock).await? {
            hand_on(shared, out, batch).await?;
        }
    }
    while read(shared, &mut connection, out, progress, Which::Lost).await?.is_continue() {}
    shared.status.set_state(SourceState::Running);
    pause.reset();
    loop {
        // Whether it was the last for now makes no difference: the next read waits for more.
        let _ = read(shared, &mut connection, out, progress, Which::New).await?;
    }
}

enum Which {
    /// Delivered to us, in a reply that we never saw.
    Lost,
    New,
}

/// Reads once; `Continue` when there may be more at once.
///
/// The server's time is asked for in the same breath, before the entries: if fewer came than were asked for, every entry from before that
/// time has been read.
async fn read(
    shared: &Shared,
    connection: &mut MultiplexedConnection,
    out: &mpsc::Sender<Batch>,
    progress: &mut Progress,
    which: Which,
) -> Result<ControlFlow<()>, SessionEnd> {
    let mut command = redis::cmd("XREADGROUP");
    command.arg("GROUP").arg(&shared.group).arg(&shared.consumer).arg("COUNT").arg(shared.count);
    let from = match which {
        Which::New => {
            command.arg("BLOCK").arg(BLOCK.as_millis() as u64);
            ">".to_owned()
        }
        Which::Lost => progress.last.unwrap_or_default().to_string(),
    };
    command.arg("STREAMS").arg(&shared.stream).arg(from);
    let sent = Instant::now();
    let (time, reply): (Value, Value) = redis::pipe().cmd("TIME").add_command(command).query_async(connection).await?;
    let redis_ms = time_ms(&time);
    if let Some(redis_ms) = redis_ms {
        progress.clock.look(redis_ms, sent, Instant::now());
    }
    let entries = stream_entries(&reply);
    if let (Some(redis_ms), Which::New) = (redis_ms, &which) {
        let stamp = |value: &Value| entry(value).map(|(id, _)| id.ms);
        progress.clock.heard(redis_ms, entries.first().and_then(stamp).zip(entries.last().and_then(stamp)));
    }
    let mut batch = Batch::default();
    let mut last_ms = 0;
    for (id, fields) in entries.iter().filter_map(entry) {
        progress.last = progress.last.max(Some(id));
        last_ms = progress.clock.of_new(id.ms);
        // A lost entry may have been trimmed since; recovery after the next start clears it away.
        if let Some(fields) = fields {
            push(&mut batch, id, last_ms, fields);
        }
    }
    let full = entries.len() >= shared.count;
    let caught_up = !full && matches!(which, Which::New);
    // Without a time that can be read, the entries themselves are all that is known.
    let read_up_to = if caught_up && redis_ms.is_some() { progress.clock.now() } else { last_ms };
    batch.watermark_ms = progress.clock.raise(read_up_to);
    hand_on(shared, out, batch).await?;
    Ok(if entries.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
}

async fn hand_on(shared: &Shared, out: &mpsc::Sender<Batch>, batch: Batch) -> Result<(), SessionEnd> {
    let count = batch.len() as u64;
    out.send(batch).await.map_err(|_| SessionEnd::Closed)?;
    shared.status.entries_read.fetch_add(count, Ordering::Relaxed);
    Ok(())
}

/// The last entry that the group has handed to anybody.
async fn last_delivered(shared: &Shared, connection: &mut MultiplexedConnection) -> RedisResult<EntryId> {
    let groups: Value = redis::cmd("XINFO").arg("GROUPS").arg(&shared.stream).query_async(connection).await?;
    Ok(group::last_delivered(&groups, &shared.group).unwrap_or_default())
}
