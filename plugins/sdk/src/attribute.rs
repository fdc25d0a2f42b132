//! Attributes: keys with typed values.

/// A typed value that is on its way to the host, in an edit.
pub use crate::glue::exporter::meshtrace::plugin::types::Value as OwnedValue;

use std::ops::Range;

use crate::Batch;
use crate::columns::at;

/// An attribute's value, as it is read from a batch. [`OwnedValue`] is the same for what goes back to the host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Text.
    Text(&'a str),
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number.
    Double(f64),
    /// JSON, as text.
    Json(&'a str),
}

impl<'a> Value<'a> {
    /// Reads a value's text as its type in [`Columns`](crate::Columns) says; what does not read so, and unknown types, are text.
    #[must_use]
    pub fn new(text: &'a str, kind: u8) -> Self {
        let typed = match kind {
            1 => text.parse().ok().map(Value::Bool),
            2 => text.parse().ok().map(Value::Integer),
            3 => text.parse().ok().map(Value::Double),
            4 => Some(Value::Json(text)),
            _ => None,
        };
        typed.unwrap_or(Value::Text(text))
    }
}

impl From<Value<'_>> for OwnedValue {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::Text(text) => OwnedValue::Text(text.to_owned()),
            Value::Bool(value) => OwnedValue::Boolean(value),
            Value::Integer(value) => OwnedValue::Integer(value),
            Value::Double(value) => OwnedValue::Double(value),
            Value::Json(text) => OwnedValue::Json(text.to_owned()),
        }
    }
}

impl From<&str> for OwnedValue {
    fn from(text: &str) -> Self {
        OwnedValue::Text(text.to_owned())
    }
}

impl From<String> for OwnedValue {
    fn from(text: String) -> Self {
        OwnedValue::Text(text)
    }
}

impl From<bool> for OwnedValue {
    fn from(value: bool) -> Self {
        OwnedValue::Boolean(value)
    }
}

impl From<i64> for OwnedValue {
    fn from(value: i64) -> Self {
        OwnedValue::Integer(value)
    }
}

impl From<f64> for OwnedValue {
    fn from(value: f64) -> Self {
        OwnedValue::Double(value)
    }
}

/// The attributes of one span or agent, as pairs of key and value.
#[derive(Clone)]
pub struct Attributes<'a> {
    pub(crate) batch: &'a Batch,
    pub(crate) run: Range<u32>,
    pub(crate) keys: &'a [u32],
    pub(crate) values: &'a [u32],
    pub(crate) types: &'a [u8],
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (&'a str, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.run.next()?;
        let value = Value::new(self.batch.text(at(self.values, row)), at(self.types, row));
        Some((self.batch.text(at(self.keys, row)), value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.run.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_their_type_says_or_stay_text() {
        assert_eq!(Value::new("true", 1), Value::Bool(true));
        assert_eq!(Value::new("-9223372036854775808", 2), Value::Integer(i64::MIN));
        assert_eq!(Value::new("2.5", 3), Value::Double(2.5));
        assert_eq!(Value::new("[1]", 4), Value::Json("[1]"));
        assert_eq!(Value::new("many", 2), Value::Text("many"));
        assert_eq!(Value::new("1", 77), Value::Text("1"));
    }
}
