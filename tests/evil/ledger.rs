//! Keeps the books of the fault harness: a line for each part of a numbered trace that it took, with its spans, in the directory that it sees as `/out`.
//! As bad as told: it behaves as the first word of `/mood/mood` says, and what it is to refuse or to die of stands in its config.
//!
//! A line begins with a line break and ends with ` .`, so that one that was cut off by a kill is neither taken for whole nor glued to the next.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::time::Duration;

use evil::torture::{BREAKS, REJECTED, is_numbered, is_of_kind};
use meshtrace_plugin::{Batch, Description, Exporter, Outcome, RowOutcome, Trace, export_exporter};

struct Ledger {
    rejects: bool,
    breaks: bool,
}

impl Exporter for Ledger {
    fn describe() -> Description {
        Description::new("ledger", "1")
    }

    fn init(config: &str) -> Result<Self, String> {
        Ok(Ledger {
            rejects: config.contains("rejects"),
            breaks: config.contains("breaks"),
        })
    }

    fn export(&mut self, batch: &Batch) -> Outcome {
        let broken = self.breaks && batch.traces().any(|trace| is_of_kind(trace.id_text(), BREAKS));
        assert!(!broken, "a trace that nobody survives");
        let mut taken = Vec::new();
        let mut others = Vec::new();
        let mood = fs::read_to_string("/mood/mood").unwrap_or_default();
        match mood.split(' ').next().unwrap_or_default() {
            "refuse" => return Outcome::Retry(50),
            "trap" => panic!("in no mood"),
            "hang" => std::thread::sleep(Duration::from_secs(3_600)),
            "stall" => std::thread::sleep(Duration::from_millis(300)),
            "half" => others.extend(batch.traces().skip(1).step_by(2).map(|trace| RowOutcome::retry(trace.row(), 20, "not these"))),
            _ => {}
        }
        for trace in batch.traces() {
            if self.rejects && is_of_kind(trace.id_text(), REJECTED) {
                others.retain(|other: &RowOutcome| other.trace != trace.row());
                others.push(RowOutcome::reject(trace.row(), "it is to be refused"));
            } else if !others.iter().any(|other| other.trace == trace.row()) && is_numbered(trace.id_text()) {
                taken.extend(line(&trace).into_bytes());
            }
        }
        match append(&taken) {
            Ok(()) => Outcome::all_but(others),
            Err(_) => Outcome::retry(),
        }
    }
}

fn line(trace: &Trace<'_>) -> String {
    let spans: Vec<&str> = trace.spans().map(|span| span.id_text()).collect();
    format!("\n{} {} {} .", trace.id_text(), trace.part(), spans.join(","))
}

fn append(lines: &[u8]) -> std::io::Result<()> {
    OpenOptions::new().create(true).append(true).open("/out/ledger")?.write_all(lines)
}

export_exporter!(Ledger);
