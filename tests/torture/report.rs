//! What a run was, in one row.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::world::End;

/// The row's numbers, each under its name.
fn columns(seed: u64, minutes: f64, end: &End) -> Vec<(&'static str, String)> {
    let End { tally, reckoning, .. } = end;
    let number = |number: u64| number.to_string();
    let count = |count: usize| count.to_string();
    vec![
        ("seed", number(seed)),
        ("minutes", minutes.to_string()),
        ("hosts", number(tally.hosts)),
        ("take-overs", number(tally.take_overs)),
        ("outages", number(tally.outages)),
        ("kills", number(tally.kills)),
        ("ends", number(tally.terminations)),
        ("restarts of Redis", number(tally.restarts)),
        ("pauses", number(tally.pauses)),
        ("swaps", number(tally.swaps)),
        ("cuts", number(tally.cuts)),
        ("errors", number(tally.answers)),
        ("refusals", number(tally.refusals)),
        ("hostile entries", number(tally.hostile)),
        ("published again", number(tally.repeated)),
        ("sent", count(reckoning.sent)),
        ("exported", count(reckoning.exported)),
        ("duplicated", count(reckoning.duplicated)),
        ("dropped", count(reckoning.dropped)),
        ("dead", count(reckoning.dead)),
        ("trimmed", count(reckoning.trimmed)),
        ("lost", count(reckoning.lost.len())),
        ("excused", count(reckoning.excused.len())),
        ("peak MiB", number(tally.peak_mib)),
    ]
}

/// The table of one run, as Markdown.
pub fn table(seed: u64, minutes: f64, end: &End) -> String {
    let columns = columns(seed, minutes, end);
    let row = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
    let names = columns.iter().map(|(name, _)| *name).collect();
    let rule = columns.iter().map(|_| "---:").collect();
    let numbers = columns.iter().map(|(_, number)| number.as_str()).collect();
    [row(names), row(rule), row(numbers)].concat()
}

/// Appends the row to a file, which gets a head if it is new.
pub fn append(file: &Path, table: &str) {
    let is_new = !file.exists();
    let mut file = fs::File::options().create(true).append(true).open(file).expect("the report's file");
    let text = if is_new { table } else { table.lines().last().unwrap_or_default() };
    writeln!(file, "{}", text.trim_end()).expect("the report is written");
}
