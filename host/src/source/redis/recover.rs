//! What is pending and will not be acknowledged by whom it was delivered to: read again, in the order of the log.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::time::Instant;

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value};

use super::clock::StreamClock;
use super::fence::{self, Fenced};
use super::journal::Lines;
use super::lease::Term;
use super::pace::Pace;
use super::reader::{SessionEnd, still_leads};
use super::reply::{EntryId, bytes, entry, items, push, time_ms};
use super::{Shared, group};
use crate::model::Receipt;
use crate::source::Batch;

/// Pending entries that are looked at per step.
const PAGE: usize = 1_000;

/// What is read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// All that is pending, at the beginning of a leadership: nobody holds anything of it.
    Everybodys,
    /// All that is pending, in the middle of one: what of it we hold comes twice.
    AgainEverybodys,
    /// What is pending for others than us.
    Strays,
}

/// How far recovery has come; outlives a connection.
#[derive(Debug)]
pub(super) struct Recovery {
    whose: Whose,
    after: Option<EntryId>,
    before: Option<EntryId>,
    /// Entries that may have been claimed for us and have not been handed on: what came in between is not known.
    claimed: HashSet<EntryId>,
    trimmed: Trimmed,
    done: bool,
}

impl Recovery {
    pub fn new(whose: Whose) -> Recovery {
        Recovery {
            whose,
            after: None,
            before: None,
            claimed: HashSet::new(),
            trimmed: Trimmed::default(),
            done: false,
        }
    }

    /// Strays between two entries.
    pub fn of_strays_between(after: Option<EntryId>, before: EntryId) -> Recovery {
        Recovery {
            after,
            before: Some(before),
            ..Recovery::new(Whose::Strays)
        }
    }

    /// The last entry that was looked at.
    pub fn after(&self) -> Option<EntryId> {
        self.after
    }

    pub fn is_done(&self) -> bool {
        self.done
    }
}

/// The next batch of pending entries, claimed for us; `None` when there are no more.
///
/// Entries of a live reader that is not ours stay with it. The claim is made with `JUSTID`, which leaves delivery counts as they are: a restart
/// is no sign against an entry.
pub(super) async fn next(
    shared: &Shared,
    connection: &mut MultiplexedConnection,
    recovery: &mut Recovery,
    (clock, pace): (&mut StreamClock, &mut Pace),
    term: &Term,
) -> Result<Option<Batch>, SessionEnd> {
    // Ids need not be times: what is pending is not from after now.
    let mut asking = redis::pipe();
    asking.cmd("TIME").add_command(pending(shared, recovery.after, PAGE));
    shared.vigil.ask();
    let sent = Instant::now();
    let (time, page): (Value, Value) = asking.query_async(connection).await?;
    if let Some(redis_ms) = time_ms(&time) {
        let came = Instant::now();
        shared.vigil.told(redis_ms, sent, came);
        clock.look(redis_ms, sent, came);
    }
    let mut page = rows(&page);
    page.retain(|(id, _)| recovery.before.is_none_or(|before| *id < before));
    let Some((mut last, _)) = page.last().copied() else {
        recovery.done = true;
        return Ok(None);
    };
    let mut left_alone: Vec<String> = {
        let all = group::consumers(connection, &shared.stream, &shared.group).await?;
        all.into_iter().filter(|own| shared.foreign.is_living(own)).map(|own| own.name).collect()
    };
    if recovery.whose == Whose::Strays {
        left_alone.push(shared.consumer.clone());
    }
    let is_left = |owner: &[u8]| left_alone.iter().any(|own| own.as_bytes() == owner);
    let ours = page.into_iter().filter(|(id, owner)| !is_left(owner) || recovery.claimed.contains(id));
    let mut ids: Vec<EntryId> = ours.map(|(id, _)| id).collect();
    if ids.len() > pace.count() {
        ids.truncate(pace.count());
        last = ids.last().copied().unwrap_or(last);
    }
    let stamp = |ms| if recovery.whose == Whose::Everybodys { clock.of_pending(ms) } else { clock.of_new(ms) };
    recovery.claimed.extend(&ids);
    let batch = claim(shared, connection, term, (stamp, pace), &mut recovery.trimmed, &ids).await?;
    recovery.after = Some(last);
    recovery.claimed.retain(|id| *id > last);
    Ok(Some(batch))
}

/// The first entry after `after` that is pending for us.
pub(super) async fn next_of_ours(
    shared: &Shared,
    connection: &mut MultiplexedConnection,
    after: Option<EntryId>,
) -> RedisResult<Option<EntryId>> {
    let reply: Value = pending(shared, after, 1).arg(&shared.consumer).query_async(connection).await?;
    Ok(rows(&reply).first().map(|(id, _)| *id))
}

/// Asks for so many pending ids after `after`.
fn pending(shared: &Shared, after: Option<EntryId>, count: usize) -> redis::Cmd {
    let from = after.map_or("-".to_owned(), |id| format!("({id}"));
    let mut pending = redis::cmd("XPENDING");
    pending.arg(&shared.stream).arg(&shared.group).arg(from).arg("+").arg(count);
    pending
}

/// Pending ids, with who they are pending for.
fn rows(reply: &Value) -> Vec<(EntryId, &[u8])> {
    let row = |row| {
        let parts = items(row);
        Some((EntryId::of(parts.first()?)?, bytes(parts.get(1)?)?))
    };
    items(reply).iter().filter_map(row).collect()
}

/// Reads and claims entries; `stamp` makes stream times of their ids'.
async fn claim(
    shared: &Shared,
    connection: &mut MultiplexedConnection,
    term: &Term,
    (mut stamp, pace): (impl FnMut(u64) -> u64, &mut Pace),
    trimmed: &mut Trimmed,
    ids: &[EntryId],
) -> Result<Batch, SessionEnd> {
    let mut batch = Batch::default();
    if ids.is_empty() {
        return Ok(batch);
    }
    if let [id] = ids
        && pace.is_unreadable(*id)
    {
        make_ours(shared, connection, term, ids).await?;
        let at_ms = stamp(id.ms);
        shared.push_unread(&mut batch, *id, at_ms);
        batch.watermark_ms = at_ms;
        return Ok(batch);
    }
    let mut pipeline = redis::pipe();
    for id in ids {
        pipeline.cmd("XRANGE").arg(&shared.stream).arg(id.to_string()).arg(id.to_string());
    }
    let replies: Vec<Value> = pace.ask(ids.len(), pipeline.query_async(connection)).await?;
    pace.took(ids.len());
    let found: HashMap<EntryId, &[Value]> =
        replies.iter().filter_map(|reply| entry(items(reply).first()?)).filter_map(|(id, fields)| Some((id, fields?))).collect();
    // Only those that are there, since claiming removes the others from what is pending (from Redis 7 on), and nobody would have counted them.
    let (there, gone): (Vec<EntryId>, Vec<EntryId>) = ids.iter().copied().partition(|id| found.contains_key(id));
    make_ours(shared, connection, term, &there).await?;
    trimmed.forget(shared, connection, term, &gone).await?;
    for id in ids {
        if let Some(fields) = found.get(id) {
            let at_ms = stamp(id.ms);
            push(&mut batch, *id, at_ms, fields);
            batch.watermark_ms = batch.watermark_ms.max(at_ms);
        }
    }
    Ok(batch)
}

async fn make_ours(shared: &Shared, connection: &mut MultiplexedConnection, term: &Term, ids: &[EntryId]) -> Result<(), SessionEnd> {
    while !ids.is_empty() && fence::claim(shared, connection, term, ids).await? == Fenced::Refused {
        still_leads(shared, connection).await?;
    }
    Ok(())
}

/// Pending entries that the log no longer holds: nobody can wait for them.
#[derive(Debug, Default)]
pub(super) struct Trimmed {
    /// Up to here they have been counted. They come in the order of the log, and again when it is not known whether Redis has forgotten them.
    counted: Option<EntryId>,
}

impl Trimmed {
    /// Counts these and acknowledges them. `ids` are in order.
    pub async fn forget(
        &mut self,
        shared: &Shared,
        connection: &mut MultiplexedConnection,
        term: &Term,
        ids: &[EntryId],
    ) -> Result<(), SessionEnd> {
        let news = ids.iter().filter(|id| Some(**id) > self.counted).count();
        if news > 0 {
            self.counted = ids.last().copied();
            shared.status.entries_trimmed.fetch_add(news as u64, Ordering::Relaxed);
            tracing::warn!(
                entries = news,
                "entries that were pending have been trimmed from the stream meanwhile; MCP_MESH_TRACE_STREAM_MAXLEN on the agents makes it longer"
            );
        }
        let receipts: Vec<Receipt> = ids.iter().map(|id| id.receipt()).collect();
        while !receipts.is_empty() && fence::settle(shared, connection, term, receipts.iter(), &Lines::default()).await? == Fenced::Refused
        {
            still_leads(shared, connection).await?;
        }
        Ok(())
    }
}
