//! From an entry's fields to a span: the only stage that knows the names of stream fields.
//!
//! Agents publish one complete span when it ends (no `event_type`); other writers may publish `span_start`, `span_end` and `error`
//! events, as MCP Mesh documents them. All of them are accounts of a span, and settle into one. What has no field of its
//! own becomes an attribute: nothing on the wire is thrown away. `account` goes the other way, from a span to the fields that give it.
//!
//! Must never: do I/O, fail on anything but a missing id or an event that says nothing, or panic on any bytes.

mod account;
mod decimal;
mod draft;
mod fields;
#[cfg(any(test, feature = "fuzz"))]
mod fuzz;
mod keys;
mod reject;
mod resources;
mod retry;
mod text;

pub use account::{Fields, Told, accounts, trace_of};
#[cfg(any(test, feature = "fuzz"))]
pub use fuzz::entry as fuzz_entry;
pub use reject::Reject;
pub use retry::{RETRY_FIELD, Retry};

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::model::{Attributes, NameTable, Packer, Span, SpanDuration, SpanId, SpanState, Status, TraceId, UnixNanos, Value};
use crate::source::Entry;
use draft::{Draft, Kept, KeptKey, Times, USUAL_ATTRIBUTES};
use fields::{AgentPart, Field, Typed};
use keys::{Keys, Known};
use resources::ResourceTable;
use text::{is_none, readable};

/// The largest entry, in bytes of keys and values (but for [`RETRY_FIELD`]), that becomes a span; a larger one is a dead letter, whole.
pub const MAX_ENTRY_BYTES: usize = 1024 * 1024;

/// The most fields that an entry may have, but for [`RETRY_FIELD`].
pub const MAX_FIELDS: usize = 1024;

/// An account of one span.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The trace that the span belongs to.
    pub trace: TraceId,
    /// The span, as far as this event tells.
    pub span: Span,
    /// The retry that brought the event back from the dead letters, if one did.
    pub retry: Option<Retry>,
}

/// Turns entries into events, remembering keys, texts and agents that repeat.
#[derive(Debug, Default)]
pub struct Decoder {
    names: NameTable,
    keys: Keys,
    resources: ResourceTable,
    packer: Packer,
    unreadable_values: u64,
}

impl Decoder {
    /// The event that `entry` describes.
    pub fn decode(&mut self, entry: &Entry<'_>) -> Result<Event, Reject> {
        if let Some(bytes) = entry.unread {
            return Err(Reject::Unread(bytes));
        }
        let (mut bytes, mut count) = (entry.size(), entry.count());
        if bytes > MAX_ENTRY_BYTES || count > MAX_FIELDS {
            (bytes, count) = retry::extent_without_marker(entry.fields());
        }
        if bytes > MAX_ENTRY_BYTES {
            return Err(Reject::TooLarge(bytes));
        }
        if count > MAX_FIELDS {
            return Err(Reject::TooManyFields(count));
        }
        self.decode_fields(entry)
    }

    /// Values so far that were of another form than their field wants (a time that is no number, say). Each was kept as an attribute.
    pub fn unreadable_values(&self) -> u64 {
        self.unreadable_values
    }

    fn decode_fields(&mut self, entry: &Entry<'_>) -> Result<Event, Reject> {
        let mut draft = Draft::default();
        let generation = self.keys.generation();
        for (key, value, text) in entry.texts() {
            let known = self.keys.of(key, &mut self.names);
            self.take_field(&mut draft, known, key, text.map_or_else(|| readable(value), Cow::Borrowed));
        }
        draft.ranked = self.keys.generation() == generation;
        self.finish(&mut draft)
    }

    fn take_field<'a>(&mut self, draft: &mut Draft<'a>, Known { field, name, rank }: Known, key: &'a [u8], value: Cow<'a, str>) {
        let slot = match field {
            Field::StartTime | Field::EndTime | Field::Timestamp | Field::Duration | Field::Success => {
                return self.take_number(draft, field, key, value);
            }
            Field::Other(typed) | Field::Exact(typed, _) => {
                let key = name.map_or_else(|| self.key(readable(field.attribute_key(key).unwrap_or_default())), KeptKey::Name);
                let value = attribute_value(typed, value);
                return draft.attributes.push(Kept { key, rank, value });
            }
            Field::Retry => {
                draft.retry = Some(Retry::of(&value));
                return;
            }
            Field::TraceId => &mut draft.trace_id,
            Field::SpanId => &mut draft.span_id,
            Field::ParentSpan => &mut draft.parent,
            Field::EventType => &mut draft.event_type,
            Field::Operation => &mut draft.operation,
            Field::FunctionName => &mut draft.function_name,
            Field::Error => &mut draft.error,
            Field::ErrorMessage => &mut draft.error_message,
            Field::IpAddress => &mut draft.ip_address,
            Field::Agent(part) => &mut draft.agent[part as usize],
        };
        let optional = !matches!(field, Field::TraceId | Field::SpanId);
        if optional && is_none(&value) {
            return;
        }
        // A field may come twice; the second is no reason to forget the first.
        if let Some(first) = slot.replace(value).filter(|first| Some(first) != slot.as_ref()) {
            self.keep(draft, readable(key), first);
        }
    }

    /// Keeps what has a field of its own, and does not fit into it.
    fn keep<'a>(&mut self, draft: &mut Draft<'a>, key: Cow<'a, str>, value: Cow<'a, str>) {
        let key = self.key(key);
        draft.attributes.push(Kept {
            key,
            rank: None,
            value: Value::Text(value),
        });
    }

    fn key<'a>(&mut self, text: Cow<'a, str>) -> KeptKey<'a> {
        self.names.name(&text).map_or(KeptKey::Text(text), KeptKey::Name)
    }

    /// Of two fields that mean the same, the first that is there; the other is kept under its name when it says something else.
    fn either<'a>(
        &mut self,
        draft: &mut Draft<'a>,
        first: Option<Cow<'a, str>>,
        other: Option<Cow<'a, str>>,
        other_key: &'static str,
    ) -> Option<Cow<'a, str>> {
        match (first, other) {
            (Some(first), Some(other)) if first != other => {
                self.keep(draft, other_key.into(), other);
                Some(first)
            }
            (first, other) => first.or(other),
        }
    }

    /// A field whose value has to be understood; what cannot be is kept as it came.
    fn take_number<'a>(&mut self, draft: &mut Draft<'a>, field: Field, key: &'a [u8], value: Cow<'a, str>) {
        if is_none(&value) {
            return;
        }
        let understood = match field {
            Field::StartTime => draft.start.take_in(seconds(&value), value),
            Field::EndTime => draft.end.take_in(seconds(&value), value),
            Field::Timestamp => draft.timestamp.take_in(seconds(&value), value),
            Field::Duration => draft.measured.take_in(milliseconds(&value), value),
            _ => draft.status.take_in(success(&value), value),
        };
        let left = understood.unwrap_or_else(|unreadable| {
            self.unreadable_values += 1;
            Some(unreadable)
        });
        if let Some(left) = left {
            self.keep(draft, readable(key), left);
        }
    }

    /// The attributes that have been gathered.
    fn attributes(&mut self, draft: &Draft<'_>) -> Attributes {
        let gathered = &draft.attributes;
        let rank = |kept: &Kept<'_>| kept.rank.filter(|_| draft.ranked);
        let ranked = gathered.iter().zip(0_u16..).map(|(kept, at)| Some((rank(kept)?, at)));
        let Some(mut order) = ranked.collect::<Option<SmallVec<[(u16, u16); USUAL_ATTRIBUTES]>>>() else {
            return Attributes::of(gathered.iter().map(Kept::view).collect());
        };
        order.sort_unstable();
        if order.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Attributes::of(gathered.iter().map(Kept::view).collect());
        }
        for (_, at) in &order {
            self.packer.push(gathered[usize::from(*at)].view());
        }
        self.packer.finish()
    }

    fn finish(&mut self, draft: &mut Draft<'_>) -> Result<Event, Reject> {
        let trace_text = draft.trace_id.take().filter(|text| !is_none(text)).ok_or(Reject::NoTraceId)?;
        let span_text = draft.span_id.take().filter(|text| !is_none(text)).ok_or(Reject::NoSpanId)?;
        let times = self.times(draft)?;
        let (trace, id) = (TraceId::parse(&trace_text), SpanId::parse(&span_text));
        let parent = draft.parent.as_deref().map(SpanId::parse);
        self.keep_long_id(draft, "trace_id", trace_text);
        self.keep_long_id(draft, "span_id", span_text);
        if let Some(text) = draft.parent.take() {
            self.keep_long_id(draft, "parent_span", text);
        }
        let (operation, function) = (draft.operation.take(), draft.function_name.take());
        let name = self.either(draft, operation, function, "function_name").unwrap_or_default();
        let (error, message) = (draft.error.take(), draft.error_message.take());
        let error = self.either(draft, error, message, "error_message").unwrap_or_default();
        let (ip, address) = (draft.agent[AgentPart::Address as usize].take(), draft.ip_address.take());
        draft.agent[AgentPart::Address as usize] = self.either(draft, ip, address, "ip_address");
        let attributes = self.attributes(draft);
        let span = Span {
            id,
            parent,
            name: self.names.text(&name),
            error: self.names.text(&error),
            resource: self.resources.resource(&mut self.names, &draft.agent),
            start: times.start,
            end: times.end,
            measured: draft.measured.value,
            state: times.state,
            status: times.status,
            kind: Default::default(),
            attributes,
        };
        let retry = draft.retry;
        Ok(Event { trace, span, retry })
    }

    /// A very long id is hashed; the text itself stays with the span.
    fn keep_long_id<'a>(&mut self, draft: &mut Draft<'a>, key: &'static str, text: Cow<'a, str>) {
        if text.len() > crate::model::MAX_ID_BYTES {
            self.keep(draft, key.into(), text);
        }
    }

    /// What the event says about the span's life, by its kind.
    fn times(&mut self, draft: &mut Draft<'_>) -> Result<Times, Reject> {
        let status = draft.status.value.unwrap_or_default();
        let (start, end, timestamp) = (draft.start.value, draft.end.value, draft.timestamp.value);
        let times = match draft.event_type.as_deref() {
            Some("span_start") => Times::new(start.or(timestamp), None, SpanState::Open, status),
            Some("span_end") => Times::new(start, end.or(timestamp), SpanState::Closed, status),
            // The documents' third event: the operation ended, and by failing.
            Some("error") => Times::new(start, end.or(timestamp), SpanState::Closed, Status::Error),
            other => {
                if let Some(kind) = other {
                    if start.is_none() || (end.is_none() && draft.measured.value.is_none()) {
                        return Err(Reject::UnknownEvent(kind.chars().take(100).collect()));
                    }
                    let kind = kind.to_owned();
                    self.keep(draft, "event_type".into(), kind.into());
                }
                Times::new(start.or(timestamp), end, SpanState::Closed, status)
            }
        };
        let unused = [
            ("end_time", draft.end.left(end == times.end)),
            ("timestamp", draft.timestamp.left(timestamp == times.start || timestamp == times.end)),
            ("success", draft.status.left(status == times.status)),
        ];
        for (key, text) in unused {
            if let Some(text) = text {
                self.keep(draft, key.into(), text);
            }
        }
        Ok(times)
    }
}

/// What the text of an attribute says.
fn attribute_value(typed: Typed, text: Cow<'_, str>) -> Value<Cow<'_, str>> {
    match typed.value(&text) {
        Some(value) => value,
        None if typed.is_json(&text) => Value::Json(text),
        None => Value::Text(text),
    }
}

/// Unix seconds, as decimal text, to the nanosecond.
fn seconds(text: &str) -> Option<UnixNanos> {
    UnixNanos::new(decimal::parse_scaled(text, 9)?)
}

/// Milliseconds, as decimal text; never negative.
fn milliseconds(text: &str) -> Option<SpanDuration> {
    let nanos = decimal::parse_scaled(text, 6)?;
    u64::try_from(nanos).ok().map(SpanDuration::from_nanos)
}

/// `True`, `true`, `False`, `false` and the like.
fn success(text: &str) -> Option<Status> {
    if text.eq_ignore_ascii_case("true") {
        Some(Status::Ok)
    } else if text.eq_ignore_ascii_case("false") {
        Some(Status::Error)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
