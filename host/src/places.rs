//! Who may be connected: so many at one time, and those who only wait give way to those who come.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The places there are.
#[derive(Debug)]
pub struct Places {
    state: Mutex<State>,
    freed: Notify,
    max: usize,
}

#[derive(Debug, Default)]
struct State {
    taken: usize,
    turns: u64,
    /// Those who wait, by their standing and the turn at which they began to: of the first standing there is, the first has waited longest.
    waiting: BTreeMap<(Standing, u64), Arc<Notify>>,
}

/// Who gives way first among those who wait: whoever is less than others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Anybody may be this.
    Stranger,
    /// It has shown that it may be here, or need not show it.
    Known,
}

/// A connection's place, free again when it is dropped. It waits from the start, until it is [`Place::busy`].
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    leave: Arc<Notify>,
    turn: Mutex<Option<(Standing, u64)>>,
}

impl Places {
    pub fn new(max: usize) -> Places {
        Places {
            state: Mutex::default(),
            freed: Notify::new(),
            max,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for somebody of this standing: a free one, else that of whoever has waited longest, strangers first, when they have left. `None` when all
    /// are busy. For one caller at a time.
    pub async fn enter(self: &Arc<Self>, standing: Standing) -> Option<Place> {
        let mut told = false;
        loop {
            {
                let mut state = self.state();
                if state.taken < self.max {
                    state.taken += 1;
                    break;
                }
                if !told {
                    let (_, leave) = state.waiting.pop_first()?;
                    leave.notify_one();
                    told = true;
                }
            }
            self.freed.notified().await;
        }
        let place = Place {
            places: Arc::clone(self),
            leave: Arc::default(),
            turn: Mutex::default(),
        };
        place.waiting(standing);
        Some(place)
    }
}

impl Place {
    /// Waits until somebody else needs it. Whoever waits here must drop the place then.
    pub async fn told_to_leave(&self) {
        self.leave.notified().await;
    }

    /// From now on it need not be left.
    pub fn busy(&self) {
        let mut own = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = own.take() {
            self.places.state().waiting.remove(&turn);
        }
    }

    /// From now on it may have to be left, but not before those that have waited longer, nor before any of a lesser standing.
    pub fn waiting(&self, standing: Standing) {
        self.busy();
        let mut own = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.places.state();
        state.turns += 1;
        let turn = (standing, state.turns);
        state.waiting.insert(turn, Arc::clone(&self.leave));
        *own = Some(turn);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.busy();
        self.places.state().taken -= 1;
        self.places.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Standing::{Known, Stranger};
    use super::*;

    async fn is_told(place: &Place) -> bool {
        tokio::time::timeout(Duration::from_millis(1), place.told_to_leave()).await.is_ok()
    }

    #[tokio::test]
    async fn whoever_has_waited_longest_leaves_first_and_the_busy_never() {
        let places = Arc::new(Places::new(3));
        let (first, second, third) =
            (places.enter(Known).await.unwrap(), places.enter(Known).await.unwrap(), places.enter(Known).await.unwrap());
        first.busy();
        second.waiting(Known);
        let next = tokio::join!(places.enter(Known), async {
            assert!(!is_told(&first).await && !is_told(&second).await);
            assert!(is_told(&third).await, "it has waited since it came, the second only since its last answer");
            drop(third);
        });
        let next = next.0.unwrap();
        second.busy();
        next.busy();
        assert!(places.enter(Known).await.is_none(), "all are busy");
        drop(first);
        assert!(places.enter(Known).await.is_some(), "one has left by itself");
    }

    #[tokio::test]
    async fn strangers_give_way_before_anybody_who_is_known_however_long_that_one_has_waited() {
        let places = Arc::new(Places::new(3));
        let (known, early, late) =
            (places.enter(Known).await.unwrap(), places.enter(Stranger).await.unwrap(), places.enter(Stranger).await.unwrap());
        early.waiting(Known);
        let (next, ()) = tokio::join!(places.enter(Stranger), async {
            assert!(is_told(&late).await);
            drop(late);
        });
        let next = next.unwrap();
        assert!(!is_told(&known).await && !is_told(&early).await);
        next.waiting(Known);
        let (last, ()) = tokio::join!(places.enter(Stranger), async {
            assert!(is_told(&known).await, "where nobody is a stranger, it has waited longest");
            drop(known);
        });
        assert!(last.is_some());
    }

    #[tokio::test]
    async fn one_who_comes_makes_one_leave_and_no_more() {
        let places = Arc::new(Places::new(2));
        let (first, second) = (places.enter(Known).await.unwrap(), places.enter(Known).await.unwrap());
        // Somebody left while nobody came: nothing of that is left over for the next.
        drop(first);
        let third = places.enter(Known).await.unwrap();
        let (fourth, ()) = tokio::join!(places.enter(Known), async {
            assert!(is_told(&second).await);
            drop(second);
        });
        assert!(fourth.is_some() && !is_told(&third).await);
    }
}
