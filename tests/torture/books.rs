//! What everybody wrote down of what became of traces: exporters, the filter, and the stream of dead letters. It outlives every kill.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use redis::{Commands, Connection, RedisResult};
use serde_json::Value;

use super::hostile::Bytes;
use super::marks::is_numbered;
use crate::support::redis_server::DEAD;

/// Dead letters that are read in one go.
const PAGE: usize = 2_000;

/// All of it.
#[derive(Debug, Default)]
pub struct Books {
    pub exporters: BTreeMap<String, Book>,
    /// What the filter decided on traces that it may drop.
    pub decided: BTreeMap<String, Vec<Decision>>,
    /// Dead letters, by trace.
    pub dead: BTreeMap<String, Grave>,
    /// The last dead letter that was read.
    last_letter: Option<String>,
    /// What is no line of JSON, though it should be one.
    pub broken: Vec<String>,
}

/// What the filter made of a trace, once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decision {
    /// Nanoseconds since 1970.
    pub at: u128,
    pub dropped: bool,
    /// What it was shown: it decided on nothing else.
    pub spans: BTreeSet<String>,
}

/// What of a trace is dead letters.
#[derive(Debug, Default)]
pub struct Grave {
    pub spans: BTreeSet<String>,
    pub causes: BTreeSet<Cause>,
}

/// Why something is a dead letter.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cause {
    pub stage: String,
    /// Empty where no plugin has anything to do with it.
    pub plugin: String,
    pub reason: String,
}

/// What one exporter took.
#[derive(Debug, Default)]
pub struct Book {
    pub traces: BTreeMap<String, BTreeSet<String>>,
    /// Parts that brought nothing new.
    pub repeats: usize,
}

impl Books {
    /// Those of exporters with these names.
    pub fn of(exporters: &[&str]) -> Books {
        let exporters = exporters.iter().map(|name| ((*name).to_owned(), Book::default())).collect();
        Books { exporters, ..Books::default() }
    }

    /// Notes that an exporter took these spans.
    pub fn take(&mut self, exporter: &str, trace: &str, spans: BTreeSet<String>) {
        let book = self.exporters.entry(exporter.to_owned()).or_default();
        let known = book.traces.entry(trace.to_owned()).or_default();
        let before = known.len();
        known.extend(spans);
        book.repeats += usize::from(known.len() == before);
    }

    /// Reads what a ledger wrote.
    pub fn read_ledger(&mut self, exporter: &str, file: &Path) {
        for line in whole_lines(file) {
            let words: Vec<&str> = line.split(' ').collect();
            let [trace, _part, spans] = words[..] else { panic!("the ledger {} has the line {line:?}", file.display()) };
            self.take(exporter, trace, spans.split(',').map(str::to_owned).collect());
        }
    }

    /// Reads what the filter wrote.
    pub fn read_decisions(&mut self, file: &Path) {
        for line in whole_lines(file) {
            let words: Vec<&str> = line.split(' ').collect();
            let [trace, verdict @ ("dropped" | "kept"), at, spans] = words[..] else { panic!("{} has the line {line:?}", file.display()) };
            let at = at.parse().unwrap_or_else(|_| panic!("{} has the line {line:?}", file.display()));
            let (dropped, spans) = (verdict == "dropped", spans.split(',').map(str::to_owned).collect());
            self.decided.entry(trace.to_owned()).or_default().push(Decision { at, dropped, spans });
        }
    }

    /// Reads lines of JSON, and removes those files of lines that are finished. Of the last one, and then of `all`, every line is to be whole.
    pub fn read_json(&mut self, exporter: &str, dir: &Path, all: bool) {
        let beside = dir.with_file_name("read");
        let name = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
        // By what is there, not by number: the exporter may have moved a file up while an earlier one was read and removed.
        let files: Vec<PathBuf> = entries
            .filter(|path| name(path).starts_with("traces.") && name(path).ends_with(".jsonl"))
            .filter(|path| all || name(path) != "traces.jsonl")
            .collect();
        for file in files {
            // Out of the way first: the exporter moves files up when it begins another.
            if fs::rename(&file, &beside).is_err() {
                continue;
            }
            let text = fs::read(&beside).expect("a file that is there");
            for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                self.read_line(exporter, line);
            }
            fs::remove_file(&beside).expect("it was there");
        }
    }

    fn read_line(&mut self, exporter: &str, line: &[u8]) {
        let Ok(document) = serde_json::from_slice::<Value>(line) else {
            return self.broken.push(String::from_utf8_lossy(&line[..line.len().min(200)]).into_owned());
        };
        let Some(trace) = document["trace_id"].as_str().filter(|id| is_numbered(id)) else { return };
        let spans = document["spans"].as_array().into_iter().flatten();
        self.take(exporter, trace, spans.filter_map(|span| span["span_id"].as_str()).map(str::to_owned).collect());
    }

    /// Reads the dead letters that have come since the last time.
    pub fn read_dead_letters(&mut self, connection: &mut Connection) -> RedisResult<()> {
        loop {
            let from = self.last_letter.as_ref().map_or("-".to_owned(), |last| format!("({last}"));
            let page: Vec<(String, Bytes)> = connection.xrange_count(DEAD, from, "+", PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            self.last_letter = Some(last.clone());
            for (_, fields) in &page {
                let value = |name: &str| fields.iter().find(|(key, _)| key == name.as_bytes()).map(|(_, value)| value.clone());
                let text = |name: &str| String::from_utf8(value(name)?).ok();
                let trace = text("trace_id").or_else(|| text("numbered")).filter(|id| is_numbered(id));
                if let (Some(trace), Some(span)) = (trace, text("span_id")) {
                    let word = |name: &str| text(name).unwrap_or_default();
                    let cause = Cause {
                        stage: word("dead:stage"),
                        plugin: word("dead:plugin"),
                        reason: word("dead:reason"),
                    };
                    let grave = self.dead.entry(trace).or_default();
                    grave.spans.insert(span);
                    grave.causes.insert(cause);
                }
            }
        }
    }
}

/// Lines without their end, but for those that a kill has cut off.
fn whole_lines(file: &Path) -> Vec<String> {
    let text = String::from_utf8_lossy(&fs::read(file).expect("a book")).into_owned();
    text.lines().filter_map(|line| line.strip_suffix(" .")).map(str::to_owned).collect()
}

#[test]
fn a_line_that_was_cut_off_is_no_line() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("ledger");
    fs::write(&file, "\nwhole 0 s0,s1 .\ncut 0 s0,s\nnext 0 s0 .\ncut again 0 s0 ").expect("a file");
    let mut books = Books::of(&["one"]);
    books.read_ledger("one", &file);
    assert_eq!(books.exporters["one"].traces.keys().collect::<Vec<_>>(), ["next", "whole"]);
}

#[test]
fn lines_are_read_from_every_file_whatever_its_number() {
    let dir = tempfile::tempdir().expect("a directory");
    let json = dir.path().join("json");
    fs::create_dir(&json).expect("a directory");
    let id = "70a70a000000000000000000000006b5";
    fs::write(json.join("traces.2.jsonl"), format!("{{\"trace_id\":{id:?},\"spans\":[{{\"span_id\":\"s0\"}}]}}\n")).expect("a file");
    let mut books = Books::of(&["json"]);
    books.read_json("json", &json, false);
    assert!(books.exporters["json"].traces.contains_key(id));
    assert_eq!(fs::read_dir(&json).expect("it is there").count(), 0);
}
