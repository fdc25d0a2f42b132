//! Notes how long after its last span each trace came.

use std::time::SystemTime;

use meshtrace_plugin::{Batch, Description, Exporter, Outcome, Report, export_exporter};

/// Milliseconds that are told apart; what is later counts as that.
const MAX_MS: usize = 120_000;

struct Lag {
    /// Traces by milliseconds.
    counts: Vec<u32>,
    traces: u64,
}

impl Exporter for Lag {
    fn describe() -> Description {
        Description::new("lag", "1")
    }

    fn init(_config: &str) -> Result<Self, String> {
        Ok(Lag { counts: vec![0; MAX_MS + 1], traces: 0 })
    }

    fn export(&mut self, batch: &Batch) -> Outcome {
        let now = SystemTime::now();
        for trace in batch.traces() {
            let Some(last) = trace.spans().filter_map(|span| span.end()).max() else { continue };
            let late_ms = now.duration_since(last).unwrap_or_default().as_millis();
            self.counts[usize::try_from(late_ms).unwrap_or(MAX_MS).min(MAX_MS)] += 1;
            self.traces += 1;
        }
        Outcome::Delivered
    }
}

impl Lag {
    /// So many of a thousand traces came within this many milliseconds.
    fn within_ms(&self, per_mille: u64) -> usize {
        let mut left = self.traces * per_mille / 1_000;
        self.counts
            .iter()
            .position(|count| {
                left = left.saturating_sub(u64::from(*count));
                left == 0
            })
            .unwrap_or(MAX_MS)
    }
}

impl Report for Lag {
    fn report(&mut self) -> Result<String, String> {
        let [p50, p99] = [500, 990].map(|per_mille| self.within_ms(per_mille));
        Ok(format!("{{\"traces\":{},\"p50_ms\":{p50},\"p99_ms\":{p99}}}", self.traces))
    }
}

export_exporter!(Lag, report);
