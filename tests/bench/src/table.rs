//! Figures as people read them.

use crate::report::{Before, Figure, Report, Target};

/// One figure as soon as it is there, with what else was seen.
pub fn line(figure: &Figure) -> String {
    let mut text = format!(
        "{}: {}{}",
        figure.name,
        number(figure.value, figure.unit),
        target(figure).map_or(String::new(), |target| format!(" (wanted {target})"))
    );
    for note in &figure.notes {
        text.push_str(&format!("\n    {note}"));
    }
    text
}

/// All figures in one table, with the difference to an earlier report if there is one.
pub fn table(report: &Report, before: Option<&Before>) -> String {
    let mut rows = vec![
        ["measured", "", "wanted", "", "by CPU", "µs/span", "peak MiB", if before.is_some() { "change" } else { "" }].map(str::to_owned),
    ];
    for figure in &report.figures {
        let change = before.and_then(|before| before.value(&figure.name)).filter(|old| *old != 0.0);
        rows.push([
            figure.name.clone(),
            number(figure.value, figure.unit),
            target(figure).unwrap_or_default(),
            figure.met().map_or("", |met| if met { "met" } else { "MISSED" }).to_owned(),
            figure.by_cpu.map_or(String::new(), |value| number(value, figure.unit)),
            figure.cpu_micros.map_or(String::new(), |micros| format!("{micros:.2}")),
            figure.peak_bytes.map_or(String::new(), |bytes| format!("{}", bytes >> 20)),
            change.map_or(String::new(), |old| format!("{:+.1} %", (figure.value / old - 1.0) * 100.0)),
        ]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; 8] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let pad = " ".repeat(width - cell.chars().count());
            // Names to the left, numbers to the right.
            text.push_str(&if column == 0 { format!("{cell}{pad}") } else { format!("  {pad}{cell}") });
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

fn target(figure: &Figure) -> Option<String> {
    Some(match figure.target? {
        Target::AtLeast(least) => format!(">= {}", number(least, figure.unit)),
        Target::AtMost(most) => format!("<= {}", number(most, figure.unit)),
    })
}

fn number(value: f64, unit: &str) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$}{}{unit}", if unit.is_empty() { "" } else { " " })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Machine;

    #[test]
    fn a_table_says_what_was_wanted_and_what_has_changed() {
        let mut report = Report::new(Machine::look());
        report.figures.push(Figure::new("a share", 0.512, "").target(Target::AtLeast(0.75)).by_cpu(0.8).cpu(3.456).peak(5 << 20));
        report.figures.push(Figure::new("a time", 1234.5, "ns").target(Target::AtMost(2_000.0)));
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("report.json");
        report.write(&path).expect("a file");
        let before = Report::read(&path).expect("a report");
        report.figures[0].value = 0.6144;
        let expected = "\
measured             wanted          by CPU  µs/span  peak MiB   change
a share      0.61   >= 0.75  MISSED    0.80     3.46         5  +20.0 %
a time    1234 ns  <= 2000 ns     met                             +0.0 %
";
        let lines = |text: &str| text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>();
        assert_eq!(lines(&table(&report, Some(&before))), lines(expected));
    }
}
