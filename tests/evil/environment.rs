//! Says all that it finds in its environment and among its arguments at an attack.

use meshtrace_plugin::{Batch, Description, Exporter, Level, Outcome, export_exporter, log};

struct Environment;

impl Exporter for Environment {
    fn describe() -> Description {
        Description::new("environment", "1")
    }

    fn init(_config: &str) -> Result<Self, String> {
        Ok(Environment)
    }

    fn export(&mut self, batch: &Batch) -> Outcome {
        if evil::is_attack(batch, "environment") {
            let found: Vec<String> = std::env::vars().map(|(name, value)| format!("{name}={value}")).chain(std::env::args()).collect();
            log!(Level::Info, "found {found:?}");
        }
        evil::take_all(batch)
    }
}

export_exporter!(Environment);
