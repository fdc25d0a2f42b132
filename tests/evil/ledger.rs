//! Keeps the books of the fault harness: a line for each part of a numbered trace that it took, with its spans, in the directory that it sees as `/out`.
//! As bad as told: it behaves as the first word of `/mood/mood` says, and what it is to refuse or to die of stands in its config.
//!
//! A line ends with ` .`, so that one that was cut off by a kill is not taken for whole. Each instance has a file of its own: when two write to one, and the
//! first of them is stopped in the middle, what it still has to write comes in the middle of the other's lines.

use std::fs;
use std::time::Duration;

use evil::book::Book;
use evil::torture::{BREAKS, REJECTED, is_numbered, is_of_kind};
use meshtrace_plugin::{Batch, Description, Exporter, Outcome, RowOutcome, Trace, export_exporter};

struct Ledger {
    rejects: bool,
    breaks: bool,
    book: Book,
}

impl Exporter for Ledger {
    fn describe() -> Description {
        Description::new("ledger", "1")
    }

    fn init(config: &str) -> Result<Self, String> {
        Ok(Ledger {
            rejects: config.contains("rejects"),
            breaks: config.contains("breaks"),
            book: Book::new("ledger"),
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
        match self.book.append(&taken) {
            Ok(()) => Outcome::all_but(others),
            Err(_) => Outcome::retry(),
        }
    }
}

fn line(trace: &Trace<'_>) -> String {
    let spans: Vec<&str> = trace.spans().map(|span| span.id_text()).collect();
    format!("\n{} {} {} .", trace.id_text(), trace.part(), spans.join(","))
}

export_exporter!(Ledger);
