//! Reads everything, and notes the longest time that it was left without a call. What it knows of its last call is carried over to its next instance, so
//! the time that a swap takes counts as any other.

use std::time::{SystemTime, UNIX_EPOCH};

use meshtrace_plugin::{Batch, Description, Exporter, Outcome, Report, State, export_exporter};

struct Gaps {
    traces: u64,
    sum: u64,
    /// When the last call began, nanoseconds since 1970: a clock of this instance's own would say nothing to the next one.
    called_ns: u64,
    /// The longest time from the beginning of one call to that of the next, since the last report.
    longest_ns: u64,
    /// Calls since the last report.
    calls: u64,
}

impl Gaps {
    fn numbers(&mut self) -> [&mut u64; 5] {
        [&mut self.traces, &mut self.sum, &mut self.called_ns, &mut self.longest_ns, &mut self.calls]
    }
}

impl Exporter for Gaps {
    fn describe() -> Description {
        Description::new("gaps", "1")
    }

    fn init(_config: &str) -> Result<Self, String> {
        Ok(Gaps {
            traces: 0,
            sum: 0,
            called_ns: 0,
            longest_ns: 0,
            calls: 0,
        })
    }

    fn export(&mut self, batch: &Batch) -> Outcome {
        let now_ns = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        if self.called_ns > 0 {
            self.longest_ns = self.longest_ns.max(now_ns.saturating_sub(self.called_ns));
        }
        self.called_ns = now_ns;
        self.calls += 1;
        self.sum = self.sum.wrapping_add(bench_guests::everything(batch));
        self.traces += batch.len() as u64;
        Outcome::Delivered
    }
}

impl Report for Gaps {
    /// What has been since the last report, but for `traces`, which are all.
    fn report(&mut self) -> Result<String, String> {
        let Gaps { traces, sum, longest_ns, calls, .. } = self;
        let report = format!("{{\"traces\":{traces},\"calls\":{calls},\"longest_ns\":{longest_ns},\"sum\":\"{sum:016x}\"}}");
        (self.longest_ns, self.calls) = (0, 0);
        Ok(report)
    }
}

impl State for Gaps {
    fn snapshot(&mut self) -> Vec<u8> {
        self.numbers().into_iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), String> {
        for (number, bytes) in self.numbers().into_iter().zip(snapshot.chunks_exact(8)) {
            *number = u64::from_le_bytes(bytes.try_into().map_err(|_| "eight bytes are a number")?);
        }
        Ok(())
    }
}

export_exporter!(Gaps, report, state);
