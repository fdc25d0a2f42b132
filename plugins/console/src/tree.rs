//! A trace as a tree: header, agents in order of first appearance, their spans in order of start.

use std::collections::HashMap;
use std::fmt::Write as _;

use meshtrace_plugin::{Span, Status, Trace};

use crate::paint::{Paint, duration, safe};

/// Appends the tree of `trace`:
///
/// ```text
/// 🔗 TRACE a1b2c3d4e5f67890a1b2c3d4e5f67890 (285ms) - SUCCESS (3 spans across 2 agents)
///   📍 Agent: weather-service
///     ✅ tool:get_weather [get_weather] (150ms)
///     ❌ failing_tool (2.5ms) - boom
/// ```
pub fn tree(out: &mut String, trace: &Trace<'_>, paint: Paint) {
    header(out, trace, paint);
    let mut agents: Vec<(&str, Vec<Span<'_>>)> = Vec::new();
    let mut places = HashMap::new();
    for span in trace.spans() {
        let place = *places.entry(span.agent()).or_insert_with(|| {
            agents.push((span.agent(), Vec::new()));
            agents.len() - 1
        });
        agents[place].1.push(span);
    }
    for (agent, spans) in agents {
        let _ = writeln!(out, "  📍 Agent: {}", paint.cyan(safe(agent, "unknown")));
        for span in spans {
            span_line(out, &span, paint);
        }
    }
}

fn header(out: &mut String, trace: &Trace<'_>, paint: Paint) {
    let verdict = if trace.is_failed() { paint.red("FAILED") } else { paint.green("SUCCESS") };
    let _ = write!(out, "🔗 TRACE {} ({}) - {verdict}", safe(trace.id_text(), "?"), duration(trace.duration_ns()));
    if trace.is_incomplete() {
        let _ = write!(out, ", {}", paint.yellow("INCOMPLETE"));
    }
    if trace.part() > 0 {
        let _ = write!(out, ", {}", paint.yellow(format_args!("late part {}", trace.part())));
    }
    let (spans, agents) = (trace.span_count(), trace.agent_count());
    let _ = writeln!(out, " ({spans} span{} across {agents} agent{})", plural(spans), plural(agents));
}

fn span_line(out: &mut String, span: &Span<'_>, paint: Paint) {
    let mark = match span.status() {
        Status::Ok => "✅",
        Status::Error => "❌",
        Status::Unset => "•",
    };
    let _ = write!(out, "    {mark} {}", safe(span.name(), "?"));
    if let Some(capability) = span.attribute("capability").filter(|text| !text.is_empty()) {
        let _ = write!(out, " [{}]", safe(capability, ""));
    }
    let _ = write!(out, " ({})", duration(span.duration_ns()));
    if let Some(error) = span.error().filter(|text| span.is_failed() && !text.is_empty()) {
        let _ = write!(out, " - {}", paint.red(safe(error, "")));
    }
    out.push('\n');
}

fn plural(n: u32) -> &'static str {
    if n == 1 { "" } else { "s" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use meshtrace_plugin::testing::{TestSpan, TestTrace, batch};

    const MS: u64 = 1_000_000;

    fn span(name: &str, agent: &str, start_ms: u64, ms: u64) -> TestSpan {
        TestSpan {
            id: name.into(),
            name: name.into(),
            agent: agent.into(),
            start_unix_ns: Some((1_700_000_000_000 + start_ms) * MS),
            duration_ns: Some(ms * MS),
            status: Status::Ok,
            ..TestSpan::default()
        }
    }

    fn rendered(trace: TestTrace, colored: bool) -> String {
        let batch = batch(&[trace]);
        let mut text = String::new();
        tree(&mut text, &batch.trace(0).unwrap(), Paint::new(colored));
        text
    }

    #[test]
    fn the_documented_tree() {
        let mut first = span("tool:get_weather", "weather-service", 0, 285);
        first.attributes = vec![("capability".into(), "get_weather".into())];
        let mut failing = span("failing_tool", "weather-service", 20, 0);
        failing.duration_ns = Some(2_500_000);
        failing.status = Status::Error;
        failing.error = Some("boom".into());
        let mut open = span("", "", 30, 0);
        (open.duration_ns, open.status) = (None, Status::Unset);
        let spans = vec![first, span("process", "data-processor", 10, 100), failing, open];
        let trace = TestTrace {
            id: "a1b2".into(),
            incomplete: true,
            part: 1,
            spans,
            ..TestTrace::default()
        };
        let expected = "\
🔗 TRACE a1b2 (285ms) - FAILED, INCOMPLETE, late part 1 (4 spans across 2 agents)
  📍 Agent: weather-service
    ✅ tool:get_weather [get_weather] (285ms)
    ❌ failing_tool (2.5ms) - boom
  📍 Agent: data-processor
    ✅ process (100ms)
  📍 Agent: unknown
    • ? (?)
";
        assert_eq!(rendered(trace, false), expected);
    }

    #[test]
    fn one_is_singular_and_success_is_success() {
        let trace = TestTrace {
            id: "x".into(),
            spans: vec![span("a", "b", 0, 1500)],
            ..TestTrace::default()
        };
        assert!(rendered(trace, false).starts_with("🔗 TRACE x (1.5s) - SUCCESS (1 span across 1 agent)\n"));
    }

    #[test]
    fn no_control_character_of_a_span_reaches_the_terminal() {
        let evil = "\x1b[2J\u{9b}31m\u{202e}\n\r\0\u{7f}\u{2066}".to_owned();
        let mut hostile = span(&evil, &evil, 0, 1);
        hostile.status = Status::Error;
        hostile.error = Some(evil.repeat(200));
        hostile.attributes = vec![("capability".into(), evil.clone().into())];
        let text = rendered(
            TestTrace {
                id: evil,
                spans: vec![hostile],
                ..TestTrace::default()
            },
            false,
        );
        assert!(text.chars().all(|c| c == '\n' || !meshtrace_plugin::text::is_unsafe(c)), "{text:?}");
        assert_eq!(text.lines().count(), 3, "the span's own newlines are shown, not printed");
        assert!(text.contains("\\x1b[2J") && text.contains(" bytes)"));
    }

    #[test]
    fn colours_only_when_asked_for() {
        let trace = TestTrace {
            id: "x".into(),
            spans: vec![span("a", "b", 0, 1)],
            ..TestTrace::default()
        };
        assert!(rendered(trace.clone(), true).contains("\x1b[32mSUCCESS\x1b[0m"));
        assert!(!rendered(trace, false).contains('\x1b'));
    }
}
