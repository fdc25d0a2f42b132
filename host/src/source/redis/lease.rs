//! One meshtrace reads a group at a time: whoever holds the lease. Others stand by.
//!
//! The lease is a key with an end, kept alive beside the reading, so that a reader that waits for an exporter does not lose it. A holder that dies leaves it
//! to end by itself. It holds a **fencing token**, another one for each time that somebody takes the lead after somebody else may have had it. A second key,
//! without an end, remembers the last leader's token. So a leader whose lease has ended (it was paused, or Redis was) can tell whether anybody has led
//! meanwhile: if nobody has, it takes the lease again by the same token and goes on with all that it holds; if somebody has, its token is worth nothing any
//! more, and `fence` lets it settle nothing.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Script};
use tokio::sync::watch;
use tokio::time::sleep;

use super::Shared;
use crate::source::{Role, SourceState};

/// The lease ends this long after it was last kept alive.
const LASTS: Duration = Duration::from_secs(4);
/// It is kept alive this often.
pub(super) const KEEP_EVERY: Duration = Duration::from_secs(1);
/// Whoever stands by looks this often.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Nothing is read in the last part of a lease: the request may take a while, and what it is given when somebody else leads, that one has to claim first.
const MARGIN: Duration = Duration::from_secs(1);

/// Keeps the lease alive, or takes it again where it has ended and nobody else has led: 1, and how often the leader has settled something; or 0, and the
/// token of whoever leads or has led. First comes a write that takes no memory: after one, a Redis without memory lets a script go on.
static KEEP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local lease, leader, mine = KEYS[1], KEYS[2], ARGV[1]
redis.call('PERSIST', leader)
local holder, last = redis.call('GET', lease), redis.call('HGET', leader, 'token')
if (holder and holder ~= mine) or (last and last ~= mine) then
  return {0, holder or last, 0}
end
redis.call('SET', lease, mine, 'PX', ARGV[2])
if not last then
  redis.call('HSET', leader, 'token', mine, 'epoch', (string.match(mine, '^%d+')))
end
return {1, mine, tonumber(redis.call('HGET', leader, 'settled') or '0')}",
    )
});

/// Takes the lease if nobody has it: 1 and a new token, or 0 and the token of whoever has it, whose lease then lasts no longer than a lease does: the clock of
/// Redis may have been set back, or somebody may have taken its end away. A lease of ours counts as nobody's: who asks here has nothing that
/// belongs to it.
static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local lease, leader, me = KEYS[1], KEYS[2], ':' .. ARGV[1]
redis.call('PERSIST', leader)
local holder = redis.call('GET', lease)
if holder and string.sub(holder, -#me) ~= me then
  local left = redis.call('PTTL', lease)
  if left < 0 or left > tonumber(ARGV[2]) then redis.call('PEXPIRE', lease, ARGV[2]) end
  return {0, holder}
end
local epoch = math.max(tonumber(redis.call('HGET', leader, 'epoch') or '0'), tonumber(ARGV[3])) + 1
local token = string.format('%d', epoch) .. me
redis.call('SET', lease, token, 'PX', ARGV[2])
redis.call('HSET', leader, 'token', token, 'epoch', string.format('%d', epoch), 'settled', '0')
return {1, token}",
    )
});

/// Gives it back if it is ours.
static GIVE_BACK: LazyLock<Script> =
    LazyLock::new(|| Script::new("if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"));

/// A leadership of ours.
#[derive(Debug, Clone)]
pub(super) struct Term {
    /// Its number within this process, which goes with every receipt.
    pub epoch: u32,
    /// By what Redis knows it.
    pub token: Arc<str>,
}

/// Whether we lead.
#[derive(Debug)]
pub(super) struct Lease(watch::Sender<State>);

#[derive(Debug, Default)]
struct State {
    /// Counts leaderships, and the times between them.
    epoch: u32,
    /// The number in the last token that we had.
    number: u64,
    /// The token by which we lead.
    token: Option<Arc<str>>,
    /// When the last request was sent that kept the lease alive.
    kept: Option<Instant>,
    /// How often we have settled something by this token, as far as Redis has said.
    settled: u64,
    /// Redis has forgotten settlements that it had confirmed.
    forgetful: bool,
}

impl State {
    fn is(&self, term: &Term) -> bool {
        self.epoch == term.epoch && self.token.is_some()
    }
}

impl Default for Lease {
    fn default() -> Lease {
        Lease(watch::Sender::new(State::default()))
    }
}

impl Lease {
    /// The leadership that we have, as far as we know.
    pub fn term(&self) -> Option<Term> {
        let state = self.0.borrow();
        let token = Arc::clone(state.token.as_ref()?);
        Some(Term { epoch: state.epoch, token })
    }

    /// Counts leaderships, and the times between them.
    pub fn epoch(&self) -> u32 {
        self.0.borrow().epoch
    }

    /// Waits until we lead, and says by which leadership: the same as before if nobody else has led meanwhile. `stands_by` is called whenever Redis has
    /// said that somebody else has the lease.
    pub async fn acquire(&self, shared: &Shared, connection: &mut MultiplexedConnection, mut stands_by: impl FnMut()) -> RedisResult<Term> {
        if let Some(term) = self.term()
            && self.keep(shared, connection).await?
        {
            return Ok(term);
        }
        let mut told = false;
        loop {
            shared.vigil.ask();
            let (sent, number) = (Instant::now(), self.0.borrow().number);
            let mut take = TAKE.key(&shared.keys.lease);
            take.key(&shared.keys.leader).arg(&shared.consumer).arg(LASTS.as_millis() as u64).arg(number);
            let (taken, token): (i64, String) = take.invoke_async(connection).await?;
            // Behind it: if it took long, because Redis stood still, whoever leads now has to know.
            shared.vigil.look(connection).await?;
            if taken == 1 {
                return Ok(self.begin(shared, &token, sent));
            }
            stands_by();
            if !std::mem::replace(&mut told, true) {
                tracing::info!(
                    group = shared.group,
                    leader = name_in(&token),
                    "another meshtrace leads this group, or did until just now; standing by"
                );
                shared.status.set_state(SourceState::StandingBy);
            }
            shared.status.set_role(Role::Standby, name_in(&token));
            sleep(LOOK_EVERY).await;
        }
    }

    fn begin(&self, shared: &Shared, token: &str, sent: Instant) -> Term {
        self.0.send_modify(|state| {
            *state = State {
                epoch: state.epoch + 1,
                number: token.split(':').next().and_then(|number| number.parse().ok()).unwrap_or(0),
                token: Some(token.into()),
                kept: Some(sent),
                ..State::default()
            };
        });
        shared.status.leadership.begin(self.epoch());
        tracing::info!(group = shared.group, token, "leading this group");
        shared.status.set_role(Role::Leader, &shared.consumer);
        Term { epoch: self.epoch(), token: token.into() }
    }

    /// Keeps the lease alive, or takes it again where it has ended and nobody else has led. False: we do not lead, or no longer.
    pub async fn keep(&self, shared: &Shared, connection: &mut MultiplexedConnection) -> RedisResult<bool> {
        let Some(term) = self.term() else { return Ok(false) };
        let (sent, settled) = (Instant::now(), self.0.borrow().settled);
        let mut keep = KEEP.key(&shared.keys.lease);
        keep.key(&shared.keys.leader).arg(&*term.token).arg(LASTS.as_millis() as u64);
        let (ours, token, settled_now): (i64, String, u64) = keep.invoke_async(connection).await?;
        if ours == 0 {
            self.lose(shared, &term, name_in(&token));
            return Ok(false);
        }
        self.0.send_if_modified(|state| {
            if state.is(&term) {
                state.kept = state.kept.max(Some(sent));
            }
            false
        });
        self.settled(&term, settled, settled_now);
        Ok(true)
    }

    /// Notes how often we have settled something: `before` was known when Redis was asked, and `now` is its answer. Less than before: it was started from
    /// an older state, or another server has taken its place, and what it has forgotten is pending again.
    pub fn settled(&self, term: &Term, before: u64, now: u64) {
        self.0.send_if_modified(|state| {
            if state.is(term) && now < before {
                tracing::warn!(
                    "Redis has forgotten acknowledgements that it had confirmed; what is pending is read again, and may come twice"
                );
                (state.settled, state.forgetful) = (now, true);
            } else if state.is(term) {
                state.settled = state.settled.max(now);
            }
            false
        });
    }

    /// How often we have settled something by our token, as far as Redis has said.
    pub fn settled_so_far(&self) -> u64 {
        self.0.borrow().settled
    }

    /// Whether Redis has forgotten settlements since this was last asked.
    pub fn has_forgotten(&self) -> bool {
        let mut forgetful = false;
        self.0.send_if_modified(|state| {
            forgetful = std::mem::take(&mut state.forgetful);
            false
        });
        forgetful
    }

    /// Whether nobody else can lead for a while, by our own clock.
    pub fn is_sure(&self) -> bool {
        self.0.borrow().kept.is_some_and(|kept| kept.elapsed() < LASTS - MARGIN)
    }

    /// Ends a leadership of ours, of which nothing is to count any more. The lease stays ours, and is to be acquired again, by another token.
    pub fn begin_anew(&self, shared: &Shared, term: &Term) {
        self.end(shared, term);
    }

    /// False if it had ended already.
    fn end(&self, shared: &Shared, term: &Term) -> bool {
        let ended = self.0.send_if_modified(|state| {
            let ends = state.is(term);
            if ends {
                (state.token, state.kept, state.epoch) = (None, None, state.epoch + 1);
            }
            ends
        });
        if ended {
            shared.status.leadership.begin(self.epoch());
        }
        ended
    }

    fn lose(&self, shared: &Shared, term: &Term, leader: &str) {
        if self.end(shared, term) {
            tracing::warn!(
                group = shared.group,
                leader,
                "another meshtrace has taken the lead of this group; standing by, and dropping what is held"
            );
            shared.status.set_state(SourceState::StandingBy);
            shared.status.set_role(Role::Standby, leader);
        }
    }

    /// Waits until we lead.
    pub async fn gained(&self) {
        // It does not end before the lease does.
        let _ = self.0.subscribe().wait_for(|state| state.token.is_some()).await;
    }

    /// Waits until a leadership of ours has been lost to somebody else.
    pub async fn lost(&self) {
        let mut state = self.0.subscribe();
        // Neither ends before the lease does.
        let _ = state.wait_for(|state| state.token.is_some()).await;
        let _ = state.wait_for(|state| state.token.is_none()).await;
    }

    /// Gives it back, on a clean end.
    pub async fn give_back(&self, shared: &Shared, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let Some(term) = self.term() else { return Ok(()) };
        GIVE_BACK.key(&shared.keys.lease).arg(&*term.token).invoke_async::<i64>(connection).await.map(drop)
    }
}

/// Whose token it is: the name of a consumer.
fn name_in(token: &str) -> &str {
    token.split_once(':').map_or(token, |(_, name)| name)
}

// Take-over after a death: the rest of a lease, and a look.
const _: () =
    assert!(LASTS.as_millis() + LOOK_EVERY.as_millis() < 5_000 && KEEP_EVERY.as_millis() + MARGIN.as_millis() < LASTS.as_millis());
