//! What an instance may take of memory and tables, all of its own together.

use wasmtime::ResourceLimiter;

use super::Limits;

/// Memories, tables and instances of one component, at most: real ones have a handful (a toolchain's adapter brings its own).
const PARTS: usize = 64;

#[derive(Debug)]
pub(super) struct Limiter {
    memory_left: usize,
    table_left: usize,
}

impl Limiter {
    pub fn new(limits: &Limits) -> Limiter {
        Limiter {
            memory_left: limits.memory_bytes,
            table_left: limits.table_elements,
        }
    }
}

/// Takes what is asked for beyond `current` out of what is `left`, if there is so much.
fn take(left: &mut usize, current: usize, desired: usize) -> bool {
    let more = desired.saturating_sub(current);
    let enough = more <= *left;
    if enough {
        *left -= more;
    }
    enough
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(take(&mut self.memory_left, current, desired))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(take(&mut self.table_left, current, desired))
    }

    fn instances(&self) -> usize {
        PARTS
    }

    fn tables(&self) -> usize {
        PARTS
    }

    fn memories(&self) -> usize {
        PARTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_memories_share_one_limit() {
        let limits = Limits { memory_bytes: 100, ..Limits::default() };
        let mut limiter = Limiter::new(&limits);
        assert!(limiter.memory_growing(0, 60, None).is_ok_and(|granted| granted));
        assert!(limiter.memory_growing(0, 60, None).is_ok_and(|granted| !granted));
        assert!(limiter.memory_growing(60, 100, None).is_ok_and(|granted| granted));
        assert!(limiter.memory_growing(0, 1, None).is_ok_and(|granted| !granted));
    }
}
