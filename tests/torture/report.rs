//! What a run was, in one row.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use super::world::{End, Tally};

/// The row's numbers, each under its name.
fn columns(seed: u64, minutes: f64, end: &End) -> Vec<(&'static str, String)> {
    let End { tally, reckoning, .. } = end;
    let kills = &tally.kills;
    let disk_faults = if tally.has_disk { tally.disk_faults.to_string() } else { "left out".into() };
    let number = |number: u64| number.to_string();
    let count = |count: usize| count.to_string();
    vec![
        ("seed", number(seed)),
        ("minutes", minutes.to_string()),
        ("hosts", number(tally.hosts)),
        ("take-overs", number(tally.take_overs)),
        ("after a kill", seconds(&tally.after_kill)),
        ("after an end", seconds(&tally.after_end)),
        ("outages", number(tally.outages)),
        ("kills", number(kills.all())),
        ("starting/reading/exporting", format!("{}/{}/{}", kills.starting, kills.reading, kills.exporting)),
        ("ends", number(tally.terminations)),
        ("restarts of Redis", number(tally.restarts)),
        ("pauses", number(tally.pauses)),
        ("swaps", number(tally.swaps)),
        ("cuts", number(tally.cuts)),
        ("errors", number(tally.answers)),
        ("refusals", number(tally.refusals)),
        ("disk faults", disk_faults),
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

/// What publishers trimmed, by Redis and by what hosts say.
pub fn trimmed(tally: &Tally) -> String {
    let Tally {
        trimmed,
        trimmed_pending,
        counted_pending,
        counted_unread,
        ..
    } = tally;
    format!(
        "trimmed: {trimmed} entries, settled or not, {trimmed_pending} of them pending; hosts say, as far as they were asked before they were \
         killed: {counted_pending} pending, {counted_unread} unread"
    )
}

/// The median and the longest of times in order.
fn seconds(times: &[Duration]) -> String {
    let Some(longest) = times.last() else { return "–".into() };
    format!("{:.1}/{:.1} s", times[times.len() / 2].as_secs_f64(), longest.as_secs_f64())
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
