//! Calls itself without end at an attack.

use std::hint::black_box;

use meshtrace_plugin::{Batch, Description, Exporter, Outcome, export_exporter};

struct Recurse;

impl Exporter for Recurse {
    fn describe() -> Description {
        Description::new("recurse", "1")
    }

    fn init(_config: &str) -> Result<Self, String> {
        Ok(Recurse)
    }

    fn export(&mut self, batch: &Batch) -> Outcome {
        if evil::is_attack(batch, "recurse") {
            black_box(deeper(1));
        }
        evil::take_all(batch)
    }
}

#[expect(unconditional_recursion, reason = "that is the attack")]
fn deeper(depth: u64) -> u64 {
    black_box(deeper(black_box(depth + 1))) + 1
}

export_exporter!(Recurse);
