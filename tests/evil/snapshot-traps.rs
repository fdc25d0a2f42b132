//! Panics when it is asked for its state.

use meshtrace_plugin::{Batch, Description, Exporter, Outcome, State, export_exporter};

struct SnapshotTraps;

impl Exporter for SnapshotTraps {
    fn describe() -> Description {
        Description::new("snapshot-traps", "1")
    }

    fn init(_config: &str) -> Result<Self, String> {
        Ok(SnapshotTraps)
    }

    fn export(&mut self, batch: &Batch) -> Outcome {
        evil::take_all(batch)
    }
}

impl State for SnapshotTraps {
    fn snapshot(&mut self) -> Vec<u8> {
        panic!("nothing to carry over")
    }

    fn restore(&mut self, _snapshot: &[u8]) -> Result<(), String> {
        Ok(())
    }
}

export_exporter!(SnapshotTraps, state);
