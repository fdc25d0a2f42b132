//! One span of a document, and how two versions of it are united.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::value::RawValue;

/// Keys with their values as JSON text: what is not looked into stays as it was, to the last digit.
pub(crate) type Fields = BTreeMap<String, Box<RawValue>>;

/// Keys of a span in the order of the documented structure; others follow by name, attributes come last.
const ORDER: [&str; 15] = [
    "span_id",
    "parent_span",
    "agent_name",
    "operation",
    "start_time",
    "end_time",
    "duration_ms",
    "success",
    "error_message",
    "agent_id",
    "ip_address",
    "capability",
    "target_agent",
    "runtime",
    "open",
];

#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) id: String,
    pub(crate) fields: Fields,
    attributes: Fields,
}

impl Span {
    /// Reads a span; the error says what is wrong with it.
    pub(crate) fn new(mut fields: Fields) -> Result<Self, String> {
        let id = text(fields.get("span_id").map(AsRef::as_ref)).ok_or("a span has no span_id")?;
        let attributes = match fields.remove("attributes") {
            Some(raw) if !is_null(&raw) => {
                serde_json::from_str(raw.get()).map_err(|error| format!("the attributes of span {id:?} are no object: {error}"))?
            }
            _ => Fields::new(),
        };
        Ok(Span { id, fields, attributes })
    }

    /// Whether it began and was never seen to end.
    pub(crate) fn is_open(&self) -> bool {
        self.fields.get("open").is_some_and(|raw| raw.get() == "true")
    }

    /// A string field; `None` when absent, null or no string.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        text(self.fields.get(key).map(AsRef::as_ref))
    }

    /// Unix nanoseconds of a time field.
    pub(crate) fn time(&self, key: &str) -> Option<i128> {
        let time: jiff::Timestamp = self.text(key)?.parse().ok()?;
        Some(time.as_nanosecond())
    }

    /// Unites two versions of a span: a failure, the earlier start and the later end stand; else the one that knows more
    /// (closed before open, then more fields, then more attributes) wins where they differ, and the other fills what it lacks. The order of the two does not matter, and uniting the result
    /// with either once more changes nothing.
    pub(crate) fn unite(self, other: Span) -> Span {
        // As in the host: who says that it failed is right, and a span lasts from the earliest start to the latest end.
        let failed = |span: &Span| span.fields.get("success").filter(|raw| !is_null(raw)).map(|raw| raw.get() == "false");
        let failure = self.higher(&other, "success", failed);
        let start = self.higher(&other, "start_time", |span| Some((Reverse(span.time("start_time")?), span.text("start_time"))));
        let end = self.higher(&other, "end_time", |span| Some((span.time("end_time")?, span.text("end_time"))));
        let (mut winner, loser) = if self.compare(&other) == Ordering::Less { (other, self) } else { (self, other) };
        for (key, value) in loser.fields {
            if key != "open" && winner.fields.get(&key).is_none_or(|raw| is_null(raw)) {
                winner.fields.insert(key, value);
            }
        }
        for (key, value) in loser.attributes {
            winner.attributes.entry(key).or_insert(value);
        }
        winner.settle("success", &failure);
        winner.settle("start_time", &start);
        winner.settle("end_time", &end);
        winner.fill_duration();
        winner
    }

    /// Gives a field the value that the two versions settle on, if they know any.
    fn settle(&mut self, key: &str, value: &Option<Box<RawValue>>) {
        if let Some(value) = value {
            self.fields.insert(key.to_owned(), value.clone());
        }
    }

    /// The field of that of two versions whose value ranks higher, by what `rank` makes of it; `None` when neither knows.
    fn higher<R: Ord>(&self, other: &Span, key: &str, rank: impl Fn(&Span) -> Option<R>) -> Option<Box<RawValue>> {
        let span = if rank(self) >= rank(other) { self } else { other };
        rank(span)?;
        span.fields.get(key).cloned()
    }

    /// Which version knows more; among equals the text decides, so that the order of arrival never does.
    fn compare(&self, other: &Span) -> Ordering {
        let weight = |span: &Span| {
            let known = span.fields.iter().filter(|(key, raw)| *key != "open" && !is_null(raw)).count();
            (!span.is_open(), known, span.attributes.len())
        };
        weight(self).cmp(&weight(other)).then_with(|| self.to_json().cmp(&other.to_json()))
    }

    /// A start from one version and an end from the other make a duration that neither had.
    fn fill_duration(&mut self) {
        let unknown = self.fields.get("duration_ms").is_none_or(|raw| is_null(raw));
        if let (true, Some(start), Some(end)) = (unknown, self.time("start_time"), self.time("end_time"))
            && let Ok(ns) = u64::try_from(end - start)
        {
            self.fields.insert("duration_ms".to_owned(), raw(milliseconds(ns)));
        }
    }

    pub(crate) fn to_json(&self) -> String {
        let mut json = String::from("{");
        write_fields(&mut json, &self.fields, &ORDER);
        if !self.attributes.is_empty() {
            json.push_str(",\"attributes\":{");
            write_fields(&mut json, &self.attributes, &[]);
            json.push('}');
        }
        json.push('}');
        json
    }
}

/// Writes `"key":value` pairs: those of `order` first, the rest by name.
pub(crate) fn write_fields(json: &mut String, fields: &Fields, order: &[&str]) {
    let first = order.iter().filter_map(|key| fields.get_key_value(*key));
    let rest = fields.iter().filter(|(key, _)| !order.contains(&key.as_str()));
    for (at, (key, value)) in first.chain(rest).enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let _ = write!(json, "{comma}{}:{}", quoted(key), value.get());
    }
}

/// A string as JSON.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// JSON text as a value; `null` for text that is no JSON, which never comes from here.
pub(crate) fn raw(json: String) -> Box<RawValue> {
    RawValue::from_string(json).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

pub(crate) fn is_null(raw: &RawValue) -> bool {
    raw.get() == "null"
}

/// A value that is a string.
pub(crate) fn text(raw: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(raw?.get()).ok()
}

/// Nanoseconds as a JSON number of milliseconds, exactly: `300`, `12.27`, `0.000001`.
pub(crate) fn milliseconds(ns: u64) -> String {
    let text = format!("{}.{:06}", ns / 1_000_000, ns % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(json: &str) -> Span {
        Span::new(serde_json::from_str(json).unwrap()).unwrap()
    }

    #[test]
    fn closed_wins_over_open_and_both_fill() {
        let open = r#"{"span_id":"a","agent_name":"x","start_time":"2024-01-01T10:00:00Z","end_time":null,"duration_ms":null,"success":null,"open":true,"attributes":{"k":"old","only":1}}"#;
        let closed = r#"{"span_id":"a","agent_name":null,"start_time":null,"end_time":"2024-01-01T10:00:00.150Z","duration_ms":null,"success":true,"attributes":{"k":"new"}}"#;
        let expected = r#"{"span_id":"a","agent_name":"x","start_time":"2024-01-01T10:00:00Z","end_time":"2024-01-01T10:00:00.150Z","duration_ms":150,"success":true,"attributes":{"k":"new","only":1}}"#;
        assert_eq!(span(open).unite(span(closed)).to_json(), expected);
        assert_eq!(span(closed).unite(span(open)).to_json(), expected);
        assert_eq!(span(expected).unite(span(open)).to_json(), expected);
        assert_eq!(span(closed).unite(span(expected)).to_json(), expected);
    }

    #[test]
    fn texts_of_values_survive() {
        let json = format!(r#"{{"span_id":"a","x":1.50e3,"y":12345678901234567890123,"z":{}1{}}}"#, "[".repeat(500), "]".repeat(500));
        assert_eq!(span(&json).unite(span(&json)).to_json(), json);
    }

    #[test]
    fn spans_need_an_id_and_an_object_of_attributes() {
        for json in [r#"{"span_id":null}"#, r#"{"span_id":7}"#, r#"{}"#, r#"{"span_id":"a","attributes":[]}"#] {
            assert!(Span::new(serde_json::from_str(json).unwrap()).is_err(), "{json}");
        }
    }

    #[test]
    fn milliseconds_are_exact() {
        assert_eq!([0, 1, 12_270_000, 300_000_000].map(milliseconds), ["0", "0.000001", "12.27", "300"]);
    }
}
