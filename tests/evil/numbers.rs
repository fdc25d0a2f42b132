//! At an attack wants ten thousand counters, as many gauges, and some whose names no number may have.

use meshtrace_plugin::{Batch, Description, Exporter, Outcome, export_exporter, metrics};

struct Numbers;

impl Exporter for Numbers {
    fn describe() -> Description {
        Description::new("numbers", "1")
    }

    fn init(_config: &str) -> Result<Self, String> {
        Ok(Numbers)
    }

    fn export(&mut self, batch: &Batch) -> Outcome {
        if evil::is_attack(batch, "numbers") {
            for number in 0..10_000 {
                metrics::add(&format!("counter_{number}"), u64::MAX);
                metrics::set(&format!("gauge_{number}"), f64::NAN);
            }
            let long = "x".repeat(65);
            let huge = "x".repeat(1_000_000);
            for name in ["", "Upper", "white space", "new\nline", "quo\"te", "{}", "schön", &long, &huge] {
                metrics::add(name, 1);
                metrics::set(name, 1.0);
            }
            // These belong to the other kind.
            metrics::add("gauge_0", 1);
            metrics::set("counter_0", 1.0);
        }
        evil::take_all(batch)
    }
}

export_exporter!(Numbers);
