//! Panics at the state of its predecessor, and reports 17 MiB.

use meshtrace_plugin::{Batch, Description, Exporter, Outcome, Report, State, export_exporter};

struct RestoreTraps;

impl Exporter for RestoreTraps {
    fn describe() -> Description {
        Description::new("restore-traps", "1")
    }

    fn init(_config: &str) -> Result<Self, String> {
        Ok(RestoreTraps)
    }

    fn export(&mut self, batch: &Batch) -> Outcome {
        evil::take_all(batch)
    }
}

impl Report for RestoreTraps {
    fn report(&mut self) -> Result<String, String> {
        Ok(format!("\"{}\"", "x".repeat(17 << 20)))
    }
}

impl State for RestoreTraps {
    fn snapshot(&mut self) -> Vec<u8> {
        b"some".to_vec()
    }

    fn restore(&mut self, _snapshot: &[u8]) -> Result<(), String> {
        panic!("that was not mine")
    }
}

export_exporter!(RestoreTraps, report, state);
