//! Publishers that keep a short stream: what they trim before the group has been given it is gone for good, and nobody is to blame but them. What a host had been
//! given is gone if that host ended or led no more, or if the reply was lost on its way: then it has counted the entry. What is trimmed later, or while a host
//! holds it, is no excuse for anything.
//!
//! Which of these it was, Redis writes down in the same step in which it trims: it survives lost replies and restarts.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use redis::{Commands, Connection, RedisResult, Script};

use super::server::in_order;
use crate::support::redis_server::{GROUP, STREAM};

/// Entries that were pending when they were trimmed, each with the milliseconds since 1970 at which it was.
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
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, info in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  local about = {}
  for at = 1, #info, 2 do about[info[at]] = info[at + 1] end
  if about.name == group then
    last = about['last-delivered-id']
    for _, row in ipairs(redis.call('XPENDING', stream, group, before, '(' .. after, 1000000)) do
      redis.call('HSET', KEYS[2], row[1], string.format('%d', now))
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
    /// While they were pending for a host that has ended since, or leads no more.
    abandoned: BTreeSet<String>,
    /// While they were pending for a host that still leads.
    held: BTreeSet<String>,
    unread: Vec<(String, String)>,
}

/// How an entry went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// Nobody can have it.
    ForGood,
    /// A host had been given it that still leads: unless the reply was lost, that host has it.
    FromAHost,
}

impl Trimmed {
    /// As Redis wrote it down. `still_leads` tells whether the host that led at a moment has led ever since.
    pub fn read(connection: &mut Connection, still_leads: impl Fn(Timestamp) -> bool) -> Trimmed {
        let pending: BTreeMap<String, i64> = connection.hgetall(PENDING).expect("HGETALL");
        let at = |ms: i64| Timestamp::from_millisecond(ms).expect("a time");
        let (held, abandoned): (Vec<_>, Vec<_>) = pending.into_iter().partition(|(_, ms)| still_leads(at(*ms)));
        let ids = |entries: Vec<(String, i64)>| entries.into_iter().map(|(entry, _)| entry).collect();
        let ranges: Vec<String> = connection.lrange(UNREAD, 0, -1).expect("LRANGE");
        let bounds = |range: &String| range.split_once(' ').map(|(last, after)| (last.to_owned(), after.to_owned()));
        Trimmed {
            abandoned: ids(abandoned),
            held: ids(held),
            unread: ranges.iter().map(|range| bounds(range).expect("two ids")).collect(),
        }
    }

    #[cfg(test)]
    pub fn of(abandoned: &[&str], held: &[&str]) -> Trimmed {
        let ids = |entries: &[&str]| entries.iter().map(|entry| (*entry).to_owned()).collect();
        Trimmed {
            abandoned: ids(abandoned),
            held: ids(held),
            unread: Vec::new(),
        }
    }

    /// How this entry went; `None`: it is there, or was settled.
    pub fn gone(&self, entry: &str) -> Option<Gone> {
        let id = in_order(entry);
        if self.abandoned.contains(entry) || self.unread.iter().any(|(last, after)| in_order(last) < id && id < in_order(after)) {
            return Some(Gone::ForGood);
        }
        self.held.contains(entry).then_some(Gone::FromAHost)
    }

    /// Entries that were pending.
    pub fn pending(&self) -> usize {
        self.abandoned.len() + self.held.len()
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
        let before = Timestamp::now();
        let trimmed = Trimmed::read(&mut connection, |at| at > before);
        assert!(settled.iter().chain(&entries[25..]).all(|entry| trimmed.gone(entry).is_none()), "{trimmed:?}");
        assert!(pending.iter().chain(unread).all(|entry| trimmed.gone(entry) == Some(Gone::ForGood)), "{trimmed:?}");
        let trimmed = Trimmed::read(&mut connection, |at| at <= before);
        assert!(pending.iter().all(|entry| trimmed.gone(entry) == Some(Gone::FromAHost)), "{trimmed:?}");
        assert!(unread.iter().all(|entry| trimmed.gone(entry) == Some(Gone::ForGood)) && trimmed.pending() == 5, "{trimmed:?}");
    }
}
