//! Drops the numbered traces of the fault harness that are to be dropped, and those that waver when the clock says so. What it decides on these it writes
//! down first, a line each with the time and the spans that it was shown, in the directory that it sees as `/out`; a line is whole if it ends with ` .`.
//! As bad as told: it behaves as the first word of `/mood/sieve` says.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
        Ok(Sieve { book: Book::new("decided") })
    }

    fn decide(&mut self, batch: &Batch) -> Result<Decisions, String> {
        let mood = fs::read_to_string("/mood/sieve").unwrap_or_default();
        match mood.split(' ').next().unwrap_or_default() {
            "refuse" => return Err("in no mood".into()),
            "trap" => panic!("in no mood"),
            "hang" => std::thread::sleep(Duration::from_secs(3_600)),
            "stall" => std::thread::sleep(Duration::from_millis(300)),
            _ => {}
        }
        let mut decisions = Decisions::pass_all(batch);
        let mut lines = String::new();
        // A verdict on a late part is ignored: its trace has been decided.
        for trace in batch.traces().filter(|trace| !trace.is_late()) {
            let (id, now) = (trace.id_text(), nanos());
            let wavers = is_of_kind(id, WAVERS);
            // Another answer each time, as a rate limiter's.
            let drops = is_of_kind(id, DROPPED) || wavers && now / 1_000 % 2 == 0;
            if drops {
                decisions.drop(trace.row(), "it is to be dropped");
            }
            if drops || wavers {
                let word = if drops { "dropped" } else { "kept" };
                let spans: Vec<&str> = trace.spans().map(|span| span.id_text()).collect();
                lines.push_str(&format!("\n{id} {word} {now} {} .", spans.join(",")));
            }
        }
        self.book.append(lines.as_bytes()).map_err(|error| error.to_string())?;
        Ok(decisions)
    }
}

/// Since 1970.
fn nanos() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos())
}

export_filter!(Sieve);
