//! What has to be known before dead letters are written: who leads, what has been written, and what the entries are. One round trip, and one reply of
//! bounded size.

use std::sync::LazyLock;

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Script, Value};

use super::super::Shared;
use super::super::journal::Lines;
use super::super::reply::{EntryId, entry, items};
use crate::model::Receipt;

/// Entries of one portion. Each is a command of the transaction that writes them.
pub(super) const PORTION_ENTRIES: usize = 1_000;
/// Bytes of the entries of one portion; one that has more goes alone.
pub(super) const PORTION_BYTES: usize = 8 * 1024 * 1024;

/// The last id of the stream of dead letters (empty when there is none), and the fields of the entries with these ids, in their order: none for one that is
/// gone. It ends before the entry that makes it more than so many bytes. Not the entries that `XINFO STREAM` shows: they may be large.
static LOOK: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local last = ''
if redis.call('EXISTS', KEYS[2]) == 1 then
  local about = redis.call('XINFO', 'STREAM', KEYS[2])
  for at = 1, #about, 2 do
    if about[at] == 'last-generated-id' then last = about[at + 1] end
  end
end
local found, bytes = {}, 0
for number = 2, #ARGV do
  local entry = redis.call('XRANGE', KEYS[1], ARGV[number], ARGV[number])[1]
  local fields = entry and entry[2] or {}
  for at = 1, #fields do bytes = bytes + #fields[at] + 16 end
  if number > 2 and bytes > tonumber(ARGV[1]) then break end
  found[#found + 1] = fields
end
return {last, found}",
    )
});

/// What Redis knew at one moment.
#[derive(Debug)]
pub(super) struct Look {
    /// The last leader's token.
    pub leader: Option<String>,
    /// Which portion this leader has written last.
    pub buried: Option<String>,
    /// How many ids the stream of dead letters has left, as far as that can be near an end.
    pub ids_left: u64,
    found: Found,
}

/// What came of the entries that were asked for.
#[derive(Debug)]
enum Found {
    /// A reply to `XRANGE`, if it was asked for.
    One(Option<Value>),
    /// The fields of each of the first ones.
    Several(Vec<Value>),
}

impl Look {
    /// The fields of the first of the entries that were asked for, as many as fit; `None` for one that the log has no longer.
    pub fn found(&self) -> Vec<Option<&[Value]>> {
        match &self.found {
            Found::One(reply) => vec![reply.as_ref().and_then(|reply| entry(items(reply).first()?)?.1)],
            Found::Several(found) => found.iter().map(|fields| Some(items(fields)).filter(|fields| !fields.is_empty())).collect(),
        }
    }
}

/// Looks, and from now on watches who leads and the stream of dead letters. A key that cannot take what will be written is an error here: the transaction
/// would do all the rest without it, and would be made again and again.
pub(super) async fn look(
    shared: &Shared,
    connection: &mut MultiplexedConnection,
    lines: &Lines,
    receipts: &[Receipt],
) -> RedisResult<Look> {
    let mut looking = redis::pipe();
    looking.cmd("WATCH").arg(&shared.keys.leader).arg(&shared.dead_stream).ignore();
    looking.cmd("XLEN").arg(&shared.dead_stream).ignore();
    looking.cmd("ZCARD").arg(&shared.keys.minutes).ignore();
    for (minute, _) in lines.minutes() {
        looking.cmd("STRLEN").arg(shared.keys.minute(minute)).ignore();
    }
    looking.cmd("HGET").arg(&shared.keys.leader).arg("token");
    looking.cmd("HGET").arg(&shared.keys.leader).arg("buried");
    let mut script = LOOK.key(&shared.stream);
    script.key(&shared.dead_stream).arg(PORTION_BYTES);
    let alone = if let [receipt] = receipts { Some(receipt) } else { None };
    for receipt in receipts.iter().take(if alone.is_some() { 0 } else { PORTION_ENTRIES }) {
        script.arg(receipt.to_string());
    }
    // In the same breath, so it has to be known there.
    looking.load_script(&LOOK).ignore();
    looking.invoke_script(&script);
    // One that is alone may be no span event, and anything else: as much as a reply may have, in so many fields that a script would take long. One that is
    // known to be too large is not asked for.
    let asked = alone.filter(|receipt| !shared.is_unread(EntryId::of_receipt(receipt)));
    if let Some(receipt) = asked {
        looking.cmd("XRANGE").arg(&shared.stream).arg(receipt.to_string()).arg(receipt.to_string());
    }
    let mut replies: Vec<Value> = looking.query_async(connection).await?;
    let one = asked.and_then(|_| replies.pop());
    let (last, several): (String, Vec<Value>) = redis::from_redis_value(replies.pop().unwrap_or(Value::Nil))?;
    let buried = redis::from_redis_value(replies.pop().unwrap_or(Value::Nil))?;
    let leader = redis::from_redis_value(replies.pop().unwrap_or(Value::Nil))?;
    let found = if alone.is_some() { Found::One(one) } else { Found::Several(several) };
    let ids_left = EntryId::parse(last.as_bytes()).map_or(u64::MAX, ids_left);
    Ok(Look { leader, buried, ids_left, found })
}

/// How many ids follow this one, as far as that can be near an end.
fn ids_left(last: EntryId) -> u64 {
    if last.ms < u64::MAX { u64::MAX } else { u64::MAX - last.seq }
}
