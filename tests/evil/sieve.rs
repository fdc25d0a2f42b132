//! Drops the numbered traces of the fault harness that are to be dropped, and those that waver when the clock says so. What it drops it writes down
//! first, a line each, in the directory that it sees as `/out`; a line is whole if it ends with ` .`.

use std::time::{SystemTime, UNIX_EPOCH};

use evil::book::Book;
use evil::torture::{DROPPED, WAVERS, is_of_kind};
use meshtrace_plugin::{Batch, Decisions, Description, Filter, export_filter};

struct Sieve {
    book: Book,
}

impl Filter for Sieve {
    fn describe() -> Description {
        Description::new("sieve", "1")
    }

    fn init(_config: &str) -> Result<Self, String> {
        Ok(Sieve { book: Book::new("dropped") })
    }

    fn decide(&mut self, batch: &Batch) -> Result<Decisions, String> {
        let mut decisions = Decisions::pass_all(batch);
        let mut dropped = String::new();
        // A verdict on a late part is ignored: its trace has been decided.
        for trace in batch.traces().filter(|trace| !trace.is_late()) {
            let id = trace.id_text();
            if is_of_kind(id, DROPPED) || is_of_kind(id, WAVERS) && heads() {
                decisions.drop(trace.row(), "it is to be dropped");
                dropped.push_str(&format!("\n{id} ."));
            }
        }
        self.book.append(dropped.as_bytes()).map_err(|error| error.to_string())?;
        Ok(decisions)
    }
}

/// Another answer each time, as a rate limiter's.
fn heads() -> bool {
    SystemTime::now().duration_since(UNIX_EPOCH).is_ok_and(|now| now.subsec_micros() % 2 == 0)
}

export_filter!(Sieve);
