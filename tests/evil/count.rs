//! Writes each trace it takes down, a line each, in the directory that it sees as `/out`; carries over how many it and its predecessors took.
//! No attacker: it counts what attacks on others, and swaps, cost.

use std::fs::OpenOptions;
use std::io::Write;

use meshtrace_plugin::{Batch, Description, Exporter, Outcome, Report, State, export_exporter};

struct Count {
    taken: u64,
}

impl Exporter for Count {
    fn describe() -> Description {
        Description::new("count", "1")
    }

    fn init(_config: &str) -> Result<Self, String> {
        Ok(Count { taken: 0 })
    }

    fn export(&mut self, batch: &Batch) -> Outcome {
        let lines: String = batch.traces().map(|trace| format!("{}\n", trace.id_text())).collect();
        let file = OpenOptions::new().create(true).append(true).open("/out/taken");
        match file.and_then(|mut file| file.write_all(lines.as_bytes())) {
            Ok(()) => {
                self.taken += batch.len() as u64;
                Outcome::Delivered
            }
            Err(_) => Outcome::retry(),
        }
    }
}

impl Report for Count {
    fn report(&mut self) -> Result<String, String> {
        Ok(format!("{{\"taken\":{}}}", self.taken))
    }
}

impl State for Count {
    fn snapshot(&mut self) -> Vec<u8> {
        self.taken.to_be_bytes().to_vec()
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), String> {
        self.taken = u64::from_be_bytes(snapshot.try_into().map_err(|_| "8 bytes were expected".to_owned())?);
        Ok(())
    }
}

export_exporter!(Count, report, state);
