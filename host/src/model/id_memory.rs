//! What is remembered of trace ids when their traces are gone: so long, of so many, in few bytes.

use std::collections::{HashMap, VecDeque};
use std::hash::Hasher as _;

use ahash::RandomState;
use siphasher::sip::SipHasher13;

use super::TraceId;

/// Makes 64 bits of a trace id: by a secret key, so that 5 million ids collide with a chance of one in a million, and not at anybody's will; and always the
/// same by the same key, on every machine and in every version.
#[derive(Clone)]
pub struct IdHasher(SipHasher13);

impl IdHasher {
    /// Hashes by this key.
    pub fn new(key: &[u8; 16]) -> IdHasher {
        IdHasher(SipHasher13::new_with_key(key))
    }

    /// Hashes by a key that nobody knows.
    pub fn random() -> IdHasher {
        IdHasher::new(&IdHasher::random_key())
    }

    /// A key that nobody knows.
    pub fn random_key() -> [u8; 16] {
        // Takes its own keys from the system.
        let random = RandomState::new();
        let mut key = [0; 16];
        key[..8].copy_from_slice(&random.hash_one(0).to_le_bytes());
        key[8..].copy_from_slice(&random.hash_one(1).to_le_bytes());
        key
    }

    /// The hash of `id`.
    pub fn hash(&self, id: &TraceId) -> u64 {
        let mut hasher = self.0;
        match id {
            TraceId::Packed(bytes) => {
                hasher.write(&[0]);
                hasher.write(bytes);
            }
            TraceId::Text(text) => {
                hasher.write(&[1]);
                hasher.write(text.as_bytes());
            }
        }
        hasher.finish()
    }
}

impl std::fmt::Debug for IdHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not with its key.
        f.debug_struct("IdHasher").finish_non_exhaustive()
    }
}

/// Something about each of many ids, by their hashes. The oldest are forgotten: after a time, and when there are too many.
#[derive(Debug)]
pub struct IdMemory<T> {
    by_hash: HashMap<u64, Kept<T>, RandomState>,
    /// `(forget at, hash)` in order of time. An item whose time is not the one that its id is kept until is stale, and ignored when it comes up.
    order: VecDeque<(u64, u64)>,
    keep_ms: u64,
    max: usize,
}

#[derive(Debug)]
struct Kept<T> {
    until_ms: u64,
    what: T,
}

impl<T> IdMemory<T> {
    /// Keeps at most `max` ids, each for `keep_ms` of stream time.
    pub fn new(keep_ms: u64, max: usize) -> IdMemory<T> {
        IdMemory {
            by_hash: HashMap::default(),
            order: VecDeque::new(),
            keep_ms,
            max,
        }
    }

    /// Remembers `what` of an id as of `at_ms` of stream time, in place of what was remembered of it before.
    pub fn remember(&mut self, hash: u64, at_ms: u64, what: T) {
        let until_ms = at_ms.saturating_add(self.keep_ms);
        let before = self.by_hash.insert(hash, Kept { until_ms, what });
        if before.is_none_or(|before| before.until_ms != until_ms) {
            self.order.push_back((until_ms, hash));
        }
        while self.order.len() > self.max {
            self.forget_first();
        }
    }

    /// What is remembered of an id.
    pub fn get(&self, hash: u64) -> Option<&T> {
        self.by_hash.get(&hash).map(|kept| &kept.what)
    }

    /// Forgets an id.
    pub fn forget(&mut self, hash: u64) {
        self.by_hash.remove(&hash);
    }

    /// Forgets what has been kept long enough by `now_ms` of stream time.
    pub fn expire(&mut self, now_ms: u64) {
        while self.order.front().is_some_and(|(until_ms, _)| *until_ms < now_ms) {
            self.forget_first();
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.by_hash = HashMap::default();
        self.order = VecDeque::new();
    }

    /// Ids that are remembered.
    pub fn len(&self) -> usize {
        self.by_hash.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }

    fn forget_first(&mut self) {
        let Some((until_ms, hash)) = self.order.pop_front() else { return };
        if self.by_hash.get(&hash).is_some_and(|kept| kept.until_ms == until_ms) {
            self.by_hash.remove(&hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_depend_on_the_key_and_on_nothing_else() {
        let (id, text) = (TraceId::parse("0af7651916cd43dd8448eb211c80319c"), TraceId::parse("abc123"));
        let hasher = IdHasher::new(&[7; 16]);
        // Written down: what one version has journalled, the next one has to find.
        assert_eq!((hasher.hash(&id), hasher.hash(&text)), (14_671_827_482_902_063_736, 9_930_930_212_508_377_064));
        assert_ne!(hasher.hash(&id), IdHasher::new(&[8; 16]).hash(&id));
        assert_ne!(IdHasher::random().hash(&id), IdHasher::random().hash(&id));
        let as_text = TraceId::parse("0123456789abcdef");
        assert_ne!(hasher.hash(&as_text), hasher.hash(&TraceId::Packed(*b"0123456789abcdef")));
    }

    #[test]
    fn ids_are_forgotten_in_time_and_what_comes_again_counts_anew() {
        let mut memory = IdMemory::new(10, 100);
        memory.remember(1, 0, 'a');
        memory.remember(2, 5, 'b');
        memory.remember(1, 8, 'c');
        memory.expire(16);
        assert_eq!((memory.get(1), memory.get(2), memory.len()), (Some(&'c'), None, 1));
    }

    #[test]
    fn there_are_never_more_than_the_bound_and_the_oldest_go() {
        let mut memory = IdMemory::new(1_000_000, 100);
        for hash in 0..10_000 {
            memory.remember(hash, 0, ());
        }
        assert_eq!((memory.len(), memory.order.len()), (100, 100));
        assert!(memory.get(9_899).is_none() && memory.get(9_900).is_some());
        for at_ms in 0..10_000 {
            memory.remember(1, at_ms, ());
            memory.remember(1, at_ms, ());
        }
        assert_eq!((memory.len(), memory.order.len()), (1, 100), "one that comes again and again takes no more either");
    }

    #[test]
    fn what_is_forgotten_is_gone_and_may_come_again() {
        let mut memory = IdMemory::new(10, 100);
        memory.forget(1);
        memory.remember(1, 0, 'a');
        memory.forget(1);
        assert!(memory.is_empty());
        memory.remember(1, 0, 'b');
        memory.clear();
        assert_eq!((memory.get(1), memory.order.len()), (None, 0));
    }
}
