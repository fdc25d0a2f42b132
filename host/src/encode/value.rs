//! Attributes as a JSON object.

use std::borrow::Cow;
use std::iter::Peekable;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::readable::is_readable;
use crate::model::{Attribute, AttributeIter, Span, Value};

/// Attributes that have a field of their own in the documented JSON.
const WITH_FIELD: [&str; 2] = ["capability", "target_agent"];

/// What is known of a span beyond its fields: its own attributes and its producer's. The span's win where both have a key.
pub(super) struct Attributes<'a>(pub &'a Span);

impl<'a> Attributes<'a> {
    fn iter(&self) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        let merged = Merged {
            first: self.0.attributes.iter().peekable(),
            second: self.0.resource.attributes.iter().peekable(),
        };
        merged.filter(|attribute| !WITH_FIELD.contains(&attribute.key.as_str()))
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl Serialize for Attributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|attribute| (attribute.key.as_str(), JsonValue(attribute.value))))
    }
}

/// Two lists whose keys are in byte order, as one; of equal keys the first list's.
struct Merged<'a> {
    first: Peekable<AttributeIter<'a>>,
    second: Peekable<AttributeIter<'a>>,
}

impl<'a> Iterator for Merged<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let (Some(first), Some(second)) = (self.first.peek(), self.second.peek()) else {
            return self.first.next().or_else(|| self.second.next());
        };
        match first.key.as_str().cmp(second.key.as_str()) {
            std::cmp::Ordering::Greater => self.second.next(),
            std::cmp::Ordering::Equal => {
                self.second.next();
                self.first.next()
            }
            std::cmp::Ordering::Less => self.first.next(),
        }
    }
}

/// One value with its type.
struct JsonValue<'a>(Value<&'a str>);

impl Serialize for JsonValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Text(text) => serializer.serialize_str(text),
            Value::Bool(truth) => serializer.serialize_bool(truth),
            Value::Integer(number) => serializer.serialize_i64(number),
            Value::Double(number) => serializer.serialize_f64(number),
            Value::Json(text) => {
                let line = one_line(text);
                match serde_json::from_str::<&RawValue>(&line) {
                    Ok(raw) if is_readable(&line) => raw.serialize(serializer),
                    _ => serializer.serialize_str(text),
                }
            }
        }
    }
}

/// `text` without line ends, so that a document stays one line. In well-formed JSON they stand between tokens only.
fn one_line(text: &str) -> Cow<'_, str> {
    if text.contains(['\n', '\r']) { Cow::Owned(text.replace(['\n', '\r'], " ")) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: Value<&str>) -> String {
        serde_json::to_string(&JsonValue(value)).unwrap()
    }

    #[test]
    fn values_keep_their_types() {
        assert_eq!(shown(Value::Text("")), r#""""#);
        assert_eq!(shown(Value::Text("a\"\0\u{1b}\n")), r#""a\"\u0000\u001b\n""#);
        assert_eq!(shown(Value::Bool(true)), "true");
        assert_eq!(shown(Value::Integer(i64::MIN)), "-9223372036854775808");
        assert_eq!(shown(Value::Double(0.5)), "0.5");
    }

    #[test]
    fn json_is_embedded_on_one_line_when_others_can_read_it() {
        let json = |text: &str| shown(Value::Json(text));
        assert_eq!(json(r#"{"a":[1,"]"]}"#), r#"{"a":[1,"]"]}"#);
        assert_eq!(json("[1,\r\n 2]"), "[1,   2]");
        assert_eq!(json("[1,"), r#""[1,""#, "not well-formed: text");
        assert_eq!(json("[1e400]"), r#""[1e400]""#, "no reader has such a number: text");
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(json(&deep), format!("\"{deep}\""));
    }
}
