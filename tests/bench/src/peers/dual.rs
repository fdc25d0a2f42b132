//! A span as two events, one when it starts and one when it ends: the form that MCP Mesh documents.

use std::collections::BTreeMap;

use crate::load::Writer;

/// Fields of an event.
pub type Event = Vec<(&'static str, String)>;

/// `span_start` and `span_end` of span `span` of trace `trace`, which ended at this time.
pub fn events(writer: &Writer, trace: u64, span: u64, at_ms: u64) -> [Event; 2] {
    let mut fields = BTreeMap::new();
    writer.fields(trace, span, at_ms, |key, value| drop(fields.insert(key.to_owned(), value.to_owned())));
    let field = |key: &str| fields.get(key).cloned().unwrap_or_default();
    let event = |kind: &str, time: &str| {
        let mut event = vec![
            ("event_type", kind.to_owned()),
            ("trace_id", field("trace_id")),
            ("span_id", field("span_id")),
            ("agent_name", field("agent_name")),
            ("agent_id", field("agent_id")),
            ("ip_address", field("agent_ip")),
            ("operation", field("function_name")),
            ("timestamp", field(time)),
            ("runtime", field("runtime")),
        ];
        // A root has none.
        let parent = field("parent_span");
        if parent != "null" {
            event.push(("parent_span", parent));
        }
        event
    };
    let mut end = event("span_end", "end_time");
    // Whole milliseconds.
    let duration = field("duration_ms");
    end.push(("duration_ms", duration.split('.').next().unwrap_or_default().to_owned()));
    let failed = field("success") == "False";
    end.push(("success", (!failed).to_string()));
    if failed {
        end.push(("error_message", field("error")));
    }
    [event("span_start", "start_time"), end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event<const N: usize>(fields: [(&'static str, &str); N]) -> Event {
        fields.map(|(key, value)| (key, value.to_owned())).into()
    }

    #[test]
    fn a_span_is_two_events_with_the_documented_fields() {
        let writer = Writer::new().expect("the captured trace");
        let [start, end] = events(&writer, 99, 0, 1_700_000_000_000);
        let (trace, span, parent) = (start[1].1.clone(), start[2].1.clone(), start[9].1.clone());
        let common = |kind, time| {
            event([
                ("event_type", kind),
                ("trace_id", &trace),
                ("span_id", &span),
                ("agent_name", "weather-agent"),
                ("agent_id", "weather-agent-b828aeca"),
                ("ip_address", "127.0.0.1"),
                ("operation", "get_weather"),
                ("timestamp", time),
                ("runtime", "python"),
                ("parent_span", &parent),
            ])
        };
        assert_eq!(start, common("span_start", "1699999999.992591"));
        let ended = event([("duration_ms", "7"), ("success", "false"), ("error_message", "upstream refused the connection")]);
        assert_eq!(end, [common("span_end", "1700000000.000000"), ended].concat());
        assert_eq!(trace, crate::load::trace_id(99));
        let [root, _] = events(&writer, 99, 4, 1_700_000_000_000);
        assert!(root.iter().all(|(key, _)| *key != "parent_span"), "{root:?}");
    }
}
