//! What a collector reads out of the bytes.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;

use prost::Message;

use super::*;
use crate::encode::sample;

/// The request that carries these traces.
fn otlp(traces: &[&Trace]) -> Vec<u8> {
    let encoded: Vec<OtlpSpans> = traces.iter().map(|trace| OtlpSpans::of(trace)).collect();
    super::otlp(encoded.iter())
}

fn read(traces: &[&Trace]) -> Vec<ResourceSpans> {
    ExportTraceServiceRequest::decode(otlp(traces).as_slice()).unwrap().resource_spans
}

fn value<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a any_value::Value> {
    let mut found = attributes.iter().filter(|attribute| attribute.key == key);
    let value = found.next()?.value.as_ref()?.value.as_ref();
    assert!(found.next().is_none(), "{key} comes once");
    value
}

fn text(text: &str) -> any_value::Value {
    any_value::Value::StringValue(text.to_owned())
}

#[test]
fn a_producer_is_a_resource_with_conventional_names() {
    let groups = read(&[&sample::documented()]);
    assert_eq!(groups.len(), 3);
    let weather = &groups[0].resource.as_ref().unwrap().attributes;
    assert_eq!(value(weather, "service.name"), Some(&text("weather-service")));
    assert_eq!(value(weather, "service.instance.id"), Some(&text("weather-123")));
    assert_eq!(value(weather, "process.runtime.name"), Some(&text("python-3.11")));
    assert_eq!(value(weather, "agent_port"), Some(&any_value::Value::IntValue(9091)));
    let Some(any_value::Value::ArrayValue(addresses)) = value(weather, "host.ip") else { panic!("a list") };
    assert_eq!(addresses.values[0].value, Some(text("192.168.1.100")));
    assert!(groups[2].resource.as_ref().unwrap().attributes.is_empty());
    assert_eq!(groups[0].scope_spans[0].scope.as_ref().unwrap().name, "mcp-mesh");
}

#[test]
fn a_span_keeps_its_times_status_kind_and_typed_attributes() {
    let groups = read(&[&sample::documented()]);
    let child = &groups[1].scope_spans[0].spans[0];
    assert_eq!(child.name, "tool:process_data");
    assert_eq!(child.kind(), SpanKind::Client);
    assert_eq!(child.start_time_unix_nano, 1_704_103_200_050_000_000);
    assert_eq!(child.end_time_unix_nano, 1_704_103_200_300_000_000);
    let status = child.status.as_ref().unwrap();
    assert_eq!((status.code(), status.message.as_str()), (StatusCode::Error, "boom\n\"quoted\""));
    assert_eq!(value(&child.attributes, "dependencies"), Some(&text(r#"["a",{"b":null}]"#)));
    let root = &groups[0].scope_spans[0].spans[0];
    assert_eq!(value(&root.attributes, "args_count"), Some(&any_value::Value::IntValue(2)));
    assert_eq!(value(&root.attributes, "capability"), Some(&text("get_weather")));
    assert!(root.parent_span_id.is_empty());
}

#[test]
fn ids_are_bytes_and_texts_that_say_more_stay_beside_them() {
    let trace = sample::documented();
    let groups = read(&[&trace]);
    let (root, child) = (&groups[0].scope_spans[0].spans[0], &groups[1].scope_spans[0].spans[0]);
    assert_eq!(root.trace_id, trace.id.to_bytes());
    assert_eq!(root.trace_id[..2], [0xa1, 0xb2], "dashes aside, the id is hex");
    assert_eq!(child.span_id, [0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]);
    assert_eq!(child.parent_span_id, root.span_id);
    assert_eq!(value(&child.attributes, "mesh.trace_id"), Some(&text("a1b2c3d4-e5f6-7890-abcd-ef1234567890")));
    assert_eq!(value(&child.attributes, "mesh.span_id"), None);
    assert_eq!(value(&child.attributes, "mesh.parent_span"), Some(&text("x1y2z3w4-a5b6-c789-def0-123456789abc")));
    assert_eq!(value(&root.attributes, "mesh.parent_span"), None);
}

#[test]
fn what_is_unknown_is_zero_and_unset() {
    let groups = read(&[&sample::documented()]);
    let open = &groups[2].scope_spans[0].spans[0];
    assert_eq!((open.start_time_unix_nano, open.end_time_unix_nano), (0, 0));
    assert_eq!((open.kind(), open.status.as_ref()), (SpanKind::Unspecified, None));
    assert_eq!(value(&open.attributes, "mesh.open"), Some(&any_value::Value::BoolValue(true)));
}

#[test]
fn hostile_texts_come_back_as_they_were() {
    let groups = read(&[&sample::hostile()]);
    let span = &groups[0].scope_spans[0].spans[0];
    assert_eq!((span.trace_id.len(), span.span_id.len(), span.name.as_str()), (16, 8, sample::HOSTILE));
    for key in ["mesh.trace_id", "mesh.span_id", "mesh.parent_span", sample::HOSTILE] {
        assert_eq!(value(&span.attributes, key), Some(&text(sample::HOSTILE)), "{key}");
    }
}

#[test]
fn equal_producers_are_one_resource_and_requests_concatenate() {
    let (first, second) = (sample::documented(), sample::documented());
    let together = read(&[&first, &second]);
    assert_eq!(together.len(), 3);
    assert_eq!(together[0].scope_spans[0].spans.len(), 2);

    let concatenated = [otlp(&[&first]), otlp(&[&second])].concat();
    let read = ExportTraceServiceRequest::decode(concatenated.as_slice()).unwrap();
    assert_eq!(read.resource_spans.len(), 6);
    assert!(otlp(&[]).is_empty());
}
