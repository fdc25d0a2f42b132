//! One read: what is new, or what was in a reply that never came.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Instant;

use redis::Value;
use redis::aio::MultiplexedConnection;
use tokio::sync::mpsc;

use super::super::entries::Entries;
use super::super::lease::Term;
use super::super::recover::{self, Recovery};
use super::super::reply::{EntryId, time_ms};
use super::super::tap::{NoReply, Tap};
use super::super::{BLOCK, Shared, strays};
use super::{Progress, SessionEnd, hand_on, make_sure};
use crate::source::Batch;

pub(super) enum Which {
    /// Delivered to us, in a reply that we never saw.
    Lost,
    New,
}

/// What came of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    Nothing,
    /// Fewer entries than were asked for.
    Some,
    /// As many as were asked for: there may be more.
    All,
}

/// Reads once.
///
/// The server's time is asked for in the same breath, before the entries: if fewer came than were asked for, every entry from before that
/// time has been read. Unless a former leader, that has not noticed yet, was given some: so it is asked after the entries for whom something is pending.
/// What such a one was given is read before anything that comes later in the log, and until then time does not go on.
pub(super) async fn read(
    shared: &Shared,
    (connection, tap): (&mut MultiplexedConnection, &Tap),
    out: &mpsc::Sender<Batch>,
    progress: &mut Progress,
    (which, term): (Which, &Term),
) -> Result<Came, SessionEnd> {
    make_sure(shared, connection).await?;
    let count = progress.pace.count();
    if count == 1
        && matches!(which, Which::Lost)
        && let Some(id) = recover::next_of_ours(shared, connection, progress.last).await?
        && progress.pace.is_unreadable(id)
    {
        progress.last = progress.last.max(Some(id));
        let mut batch = Batch::default();
        shared.push_unread(&mut batch, id, progress.clock.of_new(id.ms));
        return hand_on(shared, out, batch).await.map(|()| Came::All);
    }
    shared.vigil.ask();
    let sent = Instant::now();
    let mut asking = redis::pipe();
    asking.cmd("TIME").add_command(command(shared, progress.last, count, &which));
    asking.cmd("XPENDING").arg(&shared.stream).arg(&shared.group);
    tap.divert(1);
    let (time, _, pending): (Value, Value, Value) = progress.pace.ask(count, asking.query_async(connection)).await?;
    let redis_ms = time_ms(&time);
    if let Some(redis_ms) = redis_ms {
        let came = Instant::now();
        shared.vigil.told(redis_ms, sent, came);
        progress.clock.look(redis_ms, sent, came);
    }
    let entries = tap.take().ok_or(NoReply).and_then(Entries::find);
    let entries = entries.map_err(|NoReply| redis::RedisError::from(io::Error::other("Redis answered a read with what are no entries")))?;
    progress.pace.took(entries.len());
    if let (Some(redis_ms), Which::New) = (redis_ms, &which) {
        progress.clock.heard(redis_ms, entries.ends().map(|(first, last)| (first.ms, last.ms)));
    }
    // Lost entries may have been trimmed since. Before anything is handed on: should this fail, all of them are read once more.
    progress.trimmed.forget(shared, connection, term, &entries.gone()).await?;
    let strays = strays::are_pending(shared, &pending);
    if strays {
        shared.strays.store(true, Ordering::Relaxed);
        if let Some((first, _)) = entries.ends() {
            let mut between = Recovery::of_strays_between(progress.last, first);
            while let Some(batch) = recover::next(shared, connection, &mut between, (&mut progress.clock, &mut progress.pace), term).await?
            {
                hand_on(shared, out, batch).await?;
                progress.last = progress.last.max(between.after());
            }
        }
    }
    let came = entries.len();
    let mut last_ms = 0;
    let mut batch = entries.into_batch(|id| {
        progress.last = progress.last.max(Some(id));
        last_ms = progress.clock.of_new(id.ms);
        last_ms
    });
    let full = came >= count;
    let caught_up = !full && !strays && matches!(which, Which::New);
    // Without a time that can be read, the entries themselves are all that is known.
    let read_up_to = if caught_up && redis_ms.is_some() {
        progress.clock.caught_up();
        progress.clock.now()
    } else {
        last_ms
    };
    batch.watermark_ms = progress.clock.raise(read_up_to);
    shared.read_ms.store(batch.watermark_ms, Ordering::Relaxed);
    shared.ahead_ms.store(progress.clock.ahead_ms(), Ordering::Relaxed);
    hand_on(shared, out, batch).await?;
    Ok(match came {
        0 => Came::Nothing,
        _ if full => Came::All,
        _ => Came::Some,
    })
}

/// The command that reads so many entries.
fn command(shared: &Shared, last: Option<EntryId>, count: usize, which: &Which) -> redis::Cmd {
    let mut command = redis::cmd("XREADGROUP");
    command.arg("GROUP").arg(&shared.group).arg(&shared.consumer).arg("COUNT").arg(count);
    let from = match which {
        Which::New => {
            command.arg("BLOCK").arg(BLOCK.as_millis() as u64);
            ">".to_owned()
        }
        Which::Lost => last.unwrap_or_default().to_string(),
    };
    command.arg("STREAMS").arg(&shared.stream).arg(from);
    command
}
