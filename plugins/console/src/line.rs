//! A trace as one line of `key=value` pairs.

use std::fmt::Write as _;

use meshtrace_plugin::Trace;

use crate::paint::{Paint, duration, safe};

/// Appends `trace=<id> duration=285ms status=SUCCESS spans=3 agents=2`, then, where it applies, `incomplete`, `part=1` and
/// `error="…"`, the first failed span's text.
pub fn line(out: &mut String, trace: &Trace<'_>, paint: Paint) {
    let verdict = if trace.is_failed() { paint.red("FAILED") } else { paint.green("SUCCESS") };
    let (id, time) = (value(trace.id_text()), duration(trace.duration_ns()));
    let (spans, agents) = (trace.span_count(), trace.agent_count());
    let _ = write!(out, "trace={id} duration={time} status={verdict} spans={spans} agents={agents}");
    if trace.is_incomplete() {
        out.push_str(" incomplete");
    }
    if trace.part() > 0 {
        let _ = write!(out, " part={}", trace.part());
    }
    let failed = || trace.spans().filter(|span| span.is_failed());
    if trace.is_failed()
        && let Some(error) = failed().filter_map(|span| span.error()).find(|text| !text.is_empty())
    {
        let _ = write!(out, " error={}", quoted(error));
    }
    out.push('\n');
}

/// Plain when it can be, quoted when spaces or quotes would make the line ambiguous.
fn value(text: &str) -> String {
    let plain = !text.is_empty() && !text.contains([' ', '"', '=', '\\']);
    if plain { safe(text, "").into_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    // Before the text is made safe, so that its own backslashes differ from those that mark an escape.
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", safe(&escaped, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use meshtrace_plugin::Status;
    use meshtrace_plugin::testing::{TestSpan, TestTrace, batch};

    fn rendered(trace: TestTrace) -> String {
        let batch = batch(&[trace]);
        let mut text = String::new();
        line(&mut text, &batch.trace(0).unwrap(), Paint::new(false));
        text
    }

    #[test]
    fn says_what_matters_in_one_line() {
        let failed = |error: &str| TestSpan {
            status: Status::Error,
            error: Some(error.into()),
            ..TestSpan::default()
        };
        let spans = vec![failed(""), failed("bo\"om\nat once"), failed("later")];
        let trace = TestTrace {
            id: "abc".into(),
            part: 2,
            incomplete: true,
            spans,
            ..TestTrace::default()
        };
        let expected = "trace=abc duration=? status=FAILED spans=3 agents=0 incomplete part=2 error=\"bo\\\"om\\nat once\"\n";
        assert_eq!(rendered(trace), expected);
    }

    #[test]
    fn odd_ids_are_quoted() {
        let trace = |id: &str| TestTrace {
            id: id.into(),
            spans: vec![TestSpan::default()],
            ..TestTrace::default()
        };
        assert!(rendered(trace("a b\n")).starts_with("trace=\"a b\\n\" "));
        assert!(rendered(trace("")).starts_with("trace=\"\" "));
        assert!(rendered(trace("x\ny")).starts_with("trace=x\\ny "));
    }
}
