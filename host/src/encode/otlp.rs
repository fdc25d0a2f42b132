//! OTLP: traces as an `ExportTraceServiceRequest`, OpenTelemetry's protobuf.
//!
//! Names are OpenTelemetry's semantic conventions where they have one, else the key that the agent used. Spans are encoded once per trace,
//! and requests are put together of what is there: a producer is one resource in each, however many traces it took part in.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use ahash::RandomState;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource as OtlpResource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span as OtlpSpan, Status as OtlpStatus};
use prost::encoding::{self, WireType};

use crate::model::{Attribute, Kind, Resource, Span, SpanId, SpanState, Status, Trace, TraceId, UnixNanos, Value};

/// Who made the spans, as far as OpenTelemetry is concerned.
const SCOPE: &str = "mcp-mesh";

/// Field numbers of the messages around a span.
mod field {
    /// `ExportTraceServiceRequest.resource_spans`.
    pub const RESOURCE_SPANS: u32 = 1;
    /// `ResourceSpans.resource`.
    pub const RESOURCE: u32 = 1;
    /// `ResourceSpans.scope_spans`.
    pub const SCOPE_SPANS: u32 = 2;
    /// `ScopeSpans.scope`.
    pub const SCOPE: u32 = 1;
    /// `ScopeSpans.spans`.
    pub const SPANS: u32 = 2;
}

/// The spans of one trace, encoded, by producer.
#[derive(Debug)]
pub struct OtlpSpans(Vec<(Arc<Resource>, Vec<u8>)>);

impl OtlpSpans {
    /// Encodes the spans of `trace`. A time that is not known is 0.
    pub fn of(trace: &Trace) -> OtlpSpans {
        let mut groups = Groups::<Vec<u8>>::default();
        for span in &trace.spans {
            encoding::message::encode(field::SPANS, &otlp_span(&trace.id, span), groups.of(&span.resource));
        }
        OtlpSpans(groups.found.into_iter().map(|(resource, spans)| (Arc::clone(resource), spans)).collect())
    }
}

/// The request that carries these traces: spans grouped by producer, in order of first appearance.
pub fn otlp<'a>(traces: impl Iterator<Item = &'a OtlpSpans>) -> Vec<u8> {
    let mut groups = Groups::<Vec<&[u8]>>::default();
    for (resource, spans) in traces.flat_map(|trace| &trace.0) {
        groups.of(resource).push(spans);
    }
    let scope = InstrumentationScope {
        name: SCOPE.to_owned(),
        ..InstrumentationScope::default()
    };
    let mut request = Vec::new();
    for (resource, spans) in groups.found {
        let resource = OtlpResource {
            attributes: resource_attributes(resource),
            ..OtlpResource::default()
        };
        let spans_bytes: usize = spans.iter().map(|spans| spans.len()).sum();
        let scope_spans_bytes = encoding::message::encoded_len(field::SCOPE, &scope) + spans_bytes;
        let resource_bytes = encoding::message::encoded_len(field::RESOURCE, &resource);
        begin(field::RESOURCE_SPANS, resource_bytes + begin_len(field::SCOPE_SPANS, scope_spans_bytes) + scope_spans_bytes, &mut request);
        encoding::message::encode(field::RESOURCE, &resource, &mut request);
        begin(field::SCOPE_SPANS, scope_spans_bytes, &mut request);
        encoding::message::encode(field::SCOPE, &scope, &mut request);
        spans.iter().for_each(|spans| request.extend_from_slice(spans));
    }
    request
}

/// What stands before a message of so many bytes.
fn begin(field: u32, bytes: usize, to: &mut Vec<u8>) {
    encoding::encode_key(field, WireType::LengthDelimited, to);
    encoding::encode_varint(bytes as u64, to);
}

fn begin_len(field: u32, bytes: usize) -> usize {
    encoding::key_len(field) + encoding::encoded_len_varint(bytes as u64)
}

/// Something for each producer. Most spans of an agent share one allocation; where they do not, equal producers still are one. Found by
/// hash, so that ten thousand spans with a producer each cost no comparison of all with all.
struct Groups<'a, T> {
    found: Vec<(&'a Arc<Resource>, T)>,
    by_pointer: HashMap<*const Resource, usize, RandomState>,
    by_content: HashMap<u64, Vec<usize>, RandomState>,
}

impl<T> Default for Groups<'_, T> {
    fn default() -> Self {
        Groups {
            found: Vec::new(),
            by_pointer: HashMap::default(),
            by_content: HashMap::default(),
        }
    }
}

impl<'a, T: Default> Groups<'a, T> {
    /// What this producer's group has.
    fn of(&mut self, resource: &'a Arc<Resource>) -> &mut T {
        let index = self.index(resource);
        &mut self.found[index].1
    }

    fn index(&mut self, resource: &'a Arc<Resource>) -> usize {
        if let Some(group) = self.by_pointer.get(&Arc::as_ptr(resource)) {
            return *group;
        }
        let alike = self.by_content.entry(content_hash(self.by_pointer.hasher(), resource)).or_default();
        let group = alike.iter().copied().find(|group| *self.found[*group].0 == *resource).unwrap_or_else(|| {
            self.found.push((resource, T::default()));
            alike.push(self.found.len() - 1);
            self.found.len() - 1
        });
        self.by_pointer.insert(Arc::as_ptr(resource), group);
        group
    }
}

/// Equal for equal resources.
fn content_hash(state: &RandomState, resource: &Resource) -> u64 {
    let mut hasher = state.build_hasher();
    for text in [&resource.name, &resource.id, &resource.address, &resource.runtime] {
        text.as_str().hash(&mut hasher);
    }
    for attribute in &resource.attributes {
        attribute.key.as_str().hash(&mut hasher);
        attribute.value.text().hash(&mut hasher);
    }
    hasher.finish()
}

fn resource_attributes(resource: &Resource) -> Vec<KeyValue> {
    let mut attributes = Vec::with_capacity(8);
    for (key, text) in
        [("service.name", &resource.name), ("service.instance.id", &resource.id), ("process.runtime.name", &resource.runtime)]
    {
        attributes.extend(text.get().map(|text| key_value(key, string(text))));
    }
    // A list, by the conventions: a host may have several addresses.
    attributes.extend(resource.address.get().map(|address| {
        let values = vec![AnyValue { value: Some(string(address)) }];
        key_value("host.ip", any_value::Value::ArrayValue(ArrayValue { values }))
    }));
    attributes.extend(resource.attributes.iter().map(attribute));
    attributes
}

fn otlp_span(trace_id: &TraceId, span: &Span) -> OtlpSpan {
    let mut attributes: Vec<KeyValue> = span.attributes.iter().map(attribute).collect();
    // OTLP's ids are bytes; the texts that they were made of are kept beside them when they say more. A key comes once.
    let mut add = |key: &str, value: any_value::Value| {
        if span.attribute(key).is_none() {
            attributes.push(key_value(key, value));
        }
    };
    if let TraceId::Text(text) = trace_id {
        add("mesh.trace_id", string(text));
    }
    if let SpanId::Text(text) = &span.id {
        add("mesh.span_id", string(text));
    }
    if let Some(SpanId::Text(text)) = &span.parent {
        add("mesh.parent_span", string(text));
    }
    if span.state == SpanState::Open {
        add("mesh.open", any_value::Value::BoolValue(true));
    }
    OtlpSpan {
        trace_id: trace_id.to_bytes().to_vec(),
        span_id: span.id.to_bytes().to_vec(),
        parent_span_id: span.parent.as_ref().map(|parent| parent.to_bytes().to_vec()).unwrap_or_default(),
        name: span.name.as_str().to_owned(),
        kind: kind(span.kind).into(),
        start_time_unix_nano: span.start.map_or(0, UnixNanos::get),
        end_time_unix_nano: span.finish().map_or(0, UnixNanos::get),
        attributes,
        status: status(span),
        ..OtlpSpan::default()
    }
}

/// `None` when nothing is known, which OTLP reads as unset.
fn status(span: &Span) -> Option<OtlpStatus> {
    let code = match span.status {
        Status::Unset if span.error.is_absent() => return None,
        Status::Unset => StatusCode::Unset,
        Status::Ok => StatusCode::Ok,
        Status::Error => StatusCode::Error,
    };
    Some(OtlpStatus {
        code: code.into(),
        message: span.error.as_str().to_owned(),
    })
}

fn kind(kind: Kind) -> SpanKind {
    match kind {
        Kind::Unspecified => SpanKind::Unspecified,
        Kind::Internal => SpanKind::Internal,
        Kind::Server => SpanKind::Server,
        Kind::Client => SpanKind::Client,
        Kind::Producer => SpanKind::Producer,
        Kind::Consumer => SpanKind::Consumer,
    }
}

fn attribute(attribute: Attribute<'_>) -> KeyValue {
    let value = match attribute.value {
        Value::Text(text) | Value::Json(text) => string(text),
        Value::Bool(truth) => any_value::Value::BoolValue(truth),
        Value::Integer(number) => any_value::Value::IntValue(number),
        Value::Double(number) => any_value::Value::DoubleValue(number),
    };
    key_value(attribute.key.as_str(), value)
}

fn string(text: &str) -> any_value::Value {
    any_value::Value::StringValue(text.to_owned())
}

fn key_value(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

#[cfg(test)]
mod tests;
