//! What has been gathered of an entry before it is an event.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::{Retry, resources};
use crate::model::{Attribute, Key, Name, SpanDuration, SpanState, Status, UnixNanos, Value};

/// Attributes that an entry may have before they need memory of their own: agents send six to twelve.
pub(super) const USUAL_ATTRIBUTES: usize = 16;

/// What has been gathered of an entry.
#[derive(Default)]
pub(super) struct Draft<'a> {
    pub trace_id: Option<Cow<'a, str>>,
    pub span_id: Option<Cow<'a, str>>,
    pub parent: Option<Cow<'a, str>>,
    pub event_type: Option<Cow<'a, str>>,
    pub operation: Option<Cow<'a, str>>,
    pub function_name: Option<Cow<'a, str>>,
    pub error: Option<Cow<'a, str>>,
    pub error_message: Option<Cow<'a, str>>,
    pub ip_address: Option<Cow<'a, str>>,
    pub start: Reading<'a, UnixNanos>,
    pub end: Reading<'a, UnixNanos>,
    pub timestamp: Reading<'a, UnixNanos>,
    pub measured: Reading<'a, SpanDuration>,
    pub status: Reading<'a, Status>,
    pub agent: resources::AgentFields<'a>,
    pub attributes: SmallVec<[Kept<'a>; USUAL_ATTRIBUTES]>,
    /// Whether their ranks are all of one order: no key was learned meanwhile.
    pub ranked: bool,
    pub retry: Option<Retry>,
}

/// An attribute that has been gathered.
pub(super) struct Kept<'a> {
    pub key: KeptKey<'a>,
    /// As [`super::keys::Known`] has it.
    pub rank: Option<u16>,
    pub value: Value<Cow<'a, str>>,
}

/// An attribute's key.
pub(super) enum KeptKey<'a> {
    Name(Name),
    Text(Cow<'a, str>),
}

impl Kept<'_> {
    /// The same attribute, looked at.
    pub fn view(&self) -> Attribute<'_> {
        let key = match &self.key {
            KeptKey::Name(name) => Key::Name(*name),
            KeptKey::Text(text) => Key::Text(text),
        };
        Attribute { key, value: self.value.view() }
    }
}

/// A value that was understood, and the text that it was read from.
pub(super) struct Reading<'a, T> {
    pub value: Option<T>,
    pub text: Cow<'a, str>,
}

impl<T> Default for Reading<'_, T> {
    fn default() -> Self {
        Reading { value: None, text: Cow::Borrowed("") }
    }
}

impl<'a, T: PartialEq> Reading<'a, T> {
    /// Takes what was understood of `text`; gives back the text that was there before, if that meant something else.
    ///
    /// # Errors
    /// `text` again, if nothing was understood.
    pub fn take_in(&mut self, value: Option<T>, text: Cow<'a, str>) -> Result<Option<Cow<'a, str>>, Cow<'a, str>> {
        if value.is_none() {
            return Err(text);
        }
        let other = self.value.is_some() && self.value != value;
        let before = std::mem::replace(self, Reading { value, text });
        Ok(other.then_some(before.text))
    }

    /// The text of a value that was not `used`.
    pub fn left(&mut self, used: bool) -> Option<Cow<'a, str>> {
        (self.value.is_some() && !used).then(|| std::mem::take(&mut self.text))
    }
}

/// What an event says about its span's life.
pub(super) struct Times {
    pub start: Option<UnixNanos>,
    pub end: Option<UnixNanos>,
    pub state: SpanState,
    pub status: Status,
}

impl Times {
    pub fn new(start: Option<UnixNanos>, end: Option<UnixNanos>, state: SpanState, status: Status) -> Times {
        Times { start, end, state, status }
    }
}
