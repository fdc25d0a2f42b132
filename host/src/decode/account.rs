//! From a span back to fields: what an agent could have written to give it.
//!
//! A dead letter has the fields of the entry that it was. Where the log has dropped the entry meanwhile, the host's own account of the span stands in.

use std::collections::HashMap;
use std::fmt::Display;

use super::fields::{AgentPart, Field, Typed};
use super::text::{is_none, readable};
use super::{Decoder, MAX_ENTRY_BYTES, MAX_FIELDS};
use crate::model::{Attribute, Span, SpanId, SpanState, Status, Trace, TraceId};
use crate::source::Batch;

/// Keys and values of one entry.
pub type Fields = Vec<(String, String)>;

/// Entries that decode to `span` of the trace called `trace`: one, or several that settle into it when one would be too large.
pub fn accounts(trace: &TraceId, span: &Span) -> Vec<Fields> {
    let field = |key: &str, value: &dyn Display| (key.to_owned(), value.to_string());
    let mut common = vec![field("trace_id", trace), field("span_id", &span.id)];
    if span.state == SpanState::Open {
        common.push(field("event_type", &"span_start"));
    }
    let common_bytes = common.iter().map(bytes).sum::<usize>();
    let (mut accounts, mut account, mut size) = (Vec::new(), common.clone(), common_bytes);
    for piece in pieces(span).chain(span.attributes.iter().map(attribute)) {
        let full = account.len() >= MAX_FIELDS || size + bytes(&piece) > MAX_ENTRY_BYTES;
        if full && account.len() > common.len() {
            accounts.push(std::mem::replace(&mut account, common.clone()));
            size = common_bytes;
        }
        size += bytes(&piece);
        account.push(piece);
    }
    accounts.push(account);
    accounts
}

/// What entries tell of a trace's spans.
#[derive(Debug, Clone, Default)]
pub struct Told(HashMap<SpanId, Span>);

impl Told {
    /// Takes in what the entries of `found` tell of the trace called `trace`.
    pub fn add(&mut self, trace: &TraceId, mut found: Batch) {
        let mut decoder = Decoder::default();
        let events = found.drain().filter_map(|entry| decoder.decode(&entry).ok()).filter(|event| event.trace == *trace);
        for event in events {
            match self.0.get_mut(&event.span.id) {
                Some(span) => span.settle(event.span),
                None => drop(self.0.insert(event.span.id.clone(), event.span)),
            }
        }
    }

    /// The accounts of `trace` that those entries do not give already.
    pub fn missing(&self, trace: &Trace) -> Vec<Fields> {
        let unknown = trace.spans.iter().filter(|span| self.0.get(&span.id) != Some(*span));
        unknown.flat_map(|span| accounts(&trace.id, span)).collect()
    }
}

/// The trace that an entry of these fields names, if it names one.
pub fn trace_of<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Option<TraceId> {
    let (_, text) = fields.filter(|(key, _)| Field::of(key) == Field::TraceId).last()?;
    let text = readable(text);
    (!is_none(&text)).then(|| TraceId::parse(&text))
}

fn bytes((key, value): &(String, String)) -> usize {
    key.len() + value.len()
}

/// All but ids, state and attributes.
fn pieces(span: &Span) -> impl Iterator<Item = (String, String)> {
    let resource = &span.resource;
    let success = match span.status {
        Status::Unset => None,
        Status::Ok => Some("true".to_owned()),
        Status::Error => Some("false".to_owned()),
    };
    let pieces = [
        ("parent_span", span.parent.as_ref().map(SpanId::to_string)),
        ("function_name", span.name.get().map(str::to_owned)),
        ("start_time", span.start.map(|time| decimal(time.get(), 9))),
        ("end_time", span.end.map(|time| decimal(time.get(), 9))),
        ("duration_ms", span.measured.map(|duration| decimal(duration.nanos(), 6))),
        ("success", success),
        ("error", span.error.get().map(str::to_owned)),
        ("agent_name", resource.name.get().map(str::to_owned)),
        ("agent_id", resource.id.get().map(str::to_owned)),
        ("agent_ip", resource.address.get().map(str::to_owned)),
        ("runtime", resource.runtime.get().map(str::to_owned)),
    ];
    let agent_keys = AgentPart::ATTRIBUTES.map(AgentPart::attribute_key);
    let of_agent = resource.attributes.iter().filter(move |own| agent_keys.contains(&Some(own.key.as_str())));
    let of_agent = of_agent.map(|own| (own.key.as_str().to_owned(), own.value.text().into_owned()));
    pieces.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).chain(of_agent)
}

/// An attribute as it came, if that is read as just this attribute.
fn attribute(own: Attribute<'_>) -> (String, String) {
    let key = own.key.as_str();
    let plain = matches!(Field::of(key.as_bytes()), Field::Other(typed) if typed.gives_back(own.value));
    (if plain { key.to_owned() } else { Typed::exact_key(own.value, key) }, own.value.text().into_owned())
}

/// `number` divided by ten to the power of `scale`, exactly.
fn decimal(number: u64, scale: u32) -> String {
    let one = 10u64.pow(scale);
    format!("{}.{:0width$}", number / one, number % one, width = scale as usize)
}

#[cfg(test)]
mod tests;
