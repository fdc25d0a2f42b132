//! One meshtrace reads a group at a time: whoever holds the lease. Others stand by.
//!
//! The lease is a key with an end, kept alive beside the reading, so that a reader that waits for an exporter does not lose it. A holder that
//! dies leaves it to end by itself. What a holder that was paused past the end of its lease was just writing can only become a duplicate.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::Shared;

/// The lease ends this long after it was last kept alive.
const LASTS: Duration = Duration::from_secs(4);
/// It is kept alive this often, and whoever stands by looks this often.
pub(super) const KEEP_EVERY: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Takes the lease if it is free or ours: 2 taken, 1 kept, 0 somebody else's.
const TAKE: &str = r"
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return 1
elseif not holder then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return 2
end
return 0";

/// Gives it back if it is ours.
const GIVE_BACK: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

/// How a lease was got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// Nobody else can have read since we did.
    Still,
    /// Somebody else may have: what is pending has to be looked through.
    Anew,
}

/// Whether we lead.
#[derive(Debug, Default)]
pub(super) struct Lease {
    ours: AtomicBool,
    lost: Notify,
}

impl Lease {
    /// Waits until the lease is ours.
    pub async fn acquire(&self, shared: &Shared, connection: &mut MultiplexedConnection) -> RedisResult<Held> {
        let had = self.ours.load(Ordering::Acquire);
        let mut told = false;
        while take(shared, connection).await? == 0 {
            self.ours.store(false, Ordering::Release);
            if !told {
                tracing::info!(group = shared.group, "another meshtrace leads this group, or did until just now; standing by");
                told = true;
            }
            sleep(LOOK_EVERY).await;
        }
        self.ours.store(true, Ordering::Release);
        Ok(if had && !told { Held::Still } else { Held::Anew })
    }

    /// Keeps it alive, if it is ours; whoever waits for [`Lease::lost`] hears when it has gone to somebody else.
    pub async fn keep(&self, shared: &Shared, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        if self.ours.load(Ordering::Acquire) && take(shared, connection).await? == 0 {
            self.ours.store(false, Ordering::Release);
            self.lost.notify_one();
        }
        Ok(())
    }

    /// Waits until the lease has gone to somebody else.
    pub async fn lost(&self) {
        self.lost.notified().await;
    }

    /// Gives it back, on a clean end.
    pub async fn give_back(&self, shared: &Shared, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let script = redis::Script::new(GIVE_BACK);
        script.key(key(shared)).arg(&shared.consumer).invoke_async::<i64>(connection).await.map(drop)
    }
}

async fn take(shared: &Shared, connection: &mut MultiplexedConnection) -> RedisResult<i64> {
    let lasts = LASTS.as_millis() as u64;
    redis::Script::new(TAKE).key(key(shared)).arg(&shared.consumer).arg(lasts).invoke_async(connection).await
}

/// One lease per stream and group; it carries the stream's hash tag, so that one script may touch both in a cluster.
fn key(shared: &Shared) -> String {
    format!("{}:lease:{}", super::tagged(&shared.stream), shared.group)
}
