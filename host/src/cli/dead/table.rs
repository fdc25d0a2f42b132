//! The list of dead letters, for people and for scripts.

use serde_json::json;

use super::text::{count, readable, time};
use crate::source::redis::dead::{Burial, DEAD_MAX, Index, Known};

/// From so many percent of the bound on, the list warns of it.
const CLOSE_PERCENT: usize = 90;

const HEADS: [&str; 6] = ["DEAD LETTER", "BURIED", "STAGE", "PLUGIN", "ENTRIES", "TRACE"];

/// A line for each, under heads; nothing when there are none.
pub(super) fn table(burials: &[&Burial]) -> String {
    if burials.is_empty() {
        return String::new();
    }
    let rows: Vec<[String; 6]> = burials.iter().map(|burial| row(burial)).collect();
    let heads = HEADS.map(str::to_owned);
    let width = |column: usize| rows.iter().chain([&heads]).map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    let line = |row: &[String; 6], reason: &str| {
        let cells: String = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}  ")).collect();
        format!("{cells}{reason}\n")
    };
    let lines = rows.iter().zip(burials).map(|(row, burial)| line(row, &reason(burial)));
    [line(&heads, "REASON")].into_iter().chain(lines).collect()
}

fn row(burial: &Burial) -> [String; 6] {
    let text = |text: Option<&str>| text.filter(|text| !text.is_empty()).map_or("-".to_owned(), |text| readable(text.as_bytes()));
    let trace = burial.trace().map(ToString::to_string);
    [
        burial.id(),
        time(burial.buried_ms()),
        text(Some(&burial.stage)),
        text(burial.plugin.as_deref()),
        burial.letters.len().to_string(),
        text(trace.as_deref()),
    ]
}

/// Why, and what the log had lost by then.
fn reason(burial: &Burial) -> String {
    let mut reason = readable(burial.reason.as_bytes());
    let rebuilt = of(burial, |letter| letter.rebuilt);
    if rebuilt > 0 {
        reason.push_str(&format!(" [{rebuilt} rebuilt]"));
    }
    let empty = of(burial, |letter| letter.fields == 0);
    if empty > 0 {
        reason.push_str(&format!(" [{empty} without fields]"));
    }
    reason
}

fn of(burial: &Burial, which: impl Fn(&Known) -> bool) -> usize {
    burial.letters.iter().filter(|letter| which(letter)).count()
}

/// How many there are in all, and what the stream's bound does about it.
pub(super) fn total(dead_stream: &str, index: &Index, shown: usize) -> String {
    let all = index.burials().len();
    if all == 0 {
        return format!("no dead letters in {dead_stream}\n");
    }
    let lines = if shown == all { count(all, "line", "lines") } else { format!("{shown} of {}", count(all, "line", "lines")) };
    let letters = count(index.letters(), "dead letter", "dead letters");
    let mut text = format!("{lines}; {letters} in {dead_stream}, which keeps about {DEAD_MAX}\n");
    if index.letters() * 100 >= DEAD_MAX * CLOSE_PERCENT {
        text.push_str("that is close: the oldest are lost when more come; `meshtrace dead retry` or `drop` makes room\n");
    }
    text
}

/// One JSON object.
pub(super) fn json(burial: &Burial) -> String {
    json!({
        "id": burial.id(),
        "buried_at": time(burial.buried_ms()),
        "stage": burial.stage,
        "plugin": burial.plugin,
        "trace_id": burial.trace().map(ToString::to_string),
        "entries": burial.letters.len(),
        "rebuilt": of(burial, |letter| letter.rebuilt),
        "without_fields": of(burial, |letter| letter.fields == 0),
        "reason": burial.reason,
    })
    .to_string()
}
