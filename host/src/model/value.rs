//! Attributes: all that came with a span and has no field of its own.

use std::borrow::Cow;

use super::{Name, Text};

/// One attribute.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub struct Attribute {
    /// Its key.
    pub key: Key,
    /// Its value.
    pub value: Value,
}

/// An attribute's key: interned, unless the table of names is full.
pub type Key = Text;

/// A typed value.
#[derive(Debug, Clone)]
pub enum Value {
    /// Text; may be empty.
    Text(Text),
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number; finite.
    Double(f64),
    /// JSON text, checked to be well-formed.
    Json(Text),
}

impl Value {
    /// 0 text, 1 bool, 2 integer, 3 double, 4 JSON: the codes of the plugin contract.
    pub fn type_code(&self) -> u8 {
        match self {
            Value::Text(_) => 0,
            Value::Bool(_) => 1,
            Value::Integer(_) => 2,
            Value::Double(_) => 3,
            Value::Json(_) => 4,
        }
    }

    /// The value as text.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Value::Text(text) | Value::Json(text) => Cow::Borrowed(text.as_str()),
            Value::Bool(true) => Cow::Borrowed("true"),
            Value::Bool(false) => Cow::Borrowed("false"),
            Value::Integer(number) => Cow::Owned(number.to_string()),
            Value::Double(number) => Cow::Owned(number.to_string()),
        }
    }

    /// Heap bytes that this value holds.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Value::Text(text) | Value::Json(text) => text.heap_bytes(),
            _ => 0,
        }
    }

    /// Of two values for the same key, the one that every order of arrival settles on.
    pub(super) fn settle(&mut self, other: Value) {
        if self.rank(&other).is_lt() {
            *self = other;
        }
    }

    fn rank(&self, other: &Value) -> std::cmp::Ordering {
        self.type_code().cmp(&other.type_code()).then_with(|| match (self, other) {
            (Value::Integer(a), Value::Integer(b)) => a.cmp(b),
            (Value::Double(a), Value::Double(b)) => a.total_cmp(b),
            _ => self.text().cmp(&other.text()),
        })
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.rank(other).is_eq()
    }
}
impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.rank(other))
    }
}

impl Attribute {
    /// An attribute whose key is interned if the table has room.
    pub fn new(key: &str, value: Value) -> Attribute {
        let key = Name::intern(key).map_or_else(|| Text::own(key), Text::Name);
        Attribute { key, value }
    }
}
