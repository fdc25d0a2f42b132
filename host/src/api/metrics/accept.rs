//! Which text a scraper wants.

use super::text::Format;

/// The format for a request with this `Accept`, if it has one. A client that takes anything gets OpenMetrics, a browser what it can show; one that
/// takes neither gets the older text, as scrapers have always done.
pub(super) fn format(accept: Option<&str>) -> Format {
    let ranges: Vec<Range> = accept.unwrap_or("*/*").split(',').map(Range::parse).collect();
    let new = quality(&ranges, "application", "openmetrics-text", "1.0.0");
    let old = quality(&ranges, "text", "plain", "0.0.4");
    let browser = ranges.iter().any(|range| range.kind == "text" && range.subkind == "html");
    if new > 0.0 && (new > old || new == old && !browser) { Format::OpenMetrics } else { Format::Prometheus }
}

/// One of the things that a client accepts.
#[derive(Debug)]
struct Range {
    kind: String,
    subkind: String,
    version: Option<String>,
    quality: f32,
}

impl Range {
    /// What cannot be understood matches nothing.
    fn parse(text: &str) -> Range {
        let mut parts = text.split(';').map(|part| part.trim().to_ascii_lowercase());
        let name = parts.next().unwrap_or_default();
        let (kind, subkind) = name.split_once('/').unwrap_or_default();
        let (mut version, mut quality) = (None, 1.0);
        for part in parts {
            match part.split_once('=').map(|(key, value)| (key.trim(), value.trim().trim_matches('"'))) {
                Some(("version", value)) => version = Some(value.to_owned()),
                Some(("q", value)) => quality = value.parse().ok().filter(|quality| (0.0..=1.0).contains(quality)).unwrap_or(0.0),
                _ => {}
            }
        }
        Range {
            kind: kind.to_owned(),
            subkind: subkind.to_owned(),
            version,
            quality,
        }
    }

    /// How closely it describes this type; 0: not at all.
    fn closeness(&self, kind: &str, subkind: &str, version: &str) -> u8 {
        match (self.kind.as_str(), self.subkind.as_str()) {
            ("*", "*") => 1,
            (own, "*") if own == kind => 2,
            (own, other) if own == kind && other == subkind => match &self.version {
                None => 3,
                Some(own) if own == version => 4,
                Some(_) => 0,
            },
            _ => 0,
        }
    }
}

/// How much a type is wanted: as the range says that describes it most closely.
fn quality(ranges: &[Range], kind: &str, subkind: &str, version: &str) -> f32 {
    let closest =
        ranges.iter().map(|range| (range.closeness(kind, subkind, version), range.quality)).filter(|(closeness, _)| *closeness > 0);
    closest.max_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal)).map_or(0.0, |(_, quality)| quality)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scraper_gets_what_it_asks_for() {
        use Format::{OpenMetrics, Prometheus};
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, expected) in [
            (None, OpenMetrics),
            (Some("*/*"), OpenMetrics),
            (Some(prometheus), OpenMetrics),
            (Some("application/openmetrics-text; version=1.0.0; charset=utf-8"), OpenMetrics),
            (Some("Application/OpenMetrics-Text; Version=\"1.0.0\""), OpenMetrics),
            (Some("text/*;q=0.5, application/*"), OpenMetrics),
            (Some("text/plain"), Prometheus),
            (Some("text/plain;version=0.0.4;q=1,*/*;q=0.1"), Prometheus),
            (Some("application/openmetrics-text;version=2.0.0,text/plain;q=0.1"), Prometheus),
            (Some("application/openmetrics-text;q=0,*/*"), Prometheus),
            (Some("application/openmetrics-text;q=0.4,text/plain;q=0.5"), Prometheus),
            (Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), Prometheus),
            (Some("application/json"), Prometheus),
            (Some(""), Prometheus),
            (Some(";;q=x,/,="), Prometheus),
        ] {
            assert_eq!(format(accept), expected, "{accept:?}");
        }
    }
}
