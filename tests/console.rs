//! The console exporter: what reaches standard output, and what must not.

use crate::support::events::{Fields, entry, lone, numbered_traces, publish, span, with};
use crate::support::eventually;
use crate::support::host::{Host, HostBuilder};
use crate::support::redis_server::{RedisServer, STREAM};

/// Moves the cursor, clears, renames the window, reorders, breaks lines, ends strings.
const HOSTILE: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}\u{2066}\u{2028}\n\r\0\u{7f}\u{8}";

fn console(redis: &RedisServer, pretty: bool) -> HostBuilder {
    let host = HostBuilder::new(&redis.url()).set("TRACE_EXPORTER_TYPE", "console").set("TRACE_ENABLE_STATS", "false");
    host.set("TRACE_PRETTY_OUTPUT", if pretty { "true" } else { "false" })
}

/// Two failed traces with the hostile text in every field; one of them is not even UTF-8.
fn publish_hostile(connection: &mut redis::Connection) {
    let odd = |text: &str| format!("{text}{HOSTILE}");
    let (trace, id, name, agent, error) = (odd("trace"), odd("span"), odd("name"), odd("agent"), odd("error").repeat(100));
    let hostile = with(
        span(&trace, &id, Some("null")),
        &[
            ("function_name", &name),
            ("agent_name", &agent),
            ("agent_id", &agent),
            ("capability", &name),
            ("error", &error),
            ("success", "False"),
        ],
    );
    publish(connection, STREAM, &[hostile]);
    let mut add = redis::cmd("XADD");
    add.arg(STREAM).arg("*");
    for (key, value) in lone("bytes", "name") {
        add.arg(key).arg(value.into_bytes());
    }
    add.arg("error").arg(b"\xff\x1b[31m\xfe\0").arg("capability").arg(b"\x9b2J");
    add.query::<String>(connection).expect("XADD");
}

/// What is on standard output beyond letters and line ends.
fn unsafe_characters(text: &str) -> String {
    let invisible = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    text.chars().filter(|c| (c.is_control() && *c != '\n') || invisible(*c)).collect()
}

fn output(host: &Host, lines: usize) -> String {
    let text = host.stdout();
    assert_eq!(text.lines().count(), lines, "{text:?}");
    text
}

/// Scenario: a trace's ids, agent, operation, capability and error text hold control sequences, line breaks and bidirectional overrides.
/// Guarantees: none of them reaches standard output, in either form; each line is one of ours; without a terminal there are no colours.
#[test]
fn no_control_character_of_a_span_reaches_standard_output() {
    let redis = RedisServer::start();
    publish_hostile(&mut redis.connect());
    for (pretty, lines) in [(true, 6), (false, 2)] {
        let group = format!("pretty-{pretty}");
        let host = console(&redis, pretty).set("MCP_MESH_TRACE_CONSUMER_GROUP", &group).start();
        host.wait_for_exports(2);
        let text = output(&host, lines);
        assert_eq!(unsafe_characters(&text), "", "{text:?}");
        for shown in [r"trace\x1b[2J\x1b]0;owned\x07\x9b31m\u{202e}\u{2066}\u{2028}\n\r\x00\x7f\x08", r"error\x1b[2J"] {
            assert!(text.contains(shown), "{shown} is not in {text:?}");
        }
    }
}

/// Scenario: standard output is a terminal, and the same texts are exported.
/// Guarantees: verdicts, agents and errors are coloured; the only control sequences are these colours.
#[test]
fn a_terminal_gets_colours_and_nothing_else() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    publish_hostile(&mut connection);
    publish(&mut connection, STREAM, &[lone("good", "work")]);
    let host = console(&redis, true).on_a_terminal().start();
    host.wait_for_exports(3);
    // A terminal has line ends of its own, and shows what was written a little later.
    let shown = eventually("the terminal shows it", || Some(host.stdout()).filter(|text| text.matches("\r\n").count() == 9));
    let text = shown.replace("\r\n", "\n");
    for expected in [
        "TRACE good (250ms) - \u{1b}[32mSUCCESS\u{1b}[0m (1 span across 1 agent)\n",
        "\u{1b}[31mFAILED\u{1b}[0m",
        "\u{1b}[36magent\u{1b}[0m",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in {text:?}");
    }
    let colours = ["\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m", "\u{1b}[36m", "\u{1b}[0m"];
    let plain = colours.iter().fold(text, |text, colour| text.replace(colour, ""));
    assert_eq!(unsafe_characters(&plain), "", "{plain:?}");
}

/// Scenario: `TRACE_PRETTY_OUTPUT=false`, and traces that went well, failed, and never ended.
/// Guarantees: each is one line of `key=value` pairs.
#[test]
fn without_pretty_output_a_trace_is_one_line() {
    let redis = RedisServer::start();
    let (ids, mut entries) = numbered_traces(2);
    entries.push(with(lone("failed trace", "work"), &[("success", "False"), ("error", "no \"such\" city")]));
    entries.push(open("open"));
    publish(&mut redis.connect(), STREAM, &entries);
    let host = console(&redis, false).set("TRACE_TIMEOUT", "500ms").start();
    host.wait_for_exports(4);
    let text = output(&host, 4);
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    let good = ids.iter().map(|id| format!("trace={id} duration=250ms status=SUCCESS spans=3 agents=1"));
    let mut expected: Vec<String> = good.collect();
    expected.push(r#"trace="failed trace" duration=250ms status=FAILED spans=1 agents=1 error="no \"such\" city""#.into());
    expected.push("trace=open duration=? status=SUCCESS spans=1 agents=1 incomplete".into());
    expected.sort_unstable();
    assert_eq!(lines, expected);
}

/// A span that begins and never ends.
fn open(trace: &str) -> Fields {
    entry(&[("trace_id", trace), ("span_id", "a"), ("event_type", "span_start"), ("timestamp", "1795221702.5"), ("agent_name", "agent")])
}
