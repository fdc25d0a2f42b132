//! How many batches may wait for one exporter; may be changed while they do.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Semaphore;

#[derive(Debug)]
pub(super) struct Room {
    places: Semaphore,
    size: Mutex<Size>,
}

#[derive(Debug)]
struct Size {
    places: usize,
    /// Taken places that are not to be given back, since there are fewer now.
    surplus: usize,
}

impl Room {
    pub fn new(places: usize) -> Room {
        Room {
            places: Semaphore::new(places),
            size: Mutex::new(Size { places, surplus: 0 }),
        }
    }

    /// Waits for a place; false when there will be none any more.
    pub async fn enter(&self) -> bool {
        self.places.acquire().await.map(tokio::sync::SemaphorePermit::forget).is_ok()
    }

    /// Takes a place if there is one.
    pub fn try_enter(&self) -> bool {
        self.places.try_acquire().map(tokio::sync::SemaphorePermit::forget).is_ok()
    }

    /// Gives a place back.
    pub fn leave(&self) {
        let mut size = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        if size.surplus > 0 {
            size.surplus -= 1;
        } else {
            self.places.add_permits(1);
        }
    }

    /// From now on there are so many places.
    pub fn resize(&self, places: usize) {
        let mut size = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        if places >= size.places {
            let more = places - size.places;
            let back = more.min(size.surplus);
            size.surplus -= back;
            self.places.add_permits(more - back);
        } else {
            let fewer = size.places - places;
            size.surplus += fewer - self.places.forget_permits(fewer);
        }
        size.places = places;
    }

    pub fn close(&self) {
        self.places.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_may_grow_and_shrink_while_places_are_taken() {
        let room = Room::new(3);
        assert!(room.try_enter() && room.try_enter() && room.try_enter() && !room.try_enter());
        room.resize(1);
        room.leave();
        room.leave();
        assert!(!room.try_enter(), "one place, and it is taken");
        room.leave();
        assert!(room.try_enter() && !room.try_enter());
        room.resize(2);
        assert!(room.try_enter() && !room.try_enter());
        room.resize(1);
        room.resize(2);
        room.leave();
        assert!(room.try_enter() && !room.try_enter());
        room.close();
        room.leave();
        assert!(!room.try_enter());
    }
}
