//! What has to be looked after while reading goes on: retention, the journal, dead consumers, foreign readers.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value};
use tokio::sync::watch;

use super::lease::KEEP_EVERY;
use super::reply::{EntryId, items, time_ms};
use super::safety::Safety;
use super::{Shared, connect, group, journal};

/// Between two looks at the group.
const EVERY: Duration = Duration::from_secs(5);
/// One look in this many also trims: once a minute.
const TRIM_EVERY: u32 = 12;

/// When it is time to trim.
#[derive(Default)]
struct Trimming {
    /// Looks since we began to lead.
    looks: u32,
}

impl Trimming {
    /// Whether this look trims: the first one that we lead at, and from then on one in [`TRIM_EVERY`]. Who stands by trims nothing.
    fn is_due(&mut self, leading: bool) -> bool {
        let due = leading && self.looks.is_multiple_of(TRIM_EVERY);
        self.looks = if leading { self.looks.wrapping_add(1) } else { 0 };
        due
    }
}

/// Looks after the stream and the group until told to stop; first at once, and when the lead begins.
pub(super) async fn run(shared: &Shared, mut stop: watch::Receiver<bool>) {
    let (mut connection, mut safety, mut refused, mut trimming) = (None, Safety::default(), Refused::default(), Trimming::default());
    loop {
        let leading = shared.lease.term().is_some();
        let trims = trimming.is_due(leading);
        let looked = tokio::select! {
            looked = look(shared, &mut connection, (&mut safety, &mut refused), leading, trims) => looked,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        if let Err(error) = looked {
            // The reader tells of lost connections.
            tracing::debug!(error = shared.connector.explain(&error), "looking after the group failed; trying again");
            connection = None;
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = shared.lease.gained(), if !leading => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// Keeps the lease alive until told to stop, on a connection of its own: it must not wait behind anything.
pub(super) async fn keep_lease(shared: &Shared, mut stop: watch::Receiver<bool>) {
    let mut connection = None;
    while tokio::time::timeout(KEEP_EVERY, stop.wait_for(|stop| *stop)).await.is_err() {
        if shared.lease.term().is_none() {
            continue;
        }
        let kept = async {
            let connection = match &mut connection {
                Some(connection) => connection,
                empty => empty.insert(shared.connector.connect().await?),
            };
            // The reader may wait for an exporter meanwhile, and look at nothing.
            shared.vigil.look(connection).await?;
            shared.lease.keep(shared, connection).await
        };
        let kept = tokio::select! {
            kept = kept => kept,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        if let Err(error) = kept {
            tracing::debug!(error = shared.connector.explain(&error), "the lease could not be kept alive; trying again");
            connection = None;
        }
    }
}

async fn look(
    shared: &Shared,
    kept: &mut Option<MultiplexedConnection>,
    (safety, refused): (&mut Safety, &mut Refused),
    leading: bool,
    trimming: bool,
) -> RedisResult<()> {
    let connection = match kept {
        Some(connection) => connection,
        None => kept.insert(shared.connector.connect().await?),
    };
    if trimming && !shared.retention.is_zero() {
        refused.unless("the stream is not trimmed", shared, trim(shared, connection).await)?;
    }
    safety.tell_lost_letters(shared);
    refused.unless("how long the log can wait is not known", shared, safety.look(shared, connection, trimming).await)?;
    let consumers = group::consumers(connection, &shared.stream, &shared.group).await;
    let consumers = refused.unless("other readers are not noticed", shared, consumers)?.unwrap_or_default();
    notice_foreign(shared, &consumers);
    if !leading {
        return Ok(());
    }
    refused.unless("consumers that are gone are not cleared away", shared, clear_away(shared, connection, &consumers).await)?;
    let bytes = journal::look_after(shared, connection).await;
    if let Some(bytes) = refused.unless("the journal is not looked after", shared, bytes)? {
        shared.status.journal_bytes.store(bytes, Ordering::Relaxed);
    }
    refused.unless("how far all is settled is not written down", shared, note_settled(shared, connection).await)?;
    Ok(())
}

/// What Redis refuses of all this: the rest is done all the same.
#[derive(Default)]
struct Refused(HashSet<&'static str>);

impl Refused {
    /// What came of a step; `None` if Redis refused it. `without` it, this is how things are, which is said once until it works.
    ///
    /// # Errors
    /// What ends the connection.
    fn unless<T>(&mut self, without: &'static str, shared: &Shared, result: RedisResult<T>) -> RedisResult<Option<T>> {
        match result {
            Ok(value) => {
                self.0.remove(without);
                Ok(Some(value))
            }
            Err(error) if connect::is_of_no_use(&error) => Err(error),
            Err(error) => {
                if self.0.insert(without) {
                    tracing::warn!(
                        error = shared.connector.explain(&error),
                        "Redis refuses a part of the upkeep; {without} until it takes it"
                    );
                }
                Ok(None)
            }
        }
    }
}

fn notice_foreign(shared: &Shared, consumers: &[group::Consumer]) {
    let foreign = consumers.iter().find(|own| shared.foreign.is_living(own)).map(|own| own.name.clone());
    if shared.status.set_foreign_reader(foreign.clone()) {
        match foreign {
            Some(reader) => tracing::error!(
                reader,
                group = shared.group,
                "another consumer has begun to read our group and takes a part of every trace; stop it, or give meshtrace a group of its own"
            ),
            None => tracing::info!(group = shared.group, "the other consumer of our group is gone"),
        }
    }
}

/// Removes consumers that are gone; what is pending for one, since it was given something after its end was noticed, is read again.
async fn clear_away(shared: &Shared, connection: &mut MultiplexedConnection, consumers: &[group::Consumer]) -> RedisResult<()> {
    let gone = |own: &&group::Consumer| own.name != shared.consumer && !shared.foreign.is_living(own);
    for dead in consumers.iter().filter(gone) {
        if dead.pending > 0 {
            shared.strays.store(true, Ordering::Relaxed);
        } else {
            group::remove_if_empty(shared, connection, &dead.name).await?;
        }
    }
    Ok(())
}

/// Writes down how far everything is settled, in case somebody removes the group.
async fn note_settled(shared: &Shared, connection: &mut MultiplexedConnection) -> RedisResult<()> {
    let Some(Extent {
        delivered: Some(delivered),
        oldest_pending,
        ..
    }) = extent(shared, connection).await?
    else {
        return Ok(());
    };
    let settled = oldest_pending.map_or(delivered, |id| delivered.min(id.before()));
    redis::cmd("SET").arg(&shared.keys.settled).arg(settled.to_string()).exec_async(connection).await
}

/// How far the group has come.
struct Extent {
    /// The clock of Redis, in milliseconds.
    now_ms: u64,
    delivered: Option<EntryId>,
    oldest_pending: Option<EntryId>,
}

/// `None` while there is no such stream or group: the reader makes them.
async fn extent(shared: &Shared, connection: &mut MultiplexedConnection) -> RedisResult<Option<Extent>> {
    // In this order: what is delivered in between is pending, or is not counted as delivered.
    let mut asking = redis::pipe();
    asking.cmd("TIME");
    asking.cmd("XINFO").arg("GROUPS").arg(&shared.stream);
    asking.cmd("XPENDING").arg(&shared.stream).arg(&shared.group);
    let (time, groups, pending): (Value, Value, Value) = match asking.query_async(connection).await {
        Err(error) if group::is_missing(&error) => return Ok(None),
        other => other?,
    };
    Ok(Some(Extent {
        now_ms: time_ms(&time).unwrap_or(0),
        delivered: group::last_delivered(&groups, &shared.group),
        oldest_pending: items(&pending).get(1).and_then(EntryId::of),
    }))
}

/// Trims what is older than the retention, but never what is pending or undelivered in our group: after a long outage the backlog is
/// processed, not deleted.
async fn trim(shared: &Shared, connection: &mut MultiplexedConnection) -> RedisResult<()> {
    let Some(extent) = extent(shared, connection).await? else { return Ok(()) };
    let Some(bound) = bound(extent.now_ms, shared.retention, extent.delivered, extent.oldest_pending) else { return Ok(()) };
    let mut trimmed = 0;
    loop {
        // Redis removes a part at a time, so that nobody waits for long.
        let some: u64 =
            redis::cmd("XTRIM").arg(&shared.stream).arg("MINID").arg("~").arg(bound.to_string()).query_async(connection).await?;
        trimmed += some;
        if some == 0 {
            break;
        }
    }
    if trimmed > 0 {
        tracing::info!(entries = trimmed, "trimmed entries past MCP_MESH_TRACE_RETENTION from the stream");
    }
    Ok(())
}

/// Entries before this id may go.
fn bound(now_ms: u64, retention: Duration, delivered: Option<EntryId>, oldest_pending: Option<EntryId>) -> Option<EntryId> {
    let retention_ms = u64::try_from(retention.as_millis()).ok()?;
    let aged = EntryId {
        ms: now_ms.checked_sub(retention_ms)?,
        seq: 0,
    };
    let kept = delivered?.min(oldest_pending.unwrap_or(delivered?));
    Some(aged.min(kept)).filter(|bound| *bound > EntryId::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_trimmed_when_the_lead_begins_and_every_minute_then() {
        let minute = (Duration::from_secs(60).as_secs() / EVERY.as_secs()) as usize;
        let trims = |trimming: &mut Trimming, leading, looks| (0..looks).filter(|_| trimming.is_due(leading)).collect::<Vec<_>>();
        let mut trimming = Trimming::default();
        assert!(trims(&mut trimming, false, minute).is_empty(), "who stands by trims nothing");
        assert_eq!(trims(&mut trimming, true, 2 * minute + 1), [0, minute, 2 * minute]);
        assert!(trims(&mut trimming, false, 1).is_empty());
        assert_eq!(trims(&mut trimming, true, minute), [0], "another lead begins");
    }

    #[test]
    fn retention_never_reaches_what_is_pending_or_undelivered() {
        let id = |ms| Some(EntryId { ms, seq: 3 });
        let hour = Duration::from_secs(3_600);
        let now = 10_000_000;
        assert_eq!(bound(now, hour, id(9_000_000), None), Some(EntryId { ms: 6_400_000, seq: 0 }));
        assert_eq!(bound(now, hour, id(5_000_000), None), id(5_000_000));
        assert_eq!(bound(now, hour, id(9_000_000), id(4_000_000)), id(4_000_000));
        assert_eq!(bound(now, hour, None, None), None);
        assert_eq!(bound(now, hour, Some(EntryId::default()), None), None);
    }
}
