//! Ends that were asked for, and spans that come after their trace was decided.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::support::events::{Fields, assert_whole, entry, numbered_traces, publish, span, spans_of};
use crate::support::eventually;
use crate::support::host::{HostBuilder, json_files};
use crate::support::redis_server::{GROUP, RedisServer, STREAM, pending_rows, wait_until_settled};

/// One of the documented events of a span that is published when it begins and when it ends.
fn dual(trace: &str, kind: &str, at: &str) -> Fields {
    entry(&[("trace_id", trace), ("span_id", "a"), ("event_type", kind), ("operation", "tool:x"), ("timestamp", at)])
}

/// Scenario: somebody presses Ctrl-C in a host, and in the demo while it serves and publishes without end.
/// Guarantees: each ends with exit code 0; the demo tells how many traces it has exported.
#[test]
fn ctrl_c_ends_a_host_and_the_demo() {
    let redis = RedisServer::start();
    let mut host = HostBuilder::new(&redis.url()).start();
    host.wait_until_running();
    // A Redis that other shells know is none of the demo's business.
    let mut demo = HostBuilder::new(&redis.url()).arguments(&["demo"]).start();
    demo.wait_for_exports(1);
    for host in [&mut host, &mut demo] {
        host.signal(libc::SIGINT);
        let status = eventually("it ends", || host.process.try_wait().expect("a process"));
        assert!(status.success(), "{}", host.stderr());
    }
    assert!(demo.stdout().contains(" traces exported"), "{}", demo.stdout());
}

/// Scenario: the host is told to end while agents publish; one trace has a span that has begun and not ended.
/// Guarantees: it ends within ten seconds and with exit code 0; a trace that came out is acknowledged, every other is still pending
/// with all its entries; the next start brings out those, the open trace among them when its span has ended.
#[test]
fn sigterm_under_load_finishes_what_is_complete_and_leaves_the_rest_in_the_log() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let json = tempfile::tempdir().expect("a directory");
    let builder = || HostBuilder::new(&redis.url()).json_dir(json.path()).set("TRACE_TIMEOUT", "1m");
    let (mut ids, entries) = numbered_traces(4_000);
    let mut host = builder().start();
    host.wait_until_running();
    let mut published: Vec<(String, String)> = Vec::new();
    let mut send = |entries: &[Fields]| {
        let sent = publish(&mut connection, STREAM, entries);
        published.extend(sent.into_iter().zip(entries.iter().map(|fields| fields[0].1.clone())));
    };
    send(&[dual("open", "span_start", "1795221702.5")]);
    let (before, after) = entries.split_at(9_000);
    before.chunks(300).for_each(&mut send);
    host.wait_for_exports(1);
    host.signal(libc::SIGTERM);
    let asked = Instant::now();
    after.chunks(300).for_each(&mut send);
    assert!(host.terminate().success(), "{}", host.stderr());
    assert!(asked.elapsed() < Duration::from_secs(10));

    let exported: BTreeSet<String> = json_files(json.path()).into_keys().collect();
    let pending: BTreeSet<String> = pending_rows(&mut connection).into_iter().map(|row| row.0).collect();
    assert!(!exported.is_empty() && !exported.contains("open"));
    let read_up_to = pending.iter().max().expect("the open trace is pending").clone();
    for (id, trace) in &published {
        assert!(!exported.contains(trace) || !pending.contains(id), "{trace} came out and was not acknowledged");
        let unread = millis_and_number(id) > millis_and_number(&read_up_to);
        assert!(exported.contains(trace) || pending.contains(id) || unread, "{trace} is neither in a file nor in the log");
    }

    publish(&mut connection, STREAM, &[dual("open", "span_end", "1795221702.75")]);
    let next = builder().start();
    next.wait_until_running();
    wait_until_settled(&mut connection, GROUP);
    let mut documents = json_files(json.path());
    let open = documents.remove("open").expect("the trace that was open");
    assert_eq!((open["spans"][0]["duration_ms"].as_u64(), &open["complete"]), (Some(250), &serde_json::Value::Bool(true)));
    ids.sort_unstable();
    assert_whole(&documents, &ids);
}

/// A stream id as numbers.
fn millis_and_number(id: &str) -> (u64, u64) {
    let (millis, number) = id.split_once('-').expect("an id");
    (millis.parse().expect("a number"), number.parse().expect("a number"))
}

/// Scenario: a span is published after its trace was decided and exported.
/// Guarantees: it joins the trace in its file and in the answer about it; there is no second trace.
#[test]
fn a_late_span_is_united_with_its_trace() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let host = HostBuilder::new(&redis.url()).start();
    publish(&mut connection, STREAM, &[span("t", "a", None), span("t", "b", Some("a"))]);
    host.wait_for_exports(1);
    let file = || host.json_files().remove("t");
    assert_eq!(spans_of(&eventually("the trace has its file", file)), BTreeSet::from(["a", "b"]));
    publish(&mut connection, STREAM, &[span("t", "late", Some("a"))]);
    let all = BTreeSet::from(["a", "b", "late"]);
    eventually("the late span is in the file", || (spans_of(&file()?) == all).then_some(()));
    wait_until_settled(&mut connection, GROUP);
    assert_eq!(spans_of(&host.get("/trace/t").json()), all);
    assert_eq!(host.status()["correlator"]["late_parts"], 1);
    let list = host.get("/trace/list").json();
    assert_eq!((list["total"].as_u64(), list["traces"][0]["span_count"].as_u64()), (Some(1), Some(3)));
}
