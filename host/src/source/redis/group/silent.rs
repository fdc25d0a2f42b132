//! Readers that wait and are given nothing.
//!
//! Before Redis 7.2 such a reader looks dead, or is no consumer at all yet; but the list of clients shows that somebody waits in `XREADGROUP`. It does
//! not say in which group. Two things narrow it down: whoever waits has been given everything there is, so a group with entries that nobody has been
//! given has no such reader; and one of those who wait belongs to each other group that is read to its end.

use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use std::time::Duration;

use super::super::connect::CLIENT_NAME;
use super::{Consumer, EntryId, FOREIGN_IDLE, consumers, field, found, last_delivered, names};

/// Who waits in `group`, as far as can be told. A group that was `asked_for` counts as read only if it has a consumer that is not ours.
pub(super) async fn silent_reader(
    connection: &mut MultiplexedConnection,
    stream: &str,
    group: &str,
    asked_for: bool,
) -> RedisResult<Option<String>> {
    let read_to_the_end = read_to_the_end(connection, stream).await?;
    if !read_to_the_end.iter().any(|name| name == group) {
        return Ok(None);
    }
    let consumers = consumers(connection, stream, group).await?;
    if consumers.iter().any(|own| own.idle_is_exact) {
        return Ok(None);
    }
    let mut others = 0;
    for other in read_to_the_end.iter().filter(|name| *name != group) {
        others += usize::from(has_foreign_reader(connection, stream, other).await?);
    }
    let waiting = waiting_clients(connection).await;
    let Some(address) = waiting.get(others) else { return Ok(None) };
    let named = consumers.into_iter().filter(|own| !own.is_ours()).min_by_key(|own| own.idle).map(|own| own.name);
    Ok(named.or_else(|| (!asked_for).then(|| format!("client {address}"))))
}

/// The groups that have been given every entry of the stream.
async fn read_to_the_end(connection: &mut MultiplexedConnection, stream: &str) -> RedisResult<Vec<String>> {
    let about = redis::cmd("XINFO").arg("STREAM").arg(stream).query_async(connection).await;
    let groups = redis::cmd("XINFO").arg("GROUPS").arg(stream).query_async(connection).await;
    let (Some(about), Some(groups)) = (found(about)?, found(groups)?) else { return Ok(Vec::new()) };
    let names = names(&groups);
    let Some(last) = field(&about, "last-generated-id").and_then(EntryId::of) else { return Ok(names) };
    Ok(names.into_iter().filter(|name| last_delivered(&groups, name) >= Some(last)).collect())
}

async fn has_foreign_reader(connection: &mut MultiplexedConnection, stream: &str, group: &str) -> RedisResult<bool> {
    Ok(!consumers(connection, stream, group).await?.iter().all(Consumer::is_ours))
}

/// The addresses of clients in our database whose last command was `XREADGROUP`, lately, and that are not ours.
async fn waiting_clients(connection: &mut MultiplexedConnection) -> Vec<String> {
    // Not everybody may ask; then nothing is known.
    let list: RedisResult<String> = redis::cmd("CLIENT").arg("LIST").query_async(connection).await;
    let Ok(list) = list else { return Vec::new() };
    let value = |line: &str, key: &str| line.split(' ').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('=').map(str::to_owned));
    let ours = |line: &&str| value(line, "name").is_some_and(|name| name == CLIENT_NAME);
    let Some(database) = list.lines().find(ours).and_then(|line| value(line, "db")) else { return Vec::new() };
    let reads = |line: &&str| {
        let idle = value(line, "idle").and_then(|seconds| seconds.parse().ok()).map_or(Duration::MAX, Duration::from_secs);
        value(line, "cmd").as_deref() == Some("xreadgroup") && value(line, "db").as_ref() == Some(&database) && idle < FOREIGN_IDLE
    };
    list.lines().filter(|line| !ours(line)).filter(reads).filter_map(|line| value(line, "addr")).collect()
}
