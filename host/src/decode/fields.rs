//! The names of stream fields, and what each is.

use crate::model::Value;

/// What a field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    TraceId,
    SpanId,
    ParentSpan,
    EventType,
    Operation,
    FunctionName,
    Error,
    ErrorMessage,
    IpAddress,
    StartTime,
    EndTime,
    Timestamp,
    Duration,
    Success,
    /// Part of who produced the span.
    Agent(AgentPart),
    /// An attribute.
    Other(Typed),
    /// An attribute of just this type, whose key comes after so many bytes: how [`super::accounts`] writes what would be read as something else.
    Exact(Typed, usize),
    /// Says that a retry brought the entry back.
    Retry,
}

/// Fields that say who produced a span; the same in every event of one agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AgentPart {
    Name,
    Id,
    Address,
    Runtime,
    Namespace,
    Hostname,
    Port,
    Endpoint,
}

/// Number of [`AgentPart`]s.
pub(super) const AGENT_PARTS: usize = 8;

/// How an attribute's text is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Typed {
    Text,
    Bool,
    Integer,
    Double,
    Json,
}

/// How keys of our own begin. No agent writes any.
const OWN_PREFIX: &[u8] = b"meshtrace:";

/// What comes between [`OWN_PREFIX`] and the key of a [`Field::Exact`].
const EXACT: [(&str, Typed); 5] =
    [("text:", Typed::Text), ("bool:", Typed::Bool), ("integer:", Typed::Integer), ("double:", Typed::Double), ("json:", Typed::Json)];

impl Field {
    /// The field called `key`. Every name that MCP Mesh runtimes and documents use is here; every other is an attribute of type text.
    pub fn of(key: &[u8]) -> Field {
        match key {
            b"trace_id" => Field::TraceId,
            b"span_id" => Field::SpanId,
            b"parent_span" => Field::ParentSpan,
            b"event_type" => Field::EventType,
            b"operation" => Field::Operation,
            b"function_name" => Field::FunctionName,
            b"error" => Field::Error,
            b"error_message" => Field::ErrorMessage,
            b"start_time" => Field::StartTime,
            b"end_time" => Field::EndTime,
            b"timestamp" => Field::Timestamp,
            b"duration_ms" => Field::Duration,
            b"success" => Field::Success,
            b"agent_name" => Field::Agent(AgentPart::Name),
            b"agent_id" => Field::Agent(AgentPart::Id),
            b"agent_ip" => Field::Agent(AgentPart::Address),
            b"ip_address" => Field::IpAddress,
            b"runtime" => Field::Agent(AgentPart::Runtime),
            b"agent_namespace" => Field::Agent(AgentPart::Namespace),
            b"agent_hostname" => Field::Agent(AgentPart::Hostname),
            b"agent_port" => Field::Agent(AgentPart::Port),
            b"agent_endpoint" => Field::Agent(AgentPart::Endpoint),
            b"args_count"
            | b"kwargs_count"
            | b"injected_dependencies"
            | b"call_attempts"
            | b"status_code"
            | b"request_bytes"
            | b"response_bytes"
            | b"llm_input_tokens"
            | b"llm_output_tokens"
            | b"llm_total_tokens" => Field::Other(Typed::Integer),
            b"published_at" => Field::Other(Typed::Double),
            b"dependencies" | b"mesh_positions" => Field::Other(Typed::Json),
            _ => key.strip_prefix(OWN_PREFIX).and_then(Field::own).unwrap_or(Field::Other(Typed::Text)),
        }
    }

    /// Of an attribute whose field has this key, its own.
    pub fn attribute_key(self, key: &[u8]) -> Option<&[u8]> {
        match self {
            Field::Other(_) => Some(key),
            Field::Exact(_, prefix) => key.get(prefix..),
            _ => None,
        }
    }

    /// The field of our own whose key goes on like this.
    fn own(rest: &[u8]) -> Option<Field> {
        if rest == b"retry" {
            return Some(Field::Retry);
        }
        let (word, typed) = EXACT.iter().find(|(word, _)| rest.starts_with(word.as_bytes()))?;
        Some(Field::Exact(*typed, OWN_PREFIX.len() + word.len()))
    }
}

impl AgentPart {
    /// The key of the resource attribute that this part becomes; `None` for those that have a field of their own.
    pub fn attribute_key(self) -> Option<&'static str> {
        match self {
            AgentPart::Name | AgentPart::Id | AgentPart::Address | AgentPart::Runtime => None,
            AgentPart::Namespace => Some("agent_namespace"),
            AgentPart::Hostname => Some("agent_hostname"),
            AgentPart::Port => Some("agent_port"),
            AgentPart::Endpoint => Some("agent_endpoint"),
        }
    }

    /// The parts that become attributes, in byte order of their keys.
    pub const ATTRIBUTES: [AgentPart; 4] = [AgentPart::Endpoint, AgentPart::Hostname, AgentPart::Namespace, AgentPart::Port];
}

impl Typed {
    /// The number that `text` is, if that says just what the text says: `007` stays a text, lest a leading zero be lost. A double may be
    /// written in several ways; its value is what counts.
    pub fn value<T>(self, text: &str) -> Option<Value<T>> {
        match self {
            Typed::Text | Typed::Json => None,
            Typed::Bool => text.parse().ok().map(Value::Bool),
            Typed::Integer => whole(text).map(Value::Integer),
            Typed::Double => text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::Double),
        }
    }

    /// Whether `text` is to be kept as JSON.
    pub fn is_json(self, text: &str) -> bool {
        self == Typed::Json && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
    }

    /// Whether the text of `value` is read as `value` again.
    pub fn gives_back(self, value: Value<&str>) -> bool {
        let text = value.text();
        match self.value::<&str>(&text) {
            Some(read) => read == value,
            None if self.is_json(&text) => matches!(value, Value::Json(_)),
            None => matches!(value, Value::Text(_)),
        }
    }

    /// The key of a [`Field::Exact`] for an attribute called `key` with this value.
    pub fn exact_key(value: Value<&str>, key: &str) -> String {
        let word = match value {
            Value::Text(_) => "text:",
            Value::Bool(_) => "bool:",
            Value::Integer(_) => "integer:",
            Value::Double(_) => "double:",
            Value::Json(_) => "json:",
        };
        format!("meshtrace:{word}{key}")
    }
}

/// The integer that `text` writes in just the way in which it is written.
fn whole(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let as_written = match digits.as_bytes() {
        [b'0'] => digits.len() == text.len(),
        [b'1'..=b'9', ..] => true,
        _ => false,
    };
    if as_written { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_is_what_is_written_as_one_is() {
        for text in [
            "0",
            "-0",
            "7",
            "-7",
            "007",
            "-07",
            "+7",
            "",
            "-",
            " 7",
            "7 ",
            "1e3",
            "7.0",
            "٣",
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775808",
            "--1",
        ] {
            let expected = text.parse::<i64>().ok().filter(|number| number.to_string() == text);
            assert_eq!(whole(text), expected, "{text:?}");
        }
    }
}
