//! How many bytes of traces may be on their way from the correlator to their end: through the filters, and in the queues of the exporters that they wait for.
//!
//! Who takes a share gives it back by dropping it, so whatever becomes of a trace, its share comes back with its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Shares are counted in units of so many bytes.
const UNIT: usize = 1024;

/// Bytes that several may use together.
#[derive(Debug)]
pub struct Budget {
    room: Arc<Semaphore>,
    units: u32,
    waits: AtomicU64,
}

/// A part of a budget; none by default.
#[derive(Debug, Default)]
pub struct Share(Option<OwnedSemaphorePermit>);

impl Budget {
    /// One of so many bytes, in KiB, one at least.
    pub fn new(bytes: usize) -> Budget {
        let units = units(bytes);
        Budget {
            room: Arc::new(Semaphore::new(units as usize)),
            units,
            waits: AtomicU64::new(0),
        }
    }

    /// What is taken for so many bytes: whole KiB.
    pub fn rounded(bytes: usize) -> usize {
        units(bytes) as usize * UNIT
    }

    /// How many bytes there are in all.
    pub fn max_bytes(&self) -> usize {
        self.units as usize * UNIT
    }

    /// How many bytes are taken now.
    pub fn used_bytes(&self) -> usize {
        self.max_bytes() - self.room.available_permits().min(self.units as usize) * UNIT
    }

    /// How often somebody had to wait for his share.
    pub fn waits(&self) -> u64 {
        self.waits.load(Ordering::Relaxed)
    }

    /// Waits until there is room. Who wants more than there is in all gets all.
    pub async fn take(&self, bytes: usize) -> Share {
        if let Some(share) = self.try_take(bytes) {
            return share;
        }
        self.waits.fetch_add(1, Ordering::Relaxed);
        // The semaphore is never closed.
        Share(Arc::clone(&self.room).acquire_many_owned(self.share_of(bytes)).await.ok())
    }

    /// Takes a share if there is room now.
    pub fn try_take(&self, bytes: usize) -> Option<Share> {
        let taken = Arc::clone(&self.room).try_acquire_many_owned(self.share_of(bytes));
        taken.ok().map(|permit| Share(Some(permit)))
    }

    fn share_of(&self, bytes: usize) -> u32 {
        units(bytes).min(self.units)
    }
}

impl Share {
    /// Both as one; they are of one budget.
    pub fn join(&mut self, other: Share) {
        match (&mut self.0, other.0) {
            (Some(own), Some(other)) => own.merge(other),
            (own @ None, other) => *own = other,
            (Some(_), None) => {}
        }
    }

    /// As much of it as so many bytes need, or all that there is.
    pub fn split(&mut self, bytes: usize) -> Share {
        let Some(own) = &mut self.0 else { return Share::default() };
        let wanted = units(bytes) as usize;
        Share(if own.num_permits() <= wanted { self.0.take() } else { own.split(wanted) })
    }
}

/// The units that so many bytes need, one at least.
fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn shares_come_back_and_never_come_to_more_than_there_is() {
        let budget = Budget::new(10 * UNIT);
        let mut all = budget.take(7 * UNIT + 1).await;
        assert_eq!((budget.used_bytes(), budget.try_take(3 * UNIT).is_none()), (8 * UNIT, true));
        let part = all.split(5 * UNIT);
        drop(all);
        assert_eq!(budget.used_bytes(), 5 * UNIT);
        let mut both = budget.take(1).await;
        both.join(part);
        both.join(Share::default());
        assert_eq!((budget.used_bytes(), budget.waits()), (6 * UNIT, 0));
        let (all, ()) = tokio::join!(budget.take(usize::MAX), async { drop(both) });
        assert_eq!(
            (budget.used_bytes(), budget.waits()),
            (10 * UNIT, 1),
            "who wants more than there is gets all of it, when nobody else has any"
        );
        drop(all);
        assert_eq!(budget.used_bytes(), 0);
    }
}
