//! Logs twenty thousand lines at an attack, then prints as many, then logs one that is very long.

use meshtrace_plugin::{Batch, Description, Exporter, Level, Outcome, export_exporter, log};

struct LogFlood;

impl Exporter for LogFlood {
    fn describe() -> Description {
        Description::new("log-flood", "1")
    }

    fn init(_config: &str) -> Result<Self, String> {
        Ok(LogFlood)
    }

    fn export(&mut self, batch: &Batch) -> Outcome {
        if evil::is_attack(batch, "log-flood") {
            let line = "x".repeat(1_000);
            (0..20_000).for_each(|_| log(Level::Info, &line));
            (0..20_000).for_each(|_| println!("{line}"));
            log(Level::Error, &line.repeat(1_000));
        }
        evil::take_all(batch)
    }
}

export_exporter!(LogFlood);
