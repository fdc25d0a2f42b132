//! Metrics as text: OpenMetrics 1.0, or the older text of Prometheus for a scraper that does not know it.

use std::fmt::{Display, Write};

/// How metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus' text, version 0.0.4.
    Prometheus,
}

impl Format {
    pub fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// One scrape.
pub(super) struct Text {
    out: String,
    format: Format,
}

/// A metric with all its series.
pub(super) struct Family<'a> {
    out: &'a mut String,
    /// As its series are called.
    name: String,
}

impl Text {
    pub fn new(format: Format) -> Text {
        Text { out: String::new(), format }
    }

    /// What only grows. `name` is without `_total`, which its series get.
    pub fn counter(&mut self, name: &str, help: &str) -> Family<'_> {
        self.family(name, "_total", "counter", help)
    }

    /// What goes up and down.
    pub fn gauge(&mut self, name: &str, help: &str) -> Family<'_> {
        self.family(name, "", "gauge", help)
    }

    fn family(&mut self, name: &str, suffix: &str, kind: &str, help: &str) -> Family<'_> {
        let series = format!("{name}{suffix}");
        let titled = if self.format == Format::OpenMetrics { name } else { &series };
        // Writing to a string cannot fail.
        let _ = writeln!(self.out, "# TYPE {titled} {kind}");
        if self.format == Format::OpenMetrics
            && let Some(unit) =
                ["seconds", "bytes"].into_iter().find(|unit| name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_')))
        {
            let _ = writeln!(self.out, "# UNIT {titled} {unit}");
        }
        let _ = writeln!(self.out, "# HELP {titled} {help}");
        Family { out: &mut self.out, name: series }
    }

    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }
}

impl Family<'_> {
    /// A series with a whole number.
    pub fn count(&mut self, labels: &[(&str, &str)], count: u64) -> &mut Self {
        self.series(labels, count)
    }

    /// A series with any number.
    pub fn value(&mut self, labels: &[(&str, &str)], value: f64) -> &mut Self {
        match value {
            f64::INFINITY => self.series(labels, "+Inf"),
            f64::NEG_INFINITY => self.series(labels, "-Inf"),
            _ if value.is_nan() => self.series(labels, "NaN"),
            // With an exponent where digits would be many.
            _ => self.series(labels, format_args!("{value:?}")),
        }
    }

    fn series(&mut self, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        self.out.push_str(&self.name);
        let mut before = '{';
        for (name, value) in labels {
            self.out.push(before);
            self.out.push_str(name);
            self.out.push_str("=\"");
            escape(self.out, value);
            self.out.push('"');
            before = ',';
        }
        if !labels.is_empty() {
            self.out.push('}');
        }
        let _ = writeln!(self.out, " {value}");
        self
    }
}

/// Names of plugins come from file names, reasons from plugins: they may hold anything.
fn escape(out: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            _ => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: Format) -> String {
        let mut text = Text::new(format);
        text.counter("m_call_seconds", "Time.").value(&[("plugin", "a\"b\\c\nd")], 0.25).value(&[("plugin", "x")], 3.0);
        text.gauge("m_open", "Open.").count(&[], u64::MAX);
        let mut own = text.gauge("m_own", "Own.");
        for (name, value) in [("a", f64::INFINITY), ("b", f64::NEG_INFINITY), ("c", f64::NAN), ("d", 1e300), ("e", -1e-7)] {
            own.value(&[("plugin", "x"), ("name", name)], value);
        }
        text.finish()
    }

    #[test]
    fn openmetrics_is_written_as_its_specification_says() {
        let expected = r#"# TYPE m_call_seconds counter
# UNIT m_call_seconds seconds
# HELP m_call_seconds Time.
m_call_seconds_total{plugin="a\"b\\c\nd"} 0.25
m_call_seconds_total{plugin="x"} 3.0
# TYPE m_open gauge
# HELP m_open Open.
m_open 18446744073709551615
# TYPE m_own gauge
# HELP m_own Own.
m_own{plugin="x",name="a"} +Inf
m_own{plugin="x",name="b"} -Inf
m_own{plugin="x",name="c"} NaN
m_own{plugin="x",name="d"} 1e300
m_own{plugin="x",name="e"} -1e-7
# EOF
"#;
        assert_eq!(written(Format::OpenMetrics), expected);
    }

    #[test]
    fn the_older_text_calls_a_counter_by_its_series_and_has_no_end() {
        let text = written(Format::Prometheus);
        assert!(
            text.starts_with("# TYPE m_call_seconds_total counter\n# HELP m_call_seconds_total Time.\nm_call_seconds_total{"),
            "{text}"
        );
        assert!(!text.contains("# UNIT") && !text.contains("# EOF"), "{text}");
    }
}
