//! How long the log can still wait. Redis lets go of entries: publishers cut the stream to a length, whether or not anybody has read what goes. A host that
//! runs is not harmed by it, since it holds what it has read; one that is killed cannot read it again.
//!
//! What goes before anybody has read it is gone for good: `unread` counts it.
//!
//! So it is said beforehand how many entries, and seconds, are left until the oldest entry that is not acknowledged goes.

mod unread;

use std::sync::LazyLock;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Script, Value};

use super::dead::DEAD_MAX;
use super::reply::{EntryId, items, number, time_ms};
use super::{Shared, group};
use crate::source::{RestartSafety, SourceState};
use unread::{Gone, Unread};

/// How long nothing is read before that is called a standstill: an entry waits for a moment anyway. Less than the time between two looks.
const STILL: Duration = Duration::from_secs(3);
/// Between two lines of the log about the same.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// A pace that was higher is forgotten by a tenth with each look: bursts come again.
const FORGET: f64 = 0.9;

/// All that is seen at one moment: the server's time, length, first id, last id and entries ever added (-1: the server does not say), the groups, and
/// what is pending. Not the entries that `XINFO STREAM` shows: they may be large.
static LOOK: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local found = { redis.call('TIME'), 0, '', '', -1, {}, {} }
if redis.call('EXISTS', KEYS[1]) == 0 then return found end
local about = redis.call('XINFO', 'STREAM', KEYS[1])
for at = 1, #about, 2 do
  local key, value = about[at], about[at + 1]
  if key == 'length' then found[2] = value
  elseif key == 'first-entry' and value then found[3] = value[1]
  elseif key == 'last-generated-id' then found[4] = value
  elseif key == 'entries-added' then found[5] = value end
end
found[6] = redis.call('XINFO', 'GROUPS', KEYS[1])
for _, group in ipairs(found[6]) do
  for at = 1, #group, 2 do
    if group[at] == 'name' and group[at + 1] == ARGV[1] then found[7] = redis.call('XPENDING', KEYS[1], ARGV[1]) end
  end
end
return found",
    )
});

/// What is seen of the log at one moment.
#[derive(Debug, Clone, Copy, Default)]
struct View {
    now_ms: u64,
    length: u64,
    first: EntryId,
    last: EntryId,
    /// Entries that were ever added.
    added: Option<u64>,
    /// Entries that the group was ever given, as the server counts them.
    given: Option<u64>,
    /// The last entry that it was given.
    delivered: EntryId,
    /// Entries that nobody has been given; `None`: the server does not say.
    lag: Option<u64>,
    /// Entries that were given and are not acknowledged.
    pending: u64,
    /// The oldest entry that is not acknowledged, or the last one before it.
    oldest: Option<EntryId>,
}

/// Remembers from one look to the next.
#[derive(Debug, Default)]
pub(super) struct Safety {
    previous: Option<(Instant, View)>,
    /// Entries a second.
    pace: f64,
    /// Whether publishers have been seen to cut the stream, and at which length.
    cut_at: Option<u64>,
    /// At the last look.
    entries_read: Option<u64>,
    /// Since when something waits and nothing is read.
    still_since: Option<Instant>,
    unread: Unread,
    /// Dead letters that had been pushed out when that was last told.
    letters_lost: u64,
    told: Told,
}

/// When something was last told.
#[derive(Debug, Default)]
struct Told {
    standstill: Option<Instant>,
    close: Option<Instant>,
    gone: Option<Instant>,
    lost: Option<Instant>,
}

impl Safety {
    /// Says so when dead letters have been pushed out of their stream.
    pub fn tell_lost_letters(&mut self, shared: &Shared) {
        let lost = shared.status.dead_letters_lost.load(Ordering::Relaxed);
        if lost > self.letters_lost && due(&mut self.told.lost, Instant::now()) {
            tracing::warn!(
                letters = lost - self.letters_lost,
                stream = shared.dead_stream,
                "dead letters were pushed out by later ones and are lost: the stream keeps about {DEAD_MAX}; meshtrace dead list says what fills it, dead drop makes room"
            );
            self.letters_lost = lost;
        }
    }

    /// Looks at the log, notes how far we are behind and how long it can wait, and says so when that is not long, or when nothing is read. `trimmed`: we have just done so ourselves.
    pub async fn look(&mut self, shared: &Shared, connection: &mut MultiplexedConnection, trimmed: bool) -> RedisResult<()> {
        let Some(view) = view(shared, connection).await? else { return Ok(()) };
        let now = Instant::now();
        if trimmed {
            self.previous = None;
        }
        let safety = self.note(view, now, shared.max_len, shared.retention);
        shared.status.set_backlog(view.lag, Some(view.pending));
        shared.status.set_restart_safety(safety);
        self.tell(shared, safety, view, now);
        self.tell_gone(shared, view, now);
        Ok(())
    }

    /// Counts what is gone unread, and says so.
    fn tell_gone(&mut self, shared: &Shared, view: View, now: Instant) {
        let entries = match self.unread.look(&view) {
            Gone::Nothing => return,
            Gone::Entries(entries) => {
                shared.status.entries_trimmed_unread.fetch_add(entries, Ordering::Relaxed);
                entries.to_string()
            }
            Gone::Unknown => "an unknown number".to_owned(),
        };
        if due(&mut self.told.gone, now) {
            tracing::error!(
                entries,
                counted = shared.status.entries_trimmed_unread.load(Ordering::Relaxed),
                "entries that nobody had read have been trimmed from the stream: their spans are lost. A larger MCP_MESH_TRACE_STREAM_MAXLEN on the agents makes the stream longer"
            );
        }
    }

    fn note(&mut self, view: View, now: Instant, max_len: u64, retention: Duration) -> Option<RestartSafety> {
        if let Some((then, previous)) = self.previous.replace((now, view)) {
            let cut = view.first > previous.first && view.length > 0;
            self.cut_at = if cut { Some(view.length) } else { self.cut_at.filter(|length| view.length <= *length) };
            let seconds = now.saturating_duration_since(then).as_secs_f64();
            let added = match (view.added, previous.added) {
                (Some(now), Some(then)) => now.saturating_sub(then),
                _ => view.length.saturating_sub(previous.length),
            };
            if seconds > 0.0 {
                self.pace = (added as f64 / seconds).max(self.pace * FORGET);
            }
        }
        let oldest = view.oldest?;
        let age = Duration::from_millis(view.now_ms.saturating_sub(oldest.ms));
        let entries = self.limit(&view, max_len).map(|limit| limit.saturating_sub(view.length) + ahead(&view, oldest));
        Some(RestartSafety {
            oldest_age: age,
            entries,
            time: entries.filter(|_| self.pace > 0.0).and_then(|entries| Duration::try_from_secs_f64(entries as f64 / self.pace).ok()),
            retention: (!retention.is_zero()).then(|| retention.saturating_sub(age)),
        })
    }

    /// The length at which publishers cut the stream: as seen, else as they are documented to; unknown when it is longer than that, and nobody cuts it.
    fn limit(&self, view: &View, max_len: u64) -> Option<u64> {
        // They cut it roughly: it may be longer by some nodes.
        self.cut_at.or_else(|| Some(max_len).filter(|limit| *limit > 0 && view.length <= limit + limit / 10))
    }

    /// Whether something could be read, and nothing is: of what is new, or of what an earlier host has left. Not yet when it has only just come.
    fn stands_still(&mut self, state: SourceState, view: View, entries_read: u64, now: Instant) -> bool {
        let waits = match state {
            // How many there are is not always known, but whether there are any is.
            SourceState::Running => view.lag != Some(0),
            SourceState::Recovering => view.pending > 0,
            _ => false,
        };
        let still = self.entries_read.replace(entries_read) == Some(entries_read) && waits;
        self.still_since = still.then(|| self.still_since.unwrap_or(now));
        self.still_since.is_some_and(|since| now.saturating_duration_since(since) >= STILL)
    }

    fn tell(&mut self, shared: &Shared, safety: Option<RestartSafety>, view: View, now: Instant) {
        let snapshot = shared.status.snapshot();
        let stands_still = self.stands_still(snapshot.state, view, snapshot.entries_read, now);
        let seconds = safety.and_then(|safety| safety.time).map_or("unknown".to_owned(), |time| time.as_secs().to_string());
        let entries = safety.and_then(|safety| safety.entries).map_or("unknown".to_owned(), |entries| entries.to_string());
        if stands_still && due(&mut self.told.standstill, now) {
            tracing::warn!(
                lag = view.lag,
                pending = view.pending,
                entries_until_trimmed = entries,
                seconds_until_trimmed = seconds,
                "nothing is read: an exporter that is required, or a filter, takes nothing (/plugins says which); the stream waits in Redis"
            );
        }
        let close = safety.and_then(|safety| safety.time).is_some_and(|time| time < 2 * shared.quiet);
        if close && due(&mut self.told.close, now) {
            tracing::warn!(
                entries_until_trimmed = entries,
                seconds_until_trimmed = seconds,
                "publishers will soon trim entries that are not acknowledged yet; should this process be killed, they could not be read again. A larger MCP_MESH_TRACE_STREAM_MAXLEN on the agents makes the stream longer"
            );
        }
    }
}

/// Whether it is time to say it again.
fn due(told: &mut Option<Instant>, now: Instant) -> bool {
    let due = told.is_none_or(|told| now.saturating_duration_since(told) >= TELL_EVERY);
    if due {
        *told = Some(now);
    }
    due
}

/// Entries that go before `oldest` does, about: by the share of the stream's time before it, and no more than are not waited for.
fn ahead(view: &View, oldest: EntryId) -> u64 {
    let (all, before) = (view.last.ms.saturating_sub(view.first.ms), oldest.ms.saturating_sub(view.first.ms));
    let by_time = if all == 0 { 0 } else { u128::from(view.length) * u128::from(before.min(all)) / u128::from(all) };
    u64::try_from(by_time).unwrap_or(u64::MAX).min(view.length.saturating_sub(view.lag.unwrap_or(0) + view.pending))
}

/// `None` while there is no such stream or group.
async fn view(shared: &Shared, connection: &mut MultiplexedConnection) -> RedisResult<Option<View>> {
    let seen: Value = LOOK.key(&shared.stream).arg(&shared.group).invoke_async(connection).await?;
    let parts = items(&seen);
    let (Some(groups), Some(time)) = (parts.get(5), parts.first()) else { return Ok(None) };
    let Some(delivered) = group::last_delivered(groups, &shared.group) else { return Ok(None) };
    let last = parts.get(3).and_then(EntryId::of).unwrap_or_default();
    let pending = parts.get(6).map_or(&[][..], items);
    let undelivered = (delivered < last).then_some(delivered);
    let backlog = group::backlog(groups, &shared.group);
    Ok(Some(View {
        now_ms: time_ms(time).unwrap_or(0),
        length: parts.get(1).and_then(number).unwrap_or(0),
        first: parts.get(2).and_then(EntryId::of).unwrap_or_default(),
        last,
        added: parts.get(4).and_then(number),
        given: backlog.given,
        delivered,
        // Before 7.2 a server that was restarted counts wrongly; that everything was given it knows.
        lag: undelivered.map_or(Some(0), |_| backlog.lag),
        pending: backlog.pending.unwrap_or(0),
        oldest: pending.get(1).and_then(EntryId::of).or(undelivered),
    }))
}

#[cfg(test)]
mod tests;
