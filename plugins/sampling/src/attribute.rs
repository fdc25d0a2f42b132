//! Where attributes are looked for: on the spans of a trace, and on the agents that made them.

use meshtrace_plugin::{Resource, Span, Trace, Value};

/// An attribute's key, as policies name it.
#[derive(Debug)]
pub struct Key {
    text: String,
    part: Option<Part>,
}

/// What is known of every agent has columns of its own; to OpenTelemetry these are attributes like others.
#[derive(Clone, Copy, Debug)]
enum Part {
    Name,
    Id,
    Address,
    Runtime,
}

/// A text, and where it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// On the agent.
    Agent(&'a str),
    /// On the span.
    Span(&'a str),
}

impl<'a> Found<'a> {
    /// The text itself.
    #[must_use]
    pub fn text(self) -> &'a str {
        match self {
            Found::Agent(text) | Found::Span(text) => text,
        }
    }
}

impl Key {
    /// The key called `text`: by OpenTelemetry's name, as an OTLP exporter sends it on, or by the name that agents use.
    ///
    /// # Errors
    /// When it is empty.
    pub fn new(text: String) -> Result<Self, String> {
        let part = match &*text {
            "" => return Err("key is empty; give the name of an attribute, such as \"service.name\"".to_owned()),
            "service.name" | "agent_name" => Some(Part::Name),
            "service.instance.id" | "agent_id" => Some(Part::Id),
            // Not `host.ip`: that is a list, and a list is no text.
            "agent_ip" => Some(Part::Address),
            "process.runtime.name" | "runtime" => Some(Part::Runtime),
            _ => None,
        };
        Ok(Key { text, part })
    }

    /// The key itself.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether some span of the trace, or the agent of some span, has this attribute with a type and a text that are wanted.
    ///
    /// `text` is asked first: one column of texts is cheap to read, types come with all attributes of the batch.
    pub fn any(&self, trace: &Trace<'_>, is_type: fn(Value<'_>) -> bool, mut text: impl FnMut(Found<'_>) -> bool) -> bool {
        let mut last_agent = None;
        trace.spans().any(|span| {
            // Spans of one agent mostly follow one another.
            let agent = span.resource();
            let seen = last_agent.replace(agent.row()) == Some(agent.row());
            (!seen && self.on_agent(&agent, is_type, &mut text)) || self.on_span(&span, is_type, &mut text)
        })
    }

    fn on_span(&self, span: &Span<'_>, is_type: fn(Value<'_>) -> bool, text: &mut impl FnMut(Found<'_>) -> bool) -> bool {
        let matches = span.attribute(&self.text).is_some_and(|value| text(Found::Span(value)));
        matches && span.attribute_value(&self.text).is_some_and(is_type)
    }

    fn on_agent(&self, agent: &Resource<'_>, is_type: fn(Value<'_>) -> bool, text: &mut impl FnMut(Found<'_>) -> bool) -> bool {
        let known = match self.part {
            Some(Part::Name) => agent.name(),
            Some(Part::Id) => agent.id(),
            Some(Part::Address) => agent.address(),
            Some(Part::Runtime) => agent.runtime(),
            None => None,
        };
        if let Some(known) = known {
            return is_type(Value::Text(known)) && text(Found::Agent(known));
        }
        let value = agent.attributes().find(|(key, _)| *key == self.text).map(|(_, value)| value);
        value.is_some_and(|value| is_type(value) && with_text(value, |value| text(Found::Agent(value))))
    }
}

/// Runs `f` on a value's text.
fn with_text(value: Value<'_>, f: impl FnOnce(&str) -> bool) -> bool {
    match value {
        Value::Text(text) | Value::Json(text) => f(text),
        Value::Bool(truth) => f(if truth { "true" } else { "false" }),
        Value::Integer(number) => f(&number.to_string()),
        Value::Double(number) => f(&number.to_string()),
    }
}
