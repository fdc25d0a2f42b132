//! A span's attributes in one piece of memory: a million open spans wait together, and of most nobody ever reads one.

use std::fmt;

use super::{Name, Text, Value};

/// Attributes: keys in byte order, each once.
///
/// One text holds all of them, one after the other: the key (a name's index, or the text itself), the value's type, the value. Numbers are
/// written six bits to an ASCII character. So the whole is text as well, and reading a part of it checks nothing again.
#[derive(Clone, Default)]
pub struct Attributes {
    packed: Box<str>,
}

/// One attribute, as it is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attribute<'a> {
    /// Its key.
    pub key: Key<'a>,
    /// Its value.
    pub value: Value<&'a str>,
}

/// An attribute's key: interned, unless the table of names is full.
#[derive(Clone, Copy)]
pub enum Key<'a> {
    /// Interned.
    Name(Name),
    /// Held by the attributes themselves.
    Text(&'a str),
}

impl<'a> Key<'a> {
    /// The text.
    pub fn as_str(self) -> &'a str {
        match self {
            Key::Name(name) => name.as_str(),
            Key::Text(text) => text,
        }
    }
}

impl<'a> From<&'a Text> for Key<'a> {
    fn from(text: &'a Text) -> Key<'a> {
        match text {
            Text::Name(Some(name)) => Key::Name(*name),
            other => Key::Text(other.as_str()),
        }
    }
}

impl From<Key<'_>> for Text {
    fn from(key: Key<'_>) -> Text {
        match key {
            Key::Name(name) => Text::Name(Some(name)),
            Key::Text(text) => Text::own(text),
        }
    }
}

impl PartialEq for Key<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Key::Name(one), Key::Name(other)) => one == other,
            _ => self.as_str() == other.as_str(),
        }
    }
}
impl fmt::Debug for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl Attributes {
    /// These, in whatever order and number they come: of several values for a key, the one that every order of arrival settles on.
    pub fn of(mut attributes: Vec<Attribute<'_>>) -> Attributes {
        attributes.sort_by(|a, b| a.key.as_str().cmp(b.key.as_str()));
        attributes.dedup_by(|later, kept| {
            let same = later.key == kept.key;
            if same && kept.value < later.value {
                kept.value = later.value;
            }
            same
        });
        let mut packer = Packer::default();
        attributes.into_iter().for_each(|attribute| packer.push(attribute));
        packer.finish()
    }

    /// All of them, in byte order of their keys.
    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: &self.packed }
    }

    /// The value of the one with this key. They are looked through: most spans have a dozen.
    pub fn get(&self, key: &str) -> Option<Value<&str>> {
        self.iter().find(|own| own.key.as_str() == key).map(|own| own.value)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.packed.is_empty()
    }

    /// Heap bytes that they hold.
    pub fn heap_bytes(&self) -> usize {
        self.packed.len()
    }

    /// Unites two lists.
    pub(super) fn settle(&mut self, other: &Attributes) {
        if self.packed != other.packed {
            *self = Attributes::of(self.iter().chain(other).collect());
        }
    }
}

impl<'a> IntoIterator for &'a Attributes {
    type Item = Attribute<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl<K: AsRef<str>, T: AsRef<str>> FromIterator<(K, Value<T>)> for Attributes {
    /// As [`Attributes::of`]; the keys are interned if the table has room.
    fn from_iter<I: IntoIterator<Item = (K, Value<T>)>>(attributes: I) -> Attributes {
        let held: Vec<(K, Value<T>)> = attributes.into_iter().collect();
        let read = held.iter().map(|(key, value)| Attribute {
            key: Name::intern(key.as_ref()).map_or_else(|| Key::Text(key.as_ref()), Key::Name),
            value: value.view(),
        });
        Attributes::of(read.collect())
    }
}

impl PartialEq for Attributes {
    fn eq(&self, other: &Self) -> bool {
        self.packed == other.packed || self.iter().eq(other)
    }
}
impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

/// Bits of a number in one character, and the mark of one that is not the number's last.
const DIGIT_BITS: u32 = 6;
const MORE: u8 = 1 << DIGIT_BITS;

/// Puts attributes together, and keeps its room for the next ones.
#[derive(Debug, Default)]
pub struct Packer {
    packed: String,
}

impl Packer {
    /// Appends an attribute, whose key comes behind those of all before it.
    pub fn push(&mut self, attribute: Attribute<'_>) {
        match attribute.key {
            Key::Name(name) => self.number(u64::from(name.index()) << 1),
            Key::Text(text) => {
                self.number((text.len() as u64) << 1 | 1);
                self.packed.push_str(text);
            }
        }
        self.packed.push(char::from(attribute.value.type_code()));
        match attribute.value {
            Value::Text(text) | Value::Json(text) => {
                self.number(text.len() as u64);
                self.packed.push_str(text);
            }
            Value::Bool(truth) => self.number(u64::from(truth)),
            // Small ones of either sign are short.
            Value::Integer(number) => self.number((number << 1 ^ number >> 63) as u64),
            // Those of few digits are short: the end of their bits is zero.
            Value::Double(number) => self.number(number.to_bits().reverse_bits()),
        }
    }

    /// What has been put together.
    pub fn finish(&mut self) -> Attributes {
        let packed = Box::from(self.packed.as_str());
        self.packed.clear();
        Attributes { packed }
    }

    fn number(&mut self, mut number: u64) {
        while number >= u64::from(MORE) {
            self.packed.push(char::from((number as u8 & (MORE - 1)) | MORE));
            number >>= DIGIT_BITS;
        }
        self.packed.push(char::from(number as u8));
    }
}

/// Reads packed attributes.
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    rest: &'a str,
}

impl<'a> Iter<'a> {
    fn digit(&mut self) -> Option<u8> {
        let digit = *self.rest.as_bytes().first()?;
        self.rest = self.rest.get(1..)?;
        Some(digit)
    }

    fn number(&mut self) -> Option<u64> {
        let (mut number, mut shift) = (0, 0);
        loop {
            let digit = self.digit()?;
            number |= u64::from(digit & (MORE - 1)) << shift;
            if digit & MORE == 0 {
                return Some(number);
            }
            shift += DIGIT_BITS;
        }
    }

    fn text(&mut self, length: u64) -> Option<&'a str> {
        let (text, rest) = self.rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.rest = rest;
        Some(text)
    }

    fn key(&mut self) -> Option<Key<'a>> {
        let number = self.number()?;
        match number & 1 {
            0 => Name::at((number >> 1) as u32).map(Key::Name),
            _ => self.text(number >> 1).map(Key::Text),
        }
    }

    fn value(&mut self) -> Option<Value<&'a str>> {
        let (code, number) = (self.digit()?, self.number()?);
        Some(match code {
            0 => Value::Text(self.text(number)?),
            1 => Value::Bool(number == 1),
            2 => Value::Integer((number >> 1) as i64 ^ -((number & 1) as i64)),
            3 => Value::Double(f64::from_bits(number.reverse_bits())),
            _ => Value::Json(self.text(number)?),
        })
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let (key, value) = (self.key()?, self.value()?);
        Some(Attribute { key, value })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_value() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<String>().prop_map(|text| Value::Text(text.into())),
            any::<bool>().prop_map(Value::Bool),
            prop_oneof![any::<i64>(), -70..70_i64, Just(i64::MIN), Just(i64::MAX)].prop_map(Value::Integer),
            prop_oneof![any::<f64>(), Just(0.0), Just(-0.0), Just(0.5), Just(1e300)].prop_map(Value::Double),
            "[0-9]{1,9}".prop_map(|text| Value::Json(text.into())),
        ]
    }

    proptest! {
        #[test]
        fn what_was_put_in_is_read_again(given in proptest::collection::btree_map(any::<String>(), any_value(), 0..40), interned: bool) {
            let mut packer = Packer::default();
            for (key, value) in &given {
                // Not every key that a test makes up: the table of names is the process's.
                let name = if interned && key.len() < 2 { Name::intern(key) } else { None };
                packer.push(Attribute { key: name.map_or(Key::Text(key), Key::Name), value: value.view() });
            }
            let packed = packer.finish();
            let read: Vec<(&str, Value<&str>)> = packed.iter().map(|own| (own.key.as_str(), own.value)).collect();
            let expected: Vec<(&str, Value<&str>)> = given.iter().map(|(key, value)| (key.as_str(), value.view())).collect();
            prop_assert_eq!(&read, &expected);
            prop_assert!(given.iter().all(|(key, value)| packed.get(key) == Some(value.view())));
            prop_assert_eq!(packed.is_empty(), given.is_empty());
        }

        #[test]
        fn in_whatever_order_they_come_they_settle_alike(
            given in proptest::collection::vec(("[a-c]{0,2}", any_value()), 0..12),
            cut in 0..12_usize,
        ) {
            let all: Attributes = given.iter().map(|(key, value)| (key, value.view())).collect();
            let reversed: Attributes = given.iter().rev().map(|(key, value)| (key, value.view())).collect();
            prop_assert_eq!(&all, &reversed);
            let (first, second) = given.split_at(cut.min(given.len()));
            let part = |given: &[(String, Value)]| given.iter().map(|(key, value)| (key, value.view())).collect::<Attributes>();
            let (mut one, mut other) = (part(first), part(second));
            one.settle(&part(second));
            other.settle(&part(first));
            prop_assert_eq!(&one, &all);
            prop_assert_eq!(&other, &all);
        }
    }

    #[test]
    fn a_key_is_the_same_interned_or_not() {
        let name = Name::intern("a key that is interned").expect("a name");
        let of = |key| Attributes::of(vec![Attribute { key, value: Value::Bool(true) }]);
        assert_eq!(of(Key::Name(name)), of(Key::Text("a key that is interned")));
        assert_ne!(of(Key::Name(name)), of(Key::Text("another")));
        assert!(of(Key::Name(name)).heap_bytes() < 6, "an index, a type, a bit");
    }
}
