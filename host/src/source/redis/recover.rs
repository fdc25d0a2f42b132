//! What earlier runs left pending is read first, in the order of the log, whoever it was delivered to.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Instant;

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value};

use super::clock::StreamClock;
use super::reply::{EntryId, bytes, entry, items, push, time_ms};
use super::{Shared, group};
use crate::source::Batch;

/// Pending entries per step.
const PAGE: usize = 1_000;

/// How far recovery has come; outlives a connection.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    after: Option<EntryId>,
    done: bool,
}

impl Recovery {
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
    clock: &mut StreamClock,
) -> RedisResult<Option<Batch>> {
    // Ids need not be times: what is pending is not from after now.
    let sent = Instant::now();
    let time: Value = redis::cmd("TIME").query_async(connection).await?;
    if let Some(redis_ms) = time_ms(&time) {
        clock.look(redis_ms, sent, Instant::now());
    }
    let Some(page) = pending_page(shared, connection, recovery.after).await? else {
        recovery.done = true;
        return Ok(None);
    };
    let living: Vec<String> = {
        let all = group::consumers(connection, &shared.stream, &shared.group).await?;
        all.into_iter().filter(|own| shared.foreign.is_living(own)).map(|own| own.name).collect()
    };
    let last = page.last().map(|(id, _)| *id);
    let ids: Vec<EntryId> = page.into_iter().filter(|(_, owner)| !living.contains(owner)).map(|(id, _)| id).collect();
    let batch = claim(shared, connection, clock, &ids).await?;
    recovery.after = last;
    Ok(Some(batch))
}

/// Up to [`PAGE`] pending ids after `after`, with who they are pending for; `None` when there are none.
async fn pending_page(
    shared: &Shared,
    connection: &mut MultiplexedConnection,
    after: Option<EntryId>,
) -> RedisResult<Option<Vec<(EntryId, String)>>> {
    let from = after.map_or("-".to_owned(), |id| format!("({id}"));
    let reply: Value =
        redis::cmd("XPENDING").arg(&shared.stream).arg(&shared.group).arg(from).arg("+").arg(PAGE).query_async(connection).await?;
    let row = |row: &Value| {
        let parts = items(row);
        Some((EntryId::of(parts.first()?)?, String::from_utf8_lossy(bytes(parts.get(1)?)?).into_owned()))
    };
    let page: Vec<_> = items(&reply).iter().filter_map(row).collect();
    Ok(Some(page).filter(|page| !page.is_empty()))
}

async fn claim(shared: &Shared, connection: &mut MultiplexedConnection, clock: &mut StreamClock, ids: &[EntryId]) -> RedisResult<Batch> {
    let mut batch = Batch::default();
    if ids.is_empty() {
        return Ok(batch);
    }
    let mut claim = redis::cmd("XCLAIM");
    claim.arg(&shared.stream).arg(&shared.group).arg(&shared.consumer).arg(0);
    for id in ids {
        claim.arg(id.to_string());
    }
    let mut pipeline = redis::pipe();
    pipeline.add_command(claim.arg("JUSTID").clone()).ignore();
    for id in ids {
        pipeline.cmd("XRANGE").arg(&shared.stream).arg(id.to_string()).arg(id.to_string());
    }
    let replies: Vec<Value> = pipeline.query_async(connection).await?;
    let found: HashMap<EntryId, &[Value]> =
        replies.iter().filter_map(|reply| entry(items(reply).first()?)).filter_map(|(id, fields)| Some((id, fields?))).collect();
    for id in ids {
        if let Some(fields) = found.get(id) {
            let at_ms = clock.of_pending(id.ms);
            push(&mut batch, *id, at_ms, fields);
            batch.watermark_ms = batch.watermark_ms.max(at_ms);
        }
    }
    let trimmed: Vec<EntryId> = ids.iter().filter(|id| !found.contains_key(id)).copied().collect();
    if !trimmed.is_empty() {
        forget(shared, connection, &trimmed).await?;
    }
    Ok(batch)
}

/// Entries that the log no longer holds cannot be waited for.
async fn forget(shared: &Shared, connection: &mut MultiplexedConnection, ids: &[EntryId]) -> RedisResult<()> {
    let mut ack = redis::cmd("XACK");
    ack.arg(&shared.stream).arg(&shared.group);
    for id in ids {
        ack.arg(id.to_string());
    }
    ack.query_async::<()>(connection).await?;
    shared.status.entries_trimmed.fetch_add(ids.len() as u64, Ordering::Relaxed);
    tracing::warn!(
        entries = ids.len(),
        "entries that an earlier run had not finished were trimmed from the stream meanwhile; MCP_MESH_TRACE_STREAM_MAXLEN on the agents makes it longer"
    );
    Ok(())
}
