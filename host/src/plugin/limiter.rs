//! What an instance may take of memory and tables, all of its own together.

use std::sync::Arc;

use wasmtime::ResourceLimiter;

use super::limits::Quantity;
use super::{Counters, Limit, Limits};

/// Counts what an instance has, and refuses what goes beyond its limits.
#[derive(Debug)]
pub(super) struct Limiter {
    memory: Taken,
    table: Taken,
    parts: usize,
    counters: Arc<Counters>,
    /// What was refused last in the current call.
    pub refused: Option<Refusal>,
}

/// How much of one thing an instance has.
#[derive(Debug)]
struct Taken {
    limit: Limit,
    now: usize,
    max: usize,
}

/// Something that a guest wanted and did not get. It may have an answer to that; mostly it aborts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    pub limit: Limit,
    /// How much it would have had with it.
    wanted: usize,
    max: usize,
}

impl Refusal {
    /// How much more than its limit it wanted: `1 MiB more of memory`.
    pub fn excess(&self) -> String {
        let excess = self.wanted - self.max;
        if self.limit == Limit::Memory {
            format!("{} more of memory", Quantity::Bytes(excess))
        } else {
            format!("{excess} more elements of tables")
        }
    }

    /// How much it would have had: `300 MiB of memory`.
    pub fn total(&self) -> String {
        let total = self.wanted;
        if self.limit == Limit::Memory { format!("{} of memory", Quantity::Bytes(total)) } else { format!("{total} elements of tables") }
    }
}

impl Limiter {
    pub fn new(limits: &Limits, counters: &Arc<Counters>) -> Limiter {
        let taken = |limit, max| Taken { limit, now: 0, max };
        Limiter {
            memory: taken(Limit::Memory, limits.memory_bytes),
            table: taken(Limit::TableElements, limits.table_elements),
            parts: limits.instances,
            counters: Arc::clone(counters),
            refused: None,
        }
    }
}

impl Taken {
    /// Takes what is `desired` beyond `current`, if that is within the limit.
    fn grow(&mut self, current: usize, desired: usize, counters: &Counters) -> Result<(), Refusal> {
        let wanted = self.now.saturating_add(desired.saturating_sub(current));
        if wanted > self.max {
            counters.hit(self.limit);
            return Err(Refusal { limit: self.limit, wanted, max: self.max });
        }
        self.now = wanted;
        Ok(())
    }
}

// What is granted here and fails all the same stays counted: that the guest asked for more than the type of its own memory or table allows is
// seen first, and then it is only the system that can have no more to give.
impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let before = self.memory.now;
        let grown = self.memory.grow(current, desired, &self.counters);
        self.counters.memory_grew(self.memory.now - before);
        self.refused = grown.err().or(self.refused);
        Ok(grown.is_ok())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let grown = self.table.grow(current, desired, &self.counters);
        self.refused = grown.err().or(self.refused);
        Ok(grown.is_ok())
    }

    fn instances(&self) -> usize {
        self.parts
    }

    fn tables(&self) -> usize {
        self.parts
    }

    fn memories(&self) -> usize {
        self.parts
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        self.counters.memory_freed(self.memory.now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(memory_bytes: usize, table_elements: usize) -> Limiter {
        let limits = Limits {
            memory_bytes,
            table_elements,
            ..Limits::default()
        };
        Limiter::new(&limits, &Arc::default())
    }

    fn hits(limiter: &Limiter, limit: Limit) -> u64 {
        limiter.counters.hits().find(|(own, _)| *own == limit).expect("it is counted").1
    }

    #[test]
    fn several_memories_share_one_limit() {
        let mut limiter = limiter(100, 0);
        assert!(limiter.memory_growing(0, 60, None).is_ok_and(|granted| granted));
        assert!(limiter.memory_growing(0, 60, None).is_ok_and(|granted| !granted));
        assert_eq!(limiter.refused.map(|refused| refused.excess()), Some("20 bytes more of memory".into()));
        assert!(limiter.memory_growing(60, 100, None).is_ok_and(|granted| granted));
        assert!(limiter.memory_growing(0, 1, None).is_ok_and(|granted| !granted));
        assert_eq!((hits(&limiter, Limit::Memory), hits(&limiter, Limit::TableElements)), (2, 0));
    }

    #[test]
    fn several_tables_share_one_limit() {
        let mut limiter = limiter(0, 10);
        assert!(limiter.table_growing(0, 10, None).is_ok_and(|granted| granted));
        assert!(limiter.table_growing(0, 1, None).is_ok_and(|granted| !granted));
        assert_eq!(limiter.refused.map(|refused| refused.total()), Some("11 elements of tables".into()));
        assert_eq!((hits(&limiter, Limit::Memory), hits(&limiter, Limit::TableElements)), (0, 1));
    }

    #[test]
    fn what_a_memorys_own_type_forbids_takes_nothing_and_is_no_hit() {
        let mut limiter = limiter(100, 0);
        assert!(limiter.memory_growing(0, 90, Some(80)).is_ok_and(|granted| !granted));
        assert!(limiter.memory_growing(0, 100, Some(100)).is_ok_and(|granted| granted));
        assert_eq!(hits(&limiter, Limit::Memory), 0);
    }

    #[test]
    fn the_memory_of_all_instances_is_counted_until_they_are_dropped() {
        let counters = Arc::<Counters>::default();
        let mut limiters = [(); 2].map(|()| Limiter::new(&Limits::default(), &counters));
        for limiter in &mut limiters {
            assert!(limiter.memory_growing(0, 100, None).is_ok_and(|granted| granted));
        }
        assert_eq!(counters.memory_bytes(), 200);
        drop(limiters);
        assert_eq!(counters.memory_bytes(), 0);
    }
}
