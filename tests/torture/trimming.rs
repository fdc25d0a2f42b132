//! Publishers that keep a short stream: what they trim before the group has settled it is gone for good, and nobody is to blame but them. What they trim
//! afterwards is no excuse for anything.
//!
//! Which of the two it was, Redis writes down in the same step in which it trims: it survives lost replies and restarts.

use std::collections::BTreeSet;

use redis::{Commands, Connection, RedisResult, Script};

use super::server::in_order;
use crate::support::redis_server::{GROUP, STREAM};

/// Entries that were pending when they were trimmed.
const PENDING: &str = "trimmed:pending";
/// Ranges of those that had not been read: the last entry that had been given to the group, and the first that was left.
const UNREAD: &str = "trimmed:unread";

/// Trims, and notes what of that was not settled. Of a stream without a group nothing was.
const TRIM: &str = r"
local stream, group, length = KEYS[1], ARGV[1], ARGV[2]
local function first()
  local found = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)
  return found[1] and found[1][1]
end
local before = first()
if not before then return 0 end
local count = redis.call('XTRIM', stream, 'MAXLEN', '~', length)
local after = first()
if count == 0 or not after then return count end
local last = '0-0'
for _, info in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  local about = {}
  for at = 1, #info, 2 do about[info[at]] = info[at + 1] end
  if about.name == group then
    last = about['last-delivered-id']
    for _, row in ipairs(redis.call('XPENDING', stream, group, before, '(' .. after, 1000000)) do
      redis.call('SADD', KEYS[2], row[1])
    end
  end
end
redis.call('RPUSH', KEYS[3], last .. ' ' .. after)
return count";

/// Lets publishers' stream keep about so many entries; says how many went.
pub fn trim(connection: &mut Connection, length: usize) -> RedisResult<u64> {
    Script::new(TRIM).key(STREAM).key(PENDING).key(UNREAD).arg(GROUP).arg(length).invoke(connection)
}

/// What was trimmed before it was settled.
#[derive(Debug, Default)]
pub struct Trimmed {
    pending: BTreeSet<String>,
    unread: Vec<(String, String)>,
}

impl Trimmed {
    /// As Redis wrote it down.
    pub fn read(connection: &mut Connection) -> Trimmed {
        let ranges: Vec<String> = connection.lrange(UNREAD, 0, -1).expect("LRANGE");
        let bounds = |range: &String| range.split_once(' ').map(|(last, after)| (last.to_owned(), after.to_owned()));
        Trimmed {
            pending: connection.smembers(PENDING).expect("SMEMBERS"),
            unread: ranges.iter().map(|range| bounds(range).expect("two ids")).collect(),
        }
    }

    /// Whether this entry was.
    pub fn has(&self, entry: &str) -> bool {
        let id = in_order(entry);
        self.pending.contains(entry) || self.unread.iter().any(|(last, after)| in_order(last) < id && id < in_order(after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::events::{numbered_traces, publish};
    use crate::support::foreign::read_and_leave;
    use crate::support::redis_server::{RedisServer, entry_ids, make_group};

    #[test]
    fn what_was_settled_when_it_was_trimmed_is_no_excuse() {
        // Whole nodes are trimmed.
        let redis = RedisServer::start_with(&["--stream-node-max-entries", "5"]);
        let mut connection = redis.connect();
        make_group(&mut connection);
        let entries = publish(&mut connection, STREAM, &numbered_traces(10).1);
        read_and_leave(&redis, "meshtrace-a-1", 15);
        let (settled, pending, unread) = (&entries[..10], &entries[10..15], &entries[15..25]);
        connection.xack::<_, _, _, ()>(STREAM, GROUP, settled).expect("XACK");
        assert_eq!(trim(&mut connection, 5).expect("it trims"), 25);
        assert_eq!(entry_ids(&mut connection), entries[25..]);
        // Read and settled since, as a host does with what is gone.
        connection.xack::<_, _, _, ()>(STREAM, GROUP, pending).expect("XACK");
        read_and_leave(&redis, "meshtrace-a-1", 5);
        assert_eq!(trim(&mut connection, 5).expect("it finds nothing to trim"), 0);
        let trimmed = Trimmed::read(&mut connection);
        assert!(settled.iter().chain(&entries[25..]).all(|entry| !trimmed.has(entry)), "{trimmed:?}");
        assert!(pending.iter().chain(unread).all(|entry| trimmed.has(entry)), "{trimmed:?}");
    }
}
