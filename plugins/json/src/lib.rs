//! The `json` exporter: traces as JSON in a directory, a file per trace or a line per trace.
//!
//! Delivery is at least once, so a trace may come again, and its late spans come as parts of their own. In mode `files` all
//! of that ends in one file per trace: what comes is united with what is there, and a repeat changes nothing. In mode
//! `lines` each part is a line, and a repeat after a crash is one more line with the same id.

mod config;
mod document;
mod files;
mod lines;
mod name;
#[cfg(test)]
mod scratch;
mod span;

use std::path::Path;

use files::cause;
use meshtrace_plugin::{Batch, Description, Exporter, Level, Outcome, RowOutcome, export_exporter, log, metrics};

pub use config::{Config, Mode};
pub use document::Document;
pub use files::{Failure, Files};
pub use lines::Lines;
pub use name::file_name;

/// After how long single traces are offered again; whole batches follow the host's own back-off.
const RETRY_MS: u32 = 1000;

/// The exporter.
pub struct Json {
    target: Target,
    /// Whether the last batch met an error: a burst of errors is logged once, and so is its end.
    failing: bool,
}

enum Target {
    Files(Files),
    Lines(Lines),
}

impl Exporter for Json {
    fn describe() -> Description {
        Description::new("json", env!("CARGO_PKG_VERSION")).config_schema(include_str!("../config.schema.json"))
    }

    fn init(config: &str) -> Result<Self, String> {
        let config = Config::parse(config)?;
        let dir = Path::new(&config.dir);
        let target = match config.mode {
            Mode::Files => Target::Files(Files::open(dir)?),
            Mode::Lines => Target::Lines(Lines::open(dir, config.max_bytes, config.max_files)?),
        };
        Ok(Json { target, failing: false })
    }

    fn export(&mut self, batch: &Batch) -> Outcome {
        let (outcome, errors) = match &self.target {
            Target::Files(files) => export_files(files, batch),
            Target::Lines(lines) => export_lines(lines, batch),
        };
        self.report(&errors);
        outcome
    }

    /// A line that was torn before this instance began, and that no trace came after, need not stay torn.
    fn flush(&mut self) -> Result<(), String> {
        match &self.target {
            Target::Files(_) => Ok(()),
            Target::Lines(lines) => lines.repair(),
        }
    }
}

impl Json {
    /// Logs the first error of a burst, and its end.
    fn report(&mut self, errors: &[String]) {
        match (self.failing, errors) {
            (false, [first, rest @ ..]) => {
                let more = if rest.is_empty() { String::new() } else { format!(" (and {} more such errors)", rest.len()) };
                log!(Level::Error, "{first}{more}; the traces wait and are offered again");
            }
            (true, []) => log!(Level::Info, "writing works again"),
            _ => {}
        }
        self.failing = !errors.is_empty();
    }
}

fn export_files(files: &Files, batch: &Batch) -> (Outcome, Vec<String>) {
    let (mut failed, mut errors, mut written) = (Vec::new(), Vec::new(), 0);
    for trace in batch.traces() {
        match files.store(trace.id_text(), &trace.json()) {
            Ok(changed) => written += u64::from(changed),
            Err(Failure::Retry(why)) => {
                errors.push(why.clone());
                failed.push(RowOutcome::retry(trace.row(), RETRY_MS, why));
            }
            Err(Failure::Reject(why)) => failed.push(RowOutcome::reject(trace.row(), why)),
        }
    }
    if written > 0 {
        metrics::add("files_written", written);
    }
    let nothing_taken = errors.len() == batch.len();
    (if nothing_taken { Outcome::retry() } else { Outcome::all_but(failed) }, errors)
}

fn export_lines(lines: &Lines, batch: &Batch) -> (Outcome, Vec<String>) {
    let mut text = Vec::new();
    for trace in batch.traces() {
        text.extend(trace.json());
        text.push(b'\n');
    }
    match lines.append(&text) {
        Ok(()) => {
            metrics::add("lines_written", batch.len() as u64);
            (Outcome::Delivered, Vec::new())
        }
        Err(error) => (Outcome::retry(), vec![format!("cannot append to traces.jsonl: {}", cause(&error))]),
    }
}

export_exporter!(Json);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use meshtrace_plugin::testing::{TestSpan, TestTrace, batch};

    fn trace(id: &str) -> TestTrace {
        let json = format!(r#"{{"trace_id":"{id}","spans":[{{"span_id":"s"}}]}}"#).into_bytes();
        TestTrace {
            id: id.into(),
            json,
            spans: vec![TestSpan::default()],
            ..TestTrace::default()
        }
    }

    fn exporter(dir: &Scratch, more: &str) -> Json {
        Json::init(&format!(r#"{{"dir":{:?}{more}}}"#, dir.path().to_str().unwrap())).unwrap()
    }

    #[test]
    fn one_trace_that_fails_does_not_undo_the_others() {
        let dir = Scratch::new();
        let mut json = exporter(&dir, "");
        let mut odd = trace("b");
        odd.json = b"odd".to_vec();
        assert_eq!(json.export(&batch(&[trace("a"), trace("b")])), Outcome::Delivered);
        let outcome = json.export(&batch(&[trace("a"), odd, trace("c")]));
        assert!(matches!(&outcome, Outcome::Partial(rows) if rows.len() == 1 && rows[0].trace == 1 && rows[0].retry_after_ms.is_none()));
        assert!(dir.path().join("trace-c.json").exists());
    }

    #[test]
    fn a_line_that_was_torn_is_repaired_at_the_end_though_no_trace_came() {
        let dir = Scratch::new();
        let path = dir.path().join("traces.jsonl");
        std::fs::write(&path, "one\ntw").unwrap();
        let mut json = exporter(&dir, r#","mode":"lines""#);
        let file = std::fs::File::options().append(true).open(&path).unwrap();
        file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(10)).unwrap();
        assert_eq!(json.flush(), Ok(()));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\n");
        assert_eq!(exporter(&Scratch::new(), "").flush(), Ok(()));
    }

    #[test]
    fn a_directory_that_refuses_everything_means_retry() {
        let dir = Scratch::new();
        for more in ["", r#","mode":"lines""#] {
            let mut json = exporter(&dir, more);
            std::fs::remove_dir_all(dir.path()).unwrap();
            assert_eq!(json.export(&batch(&[trace("a"), trace("b")])), Outcome::Retry(0));
            assert!(json.failing);
            std::fs::create_dir(dir.path()).unwrap();
            assert_eq!(json.export(&batch(&[trace("a"), trace("b")])), Outcome::Delivered);
            assert!(!json.failing);
        }
        let lines = std::fs::read_to_string(dir.path().join("traces.jsonl")).unwrap();
        assert_eq!(lines.lines().count(), 2);
    }
}
