//! Entries to the stream of dead letters.

use std::sync::LazyLock;
use std::sync::atomic::Ordering;

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisResult, Script, Value};

use super::super::Shared;
use super::super::fence::Fenced;
use super::super::journal::Lines;
use super::super::lease::Term;
use super::super::reply::{EntryId, bytes, entry, items, push};
use super::DEAD_MAX;
use super::letter::{END, OWN};
use crate::decode;
use crate::source::{Batch, Fate, Settlement};

/// The last id of the stream of dead letters; empty when there is no such stream. Not the entries that `XINFO STREAM` shows: they may be large.
static LAST: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
if redis.call('EXISTS', KEYS[1]) == 0 then return '' end
local about = redis.call('XINFO', 'STREAM', KEYS[1])
for at = 1, #about, 2 do
  if about[at] == 'last-generated-id' then return about[at + 1] end
end
return ''",
    )
});

/// Writes the entries of `settlement` to the dead-letter stream, each with why and where from, and acknowledges them, in one step.
///
/// Entries that the log has lost meanwhile (agents trim it) are written as the host's own account of their trace. Of one that was too large to be read
/// there is nothing but its id and why: neither we nor the stream of dead letters should hold it.
///
/// It is a transaction and not a script, because a script cannot hand on an entry of more than some 8,000 fields. It watches the key that a new leader
/// writes, on a connection that nobody else uses at the same time: if somebody takes the lead before it is made, it is not made.
pub(in super::super) async fn bury(
    shared: &Shared,
    connection: &mut MultiplexedConnection,
    term: &Term,
    settlement: &Settlement,
) -> RedisResult<Fenced<()>> {
    let Fate::Dead { stage, plugin, reason, trace } = &settlement.fate else { return Ok(Fenced::Done(())) };
    let (leader, ids_left, replies) = look(shared, connection, settlement).await?;
    if leader.as_deref() != Some(&*term.token) {
        return Ok(Fenced::Refused);
    }
    let list = &settlement.receipts.list;
    let found = || replies.iter().zip(list).map(|(reply, receipt)| (receipt, fields_of(reply)));
    let gone = found().filter(|(_, fields)| fields.is_none()).count();
    let mut moving = redis::pipe();
    moving.atomic();
    moving.cmd("XLEN").arg(&shared.dead_stream);
    let mut added = 0;
    let mut add = |about: (&str, String), fields: &[&[u8]]| {
        let add = moving.cmd("XADD").arg(&shared.dead_stream).arg("MAXLEN").arg("~").arg(DEAD_MAX).arg("*");
        add.arg(about.0).arg(about.1).arg("dead:stage").arg(*stage).arg("dead:reason").arg(reason.as_str());
        if let Some(plugin) = plugin {
            add.arg("dead:plugin").arg(plugin.as_str());
        }
        if fields.first().is_some_and(|key| key.starts_with(OWN.as_bytes())) {
            add.arg(END).arg("");
        }
        add.arg(fields).ignore();
        added += 1;
    };
    let account = trace.as_ref().filter(|_| gone > 0);
    for (receipt, fields) in found().filter(|(_, fields)| fields.is_some() || account.is_none()) {
        let fields: Vec<&[u8]> = fields.unwrap_or_default().iter().filter_map(bytes).collect();
        add(("dead:entry", receipt.to_string()), &fields);
    }
    if let Some(trace) = account {
        let mut batch = Batch::default();
        for (receipt, fields) in found() {
            push(&mut batch, EntryId::of_receipt(receipt), 0, fields.unwrap_or_default());
        }
        for account in decode::missing(trace, batch) {
            let fields: Vec<&[u8]> = account.iter().flat_map(|(key, value)| [key.as_bytes(), value.as_bytes()]).collect();
            add(("dead:rebuilt", format!("{gone} of {} entries had left the log", replies.len())), &fields);
        }
    }
    if ids_left < added {
        let why = format!("{} has no ids left: rename it, or remove it when its letters are not wanted any more", shared.dead_stream);
        return Err((ErrorKind::Client, "dead letters cannot be written", why).into());
    }
    let ack = moving.cmd("XACK").arg(&shared.stream).arg(&shared.group);
    for receipt in list {
        ack.arg(receipt.to_string());
    }
    moving.ignore();
    for (minute, bytes) in lines(shared, settlement).minutes() {
        let key = shared.keys.minute(minute);
        moving.cmd("APPEND").arg(&key).arg(bytes).ignore();
        moving.cmd("PEXPIRE").arg(&key).arg(shared.journal.lasts_ms()).ignore();
        moving.cmd("ZADD").arg(&shared.keys.minutes).arg(minute).arg(minute).ignore();
    }
    moving.cmd("XLEN").arg(&shared.dead_stream);
    moving.cmd("HINCRBY").arg(&shared.keys.leader).arg("settled").arg(1);
    let before = shared.lease.settled_so_far();
    let done = moving.query_async::<Option<(u64, u64, u64)>>(connection).await?;
    let Some((length_before, length, settled)) = done else { return Ok(Fenced::Refused) };
    shared.lease.settled(term, before + 1, settled);
    let lost = (length_before + added).saturating_sub(length);
    shared.status.dead_letters_lost.fetch_add(lost, Ordering::Relaxed);
    if let [receipt] = &list[..] {
        shared.forget_unread(EntryId::of_receipt(receipt));
    }
    Ok(Fenced::Done(()))
}

/// A trace that nobody took was decided all the same: what comes late of it is no new trace.
fn lines(shared: &Shared, settlement: &Settlement) -> Lines {
    let mut lines = Lines::default();
    settlement.receipts.mark.into_iter().for_each(|mark| lines.add(mark, false, shared.ahead_ms()));
    lines
}

/// Who leads, from now on watched, how many ids the stream of dead letters has left, and a reply for each receipt. A key that cannot take what will be written is an error here: the transaction would do
/// all the rest without it, and would be made again and again. A stream of dead letters without ids left would be the same, and is watched, too.
async fn look(
    shared: &Shared,
    connection: &mut MultiplexedConnection,
    settlement: &Settlement,
) -> RedisResult<(Option<String>, u64, Vec<Value>)> {
    let mut looking = redis::pipe();
    looking.cmd("WATCH").arg(&shared.keys.leader).arg(&shared.dead_stream).ignore();
    looking.cmd("XLEN").arg(&shared.dead_stream).ignore();
    looking.cmd("ZCARD").arg(&shared.keys.minutes).ignore();
    for (minute, _) in lines(shared, settlement).minutes() {
        looking.cmd("STRLEN").arg(shared.keys.minute(minute)).ignore();
    }
    looking.cmd("HGET").arg(&shared.keys.leader).arg("token");
    for receipt in &settlement.receipts.list {
        if shared.is_unread(EntryId::of_receipt(receipt)) {
            // In the place of its reply.
            looking.cmd("ECHO").arg("");
            continue;
        }
        looking.cmd("XRANGE").arg(&shared.stream).arg(receipt.to_string()).arg(receipt.to_string());
    }
    let mut replies: Vec<Value> = looking.query_async(connection).await?;
    let leader = redis::from_redis_value(replies.remove(0))?;
    let last: String = LAST.key(&shared.dead_stream).invoke_async(connection).await?;
    let left = EntryId::parse(last.as_bytes()).map_or(u64::MAX, ids_left);
    Ok((leader, left, replies))
}

/// How many ids follow this one, as far as that can be near an end.
fn ids_left(last: EntryId) -> u64 {
    if last.ms < u64::MAX { u64::MAX } else { u64::MAX - last.seq }
}

fn fields_of(reply: &Value) -> Option<&[Value]> {
    items(reply).first().and_then(entry)?.1
}
