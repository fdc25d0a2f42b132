//! Asks for memory without end at an attack.

use std::arch::wasm32::memory_grow;

use meshtrace_plugin::{Batch, Description, Exporter, Outcome, export_exporter};

struct MemoryBomb;

impl Exporter for MemoryBomb {
    fn describe() -> Description {
        Description::new("memory-bomb", "1")
    }

    fn init(_config: &str) -> Result<Self, String> {
        Ok(MemoryBomb)
    }

    fn export(&mut self, batch: &Batch) -> Outcome {
        while evil::is_attack(batch, "memory-bomb") {
            assert_ne!(memory_grow::<0>(1), usize::MAX, "no more memory");
        }
        evil::take_all(batch)
    }
}

export_exporter!(MemoryBomb);
