//! What an attribute may say.

use std::borrow::Cow;
use std::cmp::Ordering;

/// A typed value, which owns its text or only looks at it.
#[derive(Debug, Clone, Copy)]
pub enum Value<T = Box<str>> {
    /// Text; may be empty.
    Text(T),
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number; finite.
    Double(f64),
    /// JSON text, checked to be well-formed.
    Json(T),
}

impl<T: AsRef<str>> Value<T> {
    /// The same value, looked at.
    pub fn view(&self) -> Value<&str> {
        match self {
            Value::Text(text) => Value::Text(text.as_ref()),
            Value::Bool(truth) => Value::Bool(*truth),
            Value::Integer(number) => Value::Integer(*number),
            Value::Double(number) => Value::Double(*number),
            Value::Json(text) => Value::Json(text.as_ref()),
        }
    }
}

impl<'a> Value<&'a str> {
    /// 0 text, 1 bool, 2 integer, 3 double, 4 JSON: the codes of the plugin contract.
    pub fn type_code(self) -> u8 {
        match self {
            Value::Text(_) => 0,
            Value::Bool(_) => 1,
            Value::Integer(_) => 2,
            Value::Double(_) => 3,
            Value::Json(_) => 4,
        }
    }

    /// The value as text.
    pub fn text(self) -> Cow<'a, str> {
        match self {
            Value::Text(text) | Value::Json(text) => Cow::Borrowed(text),
            Value::Bool(true) => Cow::Borrowed("true"),
            Value::Bool(false) => Cow::Borrowed("false"),
            Value::Integer(number) => Cow::Owned(number.to_string()),
            Value::Double(number) => Cow::Owned(number.to_string()),
        }
    }

    /// Bytes of its text, if it is one.
    pub fn text_bytes(self) -> usize {
        match self {
            Value::Text(text) | Value::Json(text) => text.len(),
            Value::Bool(_) | Value::Integer(_) | Value::Double(_) => 0,
        }
    }

    /// The same value, with a text of its own.
    pub fn owned(self) -> Value {
        match self {
            Value::Text(text) => Value::Text(text.into()),
            Value::Bool(truth) => Value::Bool(truth),
            Value::Integer(number) => Value::Integer(number),
            Value::Double(number) => Value::Double(number),
            Value::Json(text) => Value::Json(text.into()),
        }
    }

    /// Of two values for the same key, the greater one is settled on, whatever order they came in.
    fn rank(self, other: Value<&str>) -> Ordering {
        self.type_code().cmp(&other.type_code()).then_with(|| match (self, other) {
            (Value::Integer(a), Value::Integer(b)) => a.cmp(&b),
            (Value::Double(a), Value::Double(b)) => a.total_cmp(&b),
            _ => self.text().cmp(&other.text()),
        })
    }
}

impl<T: AsRef<str>, U: AsRef<str>> PartialEq<Value<U>> for Value<T> {
    fn eq(&self, other: &Value<U>) -> bool {
        self.view().rank(other.view()).is_eq()
    }
}
impl<T: AsRef<str>, U: AsRef<str>> PartialOrd<Value<U>> for Value<T> {
    fn partial_cmp(&self, other: &Value<U>) -> Option<Ordering> {
        Some(self.view().rank(other.view()))
    }
}
