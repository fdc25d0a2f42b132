//! OTLP: traces as an `ExportTraceServiceRequest`, OpenTelemetry's protobuf.
//!
//! Names are OpenTelemetry's semantic conventions where they have one, else the key that the agent used. Requests of several
//! traces may be concatenated: protobuf unites repeated fields.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use ahash::RandomState;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource as OtlpResource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as OtlpSpan, Status as OtlpStatus};
use prost::Message;

use crate::model::{Attribute, Kind, Resource, Span, SpanId, SpanState, Status, Trace, TraceId, UnixNanos, Value};

/// Who made the spans, as far as OpenTelemetry is concerned.
const SCOPE: &str = "mcp-mesh";

/// The request that carries `traces`: spans grouped by producer, in order of first appearance. A time that is not known is 0.
pub fn otlp(traces: &[&Trace]) -> Vec<u8> {
    let mut groups = Groups::default();
    for trace in traces {
        for span in &trace.spans {
            let group = groups.of(&span.resource);
            groups.found[group].1.push(otlp_span(&trace.id, span));
        }
    }
    let resource_spans = groups.found.into_iter().map(|(resource, spans)| ResourceSpans {
        resource: Some(OtlpResource {
            attributes: resource_attributes(resource),
            ..OtlpResource::default()
        }),
        scope_spans: vec![ScopeSpans {
            scope: Some(InstrumentationScope {
                name: SCOPE.to_owned(),
                ..InstrumentationScope::default()
            }),
            spans,
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    });
    ExportTraceServiceRequest { resource_spans: resource_spans.collect() }.encode_to_vec()
}

/// Spans by producer. Most spans of an agent share one allocation; where they do not, equal producers still are one. Found by
/// hash, so that ten thousand spans with a producer each cost no comparison of all with all.
#[derive(Default)]
struct Groups<'a> {
    found: Vec<(&'a Resource, Vec<OtlpSpan>)>,
    by_pointer: HashMap<*const Resource, usize, RandomState>,
    by_content: HashMap<u64, Vec<usize>, RandomState>,
}

impl<'a> Groups<'a> {
    /// The index in `found` of this producer's group.
    fn of(&mut self, resource: &'a Arc<Resource>) -> usize {
        if let Some(group) = self.by_pointer.get(&Arc::as_ptr(resource)) {
            return *group;
        }
        let alike = self.by_content.entry(content_hash(self.by_pointer.hasher(), resource)).or_default();
        let group = alike.iter().copied().find(|group| *self.found[*group].0 == **resource).unwrap_or_else(|| {
            self.found.push((resource, Vec::new()));
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
    let mut attributes = Vec::with_capacity(4 + resource.attributes.len());
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

fn attribute(attribute: &Attribute) -> KeyValue {
    let value = match &attribute.value {
        Value::Text(text) | Value::Json(text) => string(text.as_str()),
        Value::Bool(truth) => any_value::Value::BoolValue(*truth),
        Value::Integer(number) => any_value::Value::IntValue(*number),
        Value::Double(number) => any_value::Value::DoubleValue(*number),
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
