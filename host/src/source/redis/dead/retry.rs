//! Dead letters back to the stream.

use redis::RedisResult;
use redis::aio::MultiplexedConnection;

use super::letter::{END, OWN};
use crate::decode::RETRY_FIELD;

/// The most fields of an entry that can be put back: the script hands them on as so many arguments, and Lua has room for 8,000. Far beyond what a span
/// may have.
pub const FIELDS_MAX: usize = 3_000;

/// Moves those dead letters that are still there, all of one trace. One step for everybody else, and one that is made again finds nothing to move: so no
/// entry is lost, and none comes twice. What Redis may refuse (memory, permissions, a key of another type) it refuses before anything has been written.
const RETRY: &str = r"
local stream, dead = KEYS[1], KEYS[2]
local own, separator, marker, value = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

-- The entry that a dead letter was: its fields without ours, behind the marker.
local function entry(fields)
  local at = 1
  while fields[at] and string.sub(fields[at], 1, #own) == own do
    at = at + 2
    if fields[at - 2] == separator then break end
  end
  local found = {marker, value}
  for key = at, #fields, 2 do
    if fields[key] ~= marker then
      found[#found + 1] = fields[key]
      found[#found + 1] = fields[key + 1]
    end
  end
  return found
end

redis.call('XDEL', dead, '0-0')
local put = 0
for number = 5, #ARGV do
  local letter = redis.call('XRANGE', dead, ARGV[number], ARGV[number])[1]
  local fields = letter and entry(letter[2]) or {}
  if #fields > 2 then
    redis.call('XADD', stream, '*', unpack(fields))
    redis.call('XDEL', dead, ARGV[number])
    put = put + 1
  end
end
return put";

/// Says how many of `ids` were moved. The first stands for this retry: no other retry of the trace ever has it first.
pub(super) async fn retry(connection: &mut MultiplexedConnection, stream: &str, dead_stream: &str, ids: &[&str]) -> RedisResult<usize> {
    let Some(first) = ids.first() else { return Ok(0) };
    let script = redis::Script::new(RETRY);
    let mut call = script.key(stream);
    call.key(dead_stream).arg(OWN).arg(END).arg(RETRY_FIELD).arg(*first).arg(ids);
    call.invoke_async(connection).await
}
