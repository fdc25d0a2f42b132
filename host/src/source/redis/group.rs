//! Which consumer group to read, and who else reads it.
//!
//! The documented group is taken over where a registry left off. But a registry that still reads it would take half of every trace, so
//! then a group of our own is used, and kept to after a restart. A group that somebody asked for by name is used or refused.

mod silent;

use std::sync::LazyLock;
use std::time::Duration;

use anyhow::anyhow;
use redis::aio::MultiplexedConnection;
use redis::{RedisError, RedisResult, Script, Value};
use tokio::time::{Instant, sleep};

use super::reply::{EntryId, bytes, field, items, number, time_ms};
use super::{CONSUMER_PREFIX, DOCUMENTED_GROUP, OWN_GROUP, RedisConfig, Shared};
use silent::silent_reader;

/// A foreign consumer idle for longer than this is dead. The registry blocks for 5 s at a time.
const FOREIGN_IDLE: Duration = Duration::from_secs(15);
/// A consumer that was there lately is watched for a sign of life: a little longer than a registry blocks.
const WATCH: Duration = Duration::from_millis(6_000);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A consumer, as `XINFO CONSUMERS` tells.
#[derive(Debug, Clone)]
pub(super) struct Consumer {
    pub name: String,
    pub idle: Duration,
    pub pending: u64,
    /// Whether `idle` counts from the last attempt to read. Before Redis 7.2 it counts from the last entry that was given.
    idle_is_exact: bool,
}

impl Consumer {
    fn is_ours(&self) -> bool {
        self.name.starts_with(CONSUMER_PREFIX)
    }

    /// Somebody else's, and not dead for certain.
    fn is_foreign_and_lately(&self) -> bool {
        !self.is_ours() && self.idle < FOREIGN_IDLE
    }
}

/// Foreign consumers that were watched at the start and did nothing: dead, though they were there lately.
#[derive(Debug)]
pub(super) struct Foreign {
    dead: Vec<String>,
    watched: Instant,
}

impl Foreign {
    /// Whether this consumer is somebody else's and reads. Consumers of ours do not count: the lease tells about those.
    pub fn is_living(&self, consumer: &Consumer) -> bool {
        let still_dead = || self.dead.contains(&consumer.name) && consumer.idle + LOOK_EVERY >= self.watched.elapsed();
        consumer.is_foreign_and_lately() && !still_dead()
    }
}

/// The group to read, and who in it is dead; the inner error stops the start.
pub(super) async fn choose(connection: &mut MultiplexedConnection, config: &RedisConfig) -> RedisResult<anyhow::Result<(String, Foreign)>> {
    let stream = config.stream.as_str();
    let (group, asked_for) = match &config.group {
        Some(group) => (group.as_str(), true),
        None => (DOCUMENTED_GROUP, false),
    };
    let groups = groups(connection, stream).await?;
    let nobody = || Foreign {
        dead: Vec::new(),
        watched: Instant::now(),
    };
    if !asked_for && groups.iter().any(|name| name == OWN_GROUP) {
        tracing::info!(group = OWN_GROUP, "reading with the group of an earlier time; MCP_MESH_TRACE_CONSUMER_GROUP would choose another");
        return Ok(Ok((OWN_GROUP.to_owned(), nobody())));
    }
    let watched = Instant::now();
    let suspects: Vec<Consumer> = {
        let all = consumers(connection, stream, group).await?;
        all.into_iter().filter(Consumer::is_foreign_and_lately).collect()
    };
    let dead: Vec<String> = suspects.iter().map(|own| own.name.clone()).collect();
    let reader = match silent_reader(connection, stream, group, asked_for).await? {
        Some(reader) => Some(reader),
        None => watch_for_life(connection, stream, group, suspects).await?,
    };
    match reader {
        None => Ok(Ok((group.to_owned(), Foreign { dead, watched }))),
        Some(reader) if asked_for => Ok(Err(anyhow!(
            "MCP_MESH_TRACE_CONSUMER_GROUP={group}: the consumer {reader:?} is reading that group, and would take a part of every trace; \
             stop it, or choose a group of your own (leave the variable unset for {OWN_GROUP:?})"
        ))),
        Some(reader) => {
            tracing::info!(
                reader,
                group = OWN_GROUP,
                "the group {DOCUMENTED_GROUP} has a live reader; reading with a group of our own beside it"
            );
            Ok(Ok((OWN_GROUP.to_owned(), nobody())))
        }
    }
}

/// Watches `suspects`; the name of the first that did something. The idle time of the dead grows as fast as time goes by.
async fn watch_for_life(
    connection: &mut MultiplexedConnection,
    stream: &str,
    group: &str,
    suspects: Vec<Consumer>,
) -> RedisResult<Option<String>> {
    let start = Instant::now();
    while !suspects.is_empty() && start.elapsed() < WATCH {
        sleep(LOOK_EVERY).await;
        let elapsed = start.elapsed();
        let now = consumers(connection, stream, group).await?;
        let moved =
            |suspect: &&Consumer| now.iter().any(|own| own.name == suspect.name && own.idle + LOOK_EVERY / 2 < suspect.idle + elapsed);
        if let Some(alive) = suspects.iter().find(moved) {
            return Ok(Some(alive.name.clone()));
        }
    }
    Ok(None)
}

/// Makes stream and group if they are missing. The group begins with the stream's first entry; or, if it was there before and somebody has removed it,
/// behind what is known to have been settled. Returns the id behind which it begins, if it was made now.
pub(super) async fn ensure(shared: &Shared, connection: &mut MultiplexedConnection) -> RedisResult<Option<EntryId>> {
    // A Redis without memory refuses to make a group, also one that is there; reading and acknowledging it would still allow.
    if groups(connection, &shared.stream).await?.contains(&shared.group) {
        return Ok(None);
    }
    let from = settled_up_to(shared, connection).await?;
    let mut create = redis::cmd("XGROUP");
    create.arg("CREATE").arg(&shared.stream).arg(&shared.group).arg(from.to_string()).arg("MKSTREAM");
    match create.exec_async(connection).await {
        Err(error) if error.code() == Some("BUSYGROUP") => Ok(None),
        Err(error) => Err(error),
        Ok(()) => {
            if from != EntryId::default() {
                tracing::warn!(group = shared.group, %from, "the group was gone and has been made again; what was not settled is read again, and may come twice");
            }
            Ok(Some(from))
        }
    }
}

/// What was noted of a group that is gone; the beginning if that is of no use, because the stream is another one since.
async fn settled_up_to(shared: &Shared, connection: &mut MultiplexedConnection) -> RedisResult<EntryId> {
    let noted: Option<String> = redis::cmd("GET").arg(&shared.keys.settled).query_async(connection).await?;
    let stream = found(redis::cmd("XINFO").arg("STREAM").arg(&shared.stream).query_async(connection).await)?;
    let last = stream.as_ref().and_then(|stream| EntryId::of(field(stream, "last-generated-id")?));
    let noted = noted.and_then(|id| EntryId::parse(id.as_bytes()));
    Ok(noted.filter(|id| last >= Some(*id)).unwrap_or_default())
}

/// The consumers of a group; none when stream or group are not there.
pub(super) async fn consumers(connection: &mut MultiplexedConnection, stream: &str, group: &str) -> RedisResult<Vec<Consumer>> {
    let reply: RedisResult<Value> = redis::cmd("XINFO").arg("CONSUMERS").arg(stream).arg(group).query_async(connection).await;
    Ok(found(reply)?.as_ref().map_or(&[][..], items).iter().filter_map(consumer).collect())
}

fn consumer(value: &Value) -> Option<Consumer> {
    Some(Consumer {
        name: String::from_utf8_lossy(bytes(field(value, "name")?)?).into_owned(),
        idle: Duration::from_millis(number(field(value, "idle")?)?),
        pending: number(field(value, "pending")?)?,
        idle_is_exact: field(value, "inactive").is_some(),
    })
}

/// The names of a stream's groups; none when it is not there.
async fn groups(connection: &mut MultiplexedConnection, stream: &str) -> RedisResult<Vec<String>> {
    let reply: RedisResult<Value> = redis::cmd("XINFO").arg("GROUPS").arg(stream).query_async(connection).await;
    Ok(found(reply)?.as_ref().map_or_else(Vec::new, names))
}

/// The names in a reply to `XINFO GROUPS`.
fn names(groups: &Value) -> Vec<String> {
    let name = |group: &Value| Some(String::from_utf8_lossy(bytes(field(group, "name")?)?).into_owned());
    items(groups).iter().filter_map(name).collect()
}

/// The last entry that the group called `name` has handed to anybody, by a reply to `XINFO GROUPS`.
pub(super) fn last_delivered(groups: &Value, name: &str) -> Option<EntryId> {
    EntryId::of(field(called(groups, name)?, "last-delivered-id")?)
}

/// The last entry that the group has handed to anybody.
pub(super) async fn delivered_up_to(shared: &Shared, connection: &mut MultiplexedConnection) -> RedisResult<EntryId> {
    let groups: Value = redis::cmd("XINFO").arg("GROUPS").arg(&shared.stream).query_async(connection).await?;
    Ok(last_delivered(&groups, &shared.group).unwrap_or_default())
}

/// The clock of Redis, and the id of the first entry after one: without its fields, which may be large.
static NEXT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local next = redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', 1)[1]
return {redis.call('TIME'), next and next[1] or ''}",
    )
});

/// When comes what comes after `last`, in milliseconds of the clock of Redis: when the first entry was published, or now.
pub(super) async fn next_ms(shared: &Shared, connection: &mut MultiplexedConnection, last: EntryId) -> RedisResult<u64> {
    let (time, next): (Value, Value) = NEXT.key(&shared.stream).arg(last.to_string()).invoke_async(connection).await?;
    let now_ms = time_ms(&time).unwrap_or(0);
    Ok(EntryId::of(&next).map_or(now_ms, |next| next.ms.min(now_ms)))
}

fn called<'a>(groups: &'a Value, name: &str) -> Option<&'a Value> {
    items(groups).iter().find(|group| field(group, "name").and_then(bytes) == Some(name.as_bytes()))
}

/// How far a group is behind.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Backlog {
    /// Entries that it has handed to nobody yet; `None` when the server does not say (before Redis 7, or after entries were deleted).
    pub lag: Option<u64>,
    /// Entries that it has handed out and that are not acknowledged.
    pub pending: Option<u64>,
    /// Entries that it was ever given, or has been made behind; `None` when the server does not know.
    pub given: Option<u64>,
}

/// How far the group called `name` is behind, by a reply to `XINFO GROUPS`.
pub(super) fn backlog(groups: &Value, name: &str) -> Backlog {
    let count = |key| number(field(called(groups, name)?, key)?);
    Backlog {
        lag: count("lag"),
        pending: count("pending"),
        given: count("entries-read"),
    }
}

/// Whether an error says that there is no such stream or group.
pub(super) fn is_missing(error: &RedisError) -> bool {
    // In a pipeline the answer stands inside another error.
    error.code() == Some("NOGROUP") || ["NOGROUP", "no such key"].iter().any(|word| error.to_string().contains(word))
}

/// A reply about a stream or group; `None` when there is no such thing (`ERR no such key`, `NOGROUP`).
pub(super) fn found(reply: RedisResult<Value>) -> RedisResult<Option<Value>> {
    match reply {
        Err(error) if is_missing(&error) => Ok(None),
        other => other.map(Some),
    }
}

/// Removes a consumer, unless something is pending for it: `XGROUP DELCONSUMER` throws that away. Looking and removing are one step.
const REMOVE_IF_EMPTY: &str = r"
if #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) == 0 then
  return redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
end
return -1";

/// Removes the consumer `name` if it has nothing pending.
pub(super) async fn remove_if_empty(shared: &Shared, connection: &mut MultiplexedConnection, name: &str) -> RedisResult<()> {
    Script::new(REMOVE_IF_EMPTY).key(&shared.stream).arg(&shared.group).arg(name).invoke_async::<i64>(connection).await.map(drop)
}

/// Takes our consumer out of the group, on a clean end, if nothing is left pending for it.
pub(super) async fn leave(shared: &Shared) {
    let leaving = async {
        let mut connection = shared.connector.connect().await?;
        shared.lease.give_back(shared, &mut connection).await?;
        remove_if_empty(shared, &mut connection, &shared.consumer).await
    };
    if let Err(error) = leaving.await {
        tracing::debug!(error = shared.connector.explain(&error), "the consumer stays in the group; the next start removes it");
    }
}
