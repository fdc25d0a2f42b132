//! What only the leader may do to the group, each in one step with the question whether it still leads.
//!
//! A process may be paused anywhere, also between asking and doing; so it is Redis that compares the token, in the same script. Whoever was paused past
//! its lease, and somebody else has led meanwhile, changes nothing. Reading alone cannot be fenced like that (a script cannot wait for entries); what a former
//! leader is still given is pending for it, and the leader looks for it with each read (`strays`).

use std::sync::LazyLock;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, RedisResult, Script, ServerErrorKind};

use super::Shared;
use super::journal::Lines;
use super::lease::Term;
use super::reply::{EntryId, IdText};
use crate::model::Receipt;

/// What came of something that only the leader may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fenced<T> {
    /// It was done.
    Done(T),
    /// Nothing was done: Redis does not know this token as the last leader's.
    Refused,
}

/// Whether the last leader is `token`. Whoever takes the lease by a new token is written down there in the same step. Without that key (somebody has
/// removed it), the lease tells.
pub(super) const LEADS: &str = r"
local function leads(lease, leader, token)
  return (redis.call('HGET', leader, 'token') or redis.call('GET', lease)) == token
end";

/// Acknowledges, and journals. Acknowledging comes first: it takes no memory, and after such a write a Redis without memory lets a script go on. What
/// cannot be journalled (a key is of another type) is acknowledged all the same; the answer is 0 then. What ids are hashed by is written again where somebody
/// has removed it: nobody could read the journal without.
static SETTLE: LazyLock<Script> = LazyLock::new(|| {
    let body = r"
if not leads(KEYS[1], KEYS[2], ARGV[1]) then return -1 end
local first = 5 + 2 * (#KEYS - 5)
for from = first, #ARGV, 1000 do
  redis.call('XACK', KEYS[3], ARGV[2], unpack(ARGV, from, math.min(from + 999, #ARGV)))
end
local journalled = true
local function try(...)
  local result = redis.pcall(...)
  if type(result) ~= 'table' or not result.err then return result end
  journalled = false
end
if #KEYS > 5 and ARGV[4] ~= '' and redis.pcall('GET', KEYS[5]) ~= ARGV[4] then try('SET', KEYS[5], ARGV[4]) end
for number = 6, #KEYS do
  local at = 2 * number - 7
  local length = try('APPEND', KEYS[number], ARGV[at])
  if length == #ARGV[at] then try('ZADD', KEYS[4], ARGV[at + 1], ARGV[at + 1]) end
  if length then try('PEXPIRE', KEYS[number], ARGV[3]) end
end
local settled = try('HINCRBY', KEYS[2], 'settled', 1)
return journalled and settled or 0";
    Script::new(&format!("{LEADS}{body}"))
});

/// Claims, without counting it as a delivery.
static CLAIM: LazyLock<Script> = LazyLock::new(|| {
    let body = r"
if not leads(KEYS[1], KEYS[2], ARGV[1]) then return -1 end
local claim = {ARGV[2], ARGV[3], 0}
for number = 4, #ARGV do claim[number] = ARGV[number] end
claim[#claim + 1] = 'JUSTID'
redis.call('XCLAIM', KEYS[3], unpack(claim))
return 0";
    Script::new(&format!("{LEADS}{body}"))
});

/// Acknowledges these entries and journals these decisions; says whether the journal has them.
pub(super) async fn settle<'a>(
    shared: &Shared,
    connection: &mut MultiplexedConnection,
    term: &Term,
    receipts: impl Iterator<Item = &'a Receipt>,
    lines: &Lines,
) -> RedisResult<Fenced<bool>> {
    let keys = &shared.keys;
    // The library's own way makes two pieces of memory of each argument, and of these there are thousands.
    let mut settle = redis::cmd("EVALSHA");
    settle.arg(SETTLE.get_hash()).arg(5 + lines.minutes().count());
    settle.arg(&keys.lease).arg(&keys.leader).arg(&shared.stream).arg(&keys.minutes).arg(&keys.id_key);
    for (minute, _) in lines.minutes() {
        settle.arg(keys.minute(minute));
    }
    settle.arg(&*term.token).arg(&shared.group).arg(shared.journal.lasts_ms());
    settle.arg(shared.id_key().as_ref().map_or(&[][..], |key| &key[..]));
    for (minute, bytes) in lines.minutes() {
        settle.arg(bytes).arg(minute);
    }
    let mut text = IdText::default();
    for receipt in receipts {
        settle.arg(text.of(receipt.ms, receipt.seq));
    }
    let before = shared.lease.settled_so_far();
    let settled: i64 = evaluate(&SETTLE, &settle, connection).await?;
    let Ok(settled) = u64::try_from(settled) else { return Ok(Fenced::Refused) };
    if settled > 0 {
        // Counted already, if nothing was forgotten.
        shared.lease.settled(term, before + 1, settled);
    }
    Ok(Fenced::Done(settled > 0))
}

/// What comes of a command that names this script; Redis is given the script if it does not know it.
async fn evaluate(script: &Script, command: &Cmd, connection: &mut MultiplexedConnection) -> RedisResult<i64> {
    match command.query_async(connection).await {
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
            script.load_async(connection).await?;
            command.query_async(connection).await
        }
        evaluated => evaluated,
    }
}

/// Makes these entries pending for us, whoever they were pending for. At most a few thousand.
pub(super) async fn claim(
    shared: &Shared,
    connection: &mut MultiplexedConnection,
    term: &Term,
    ids: &[EntryId],
) -> RedisResult<Fenced<()>> {
    let keys = &shared.keys;
    let mut claim = CLAIM.key(&keys.lease);
    claim.key(&keys.leader).key(&shared.stream).arg(&*term.token).arg(&shared.group).arg(&shared.consumer);
    for id in ids {
        claim.arg(id.to_string());
    }
    let done: i64 = claim.invoke_async(connection).await?;
    Ok(if done < 0 { Fenced::Refused } else { Fenced::Done(()) })
}
