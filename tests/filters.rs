//! Filters as components: what they drop, keep and change, and what happens to traces when they fail.

use std::time::Instant;

use redis::Connection;
use serde_json::{Value, json};

use crate::support::events::{Fields, lone, publish, span, with};
use crate::support::eventually;
use crate::support::guests::evil;
use crate::support::host::{Host, HostBuilder};
use crate::support::plugin_dir::PluginDir;
use crate::support::redis_server::{GROUP, RedisServer, STREAM, dead_letters, pending, wait_until_settled};

/// Why a poisoned trace makes the judge fail.
const PANIC: &str = "decide: it panicked or aborted (its log may say why)";

/// A directory with the judge, on these terms.
fn judging(toml: &str) -> PluginDir {
    let plugins = PluginDir::new();
    plugins.put("judge.toml", toml);
    plugins.put("judge.wasm", evil("judge"));
    plugins
}

/// A host with the json exporter and what lies in this directory.
fn host(redis: &RedisServer, plugins: &PluginDir) -> HostBuilder {
    HostBuilder::new(&redis.url()).set("TRACE_ENABLE_STATS", "false").set("MESHTRACE_PLUGIN_DIR", &plugins.path().display().to_string())
}

/// What the status says about the judge.
#[track_caller]
fn judge(host: &Host) -> Value {
    let status = host.status();
    let filters = status["filters"]["plugins"].as_array().expect("filters");
    filters.iter().find(|filter| filter["name"] == "judge").unwrap_or_else(|| panic!("no judge in {status}")).clone()
}

#[track_caller]
fn judge_when(host: &Host, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
    eventually(what, || Some(judge(host)).filter(|judge| condition(judge)))
}

fn secret(fields: Fields) -> Fields {
    with(fields, &[("secret", "hunter2")])
}

/// The attributes of each span of a document.
fn attributes(document: &Value) -> Vec<&Value> {
    document["spans"].as_array().expect("spans").iter().map(|span| &span["attributes"]).collect()
}

/// Nothing has come out, nothing has been given up, and so many entries wait in Redis.
#[track_caller]
fn assert_all_wait(host: &Host, connection: &mut Connection, entries: usize) {
    assert!(host.json_files().is_empty());
    assert_eq!((pending(connection, GROUP), dead_letters(connection).len()), (entries, 0));
    assert_eq!(host.get("/health").status, 200);
}

/// Scenario: a filter drops a trace, keeps one, and has no opinion on a third; it changes what it keeps. Then spans of all three come late.
/// Guarantees: the dropped one is in no output, is acknowledged and counted, and its late spans go the same way; the others carry the changes, their
/// late spans too; who decided and why is told with the trace, in files, and when asked for by id.
#[test]
fn what_is_dropped_is_nowhere_and_what_is_kept_carries_its_changes_and_its_reason() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let plugins = judging("");
    let host = host(&redis, &plugins).start();
    let ids = ["dropped", "kept", "plain"];
    let operations = ["unwanted", "wanted", "work"];
    let first: Vec<Fields> = ids.iter().zip(operations).map(|(id, operation)| secret(lone(id, operation))).collect();
    publish(&mut connection, STREAM, &first);
    host.wait_for_exports(2);
    wait_until_settled(&mut connection, GROUP);
    publish(&mut connection, STREAM, &ids.map(|id| secret(span(id, "late", Some("a")))));
    host.wait_for_exports(4);
    wait_until_settled(&mut connection, GROUP);

    let files = host.json_files();
    assert_eq!(files.keys().collect::<Vec<_>>(), ["kept", "plain"]);
    let verdict = json!({"decision": "keep", "filter": "judge", "reason": "somebody wants it"});
    assert_eq!((&files["kept"]["sampling"], files["plain"].get("sampling")), (&verdict, None));
    for id in ["kept", "plain"] {
        let trace = host.get(&format!("/trace/{id}")).json();
        assert_eq!(trace, files[id]);
        assert_eq!(attributes(&trace), [&json!({"signed": true}); 2], "{trace}");
    }
    for path in ["/trace/dropped", "/registry/trace/dropped"] {
        let answer = host.get(path);
        let said = json!({"error": "trace dropped", "trace_id": "dropped", "filter": "judge", "reason": "nobody wants it",
                          "see": "/trace/dropped/decision"});
        assert_eq!((answer.status, answer.json()), (404, said));
    }
    let decision = |id: &str| {
        let mut answer = host.get(&format!("/trace/{id}/decision")).json();
        let at = answer.as_object_mut().and_then(|answer| answer.remove("decided_at")).expect("a time");
        assert!(at.as_str().is_some_and(|at| at.ends_with('Z')), "{at}");
        answer
    };
    let expected = |id: &str, decision: &str, filter: Value, reason: &str| json!({"trace_id": id, "decision": decision, "filter": filter, "reason": reason, "part": 1});
    assert_eq!(decision("dropped"), expected("dropped", "drop", json!("judge"), "nobody wants it"));
    assert_eq!(decision("kept"), expected("kept", "keep", json!("judge"), "somebody wants it"));
    assert_eq!(decision("plain"), expected("plain", "keep", json!(null), "kept by default: no filter had an opinion"));
    assert_eq!(host.get("/trace/unknown/decision").status, 404);

    let status = host.status();
    let filters = &status["filters"];
    let counts = ["kept", "dropped", "late_dropped", "dead", "remembered"].map(|key| filters[key].as_u64());
    assert_eq!(counts, [Some(4), Some(1), Some(1), Some(0), Some(1)]);
    let judge = judge(&host);
    let reasons = json!([{"reason": "nobody wants it", "kept": 0, "dropped": 1}, {"reason": "somebody wants it", "kept": 1, "dropped": 0}]);
    assert_eq!(
        (&judge["state"], &judge["kept"], &judge["dropped"], &judge["failures"]),
        (&json!("running"), &json!(1), &json!(1), &json!(0))
    );
    assert_eq!(judge["reasons"], reasons);
    assert_eq!((&status["consumer"]["entries_acknowledged"], &status["consumer"]["entries_dead"]), (&json!(6), &json!(0)));
    assert_eq!(dead_letters(&mut connection).len(), 0);
}

/// Scenario: a trace among others makes a filter panic whose `on-failure` is `pass`.
/// Guarantees: that one passes undecided, the others are decided and changed; nothing waits.
#[test]
fn a_filter_that_fails_with_a_trace_lets_it_pass_if_it_may() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let plugins = judging("on-failure = \"pass\"");
    let entries = [lone("1", "wanted"), lone("2", "unwanted"), lone("3", "poison"), lone("4", "wanted"), lone("5", "work")];
    publish(&mut connection, STREAM, &entries);
    let host = host(&redis, &plugins).start();
    host.wait_for_exports(4);
    wait_until_settled(&mut connection, GROUP);
    let files = host.json_files();
    assert_eq!(files.keys().collect::<Vec<_>>(), ["1", "3", "4", "5"]);
    let signed: Vec<bool> = files.values().map(|document| document["spans"][0]["attributes"]["signed"] == true).collect();
    assert_eq!(signed, [true, false, true, true]);
    let judge = judge(&host);
    assert_eq!(
        (&judge["on_failure"], &judge["undecided"], &judge["dead"], &judge["kept"]),
        (&json!("pass"), &json!(1), &json!(0), &json!(2))
    );
    assert_eq!((&judge["state"], &judge["last_error"]), (&json!("running"), &json!(PANIC)));
}

/// Scenario: a trace makes a filter panic that everything has to pass. More traces come. Then the filter's config is changed so that it can go on.
/// Guarantees: nothing gets past it and nothing is acknowledged, the host answers and says why; as soon as it can go on all of them are decided.
#[test]
fn a_filter_that_has_to_be_passed_holds_the_stream_until_it_works() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let plugins = judging("on-failure = \"hold\"");
    let host = host(&redis, &plugins).start();
    publish(&mut connection, STREAM, &[secret(lone("1", "poison"))]);
    judge_when(&host, "it holds", |judge| judge["failures"].as_u64() >= Some(2));
    publish(&mut connection, STREAM, &[lone("2", "unwanted"), secret(lone("3", "wanted"))]);
    let judge = judge_when(&host, "it is tried again and again", |judge| judge["failures"].as_u64() >= Some(5));
    assert_eq!((&judge["state"], &judge["holding"]), (&json!("holding"), &json!(format!("{PANIC}; it fails with the trace \"1\""))));
    eventually("the others have been read", || (host.counted("entries_read") == 3).then_some(()));
    assert_all_wait(&host, &mut connection, 3);
    plugins.put("judge.toml", "on-failure = \"hold\"\n[config]\nbrave = true\n");
    host.wait_for_exports(2);
    wait_until_settled(&mut connection, GROUP);
    let files = host.json_files();
    assert_eq!(files.keys().collect::<Vec<_>>(), ["1", "3"]);
    assert!(files.values().all(|document| attributes(document) == [&json!({"signed": true})]), "{files:?}");
    let judge = judge_when(&host, "it runs", |judge| judge["state"] == "running");
    assert_eq!((&judge["swaps"], &judge["dropped"], &judge["holding"]), (&json!(1), &json!(1), &json!(null)));
}

/// Scenario: the host is told to end while a filter holds the stream; the next start runs without that filter.
/// Guarantees: it ends in time; the trace that the filter fails at, and whatever has not come out, is neither acknowledged nor given up, and the next start
/// has it.
#[test]
fn a_host_that_holds_ends_in_time_and_loses_nothing() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let plugins = judging("on-failure = \"hold\"");
    let mut holding = host(&redis, &plugins).start();
    publish(&mut connection, STREAM, &[lone("1", "poison"), lone("2", "wanted")]);
    judge_when(&holding, "it holds", |judge| judge["state"] == "holding");
    let told = Instant::now();
    assert!(holding.terminate().success(), "{}", holding.stderr());
    assert!(told.elapsed().as_secs() < 10, "{:?}", told.elapsed());
    let out = holding.json_files();
    assert!(!out.contains_key("1"));
    assert_eq!((pending(&mut connection, GROUP), dead_letters(&mut connection).len()), (2 - out.len(), 0));
    let next = host(&redis, &PluginDir::new()).start();
    next.wait_for_exports(2 - out.len() as u64);
    wait_until_settled(&mut connection, GROUP);
    assert!(next.json_files().contains_key("1"));
}

/// Scenario: a trace alone, then among others, makes a filter panic whose `on-failure` is `dead-letter`.
/// Guarantees: it becomes a dead letter with the filter, the reason and all its fields, as soon as the filter is seen to decide on others; those go on.
#[test]
fn a_trace_that_makes_a_filter_fail_is_a_dead_letter_if_it_may_be() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let plugins = judging("on-failure = \"dead-letter\"");
    let host = host(&redis, &plugins).start();
    let poison = [secret(lone("p1", "poison")), span("p1", "b", Some("a")), lone("p2", "poison")];
    publish(&mut connection, STREAM, &poison[..2]);
    judge_when(&host, "it has failed", |judge| judge["state"] == "holding" && judge["failures"].as_u64() >= Some(2));
    assert_all_wait(&host, &mut connection, 2);
    let others: Vec<Fields> = (0..20).map(|number| lone(&number.to_string(), "wanted")).collect();
    publish(&mut connection, STREAM, &[&others[..7], &poison[2..], &others[7..]].concat());
    wait_until_settled(&mut connection, GROUP);
    assert_eq!(host.json_files().len(), 20);
    let mut letters = dead_letters(&mut connection);
    letters.iter_mut().for_each(|letter| drop(letter.remove("dead:entry")));
    letters.sort();
    let dead = |entry: &Fields| with(entry.clone(), &[("dead:stage", "filter"), ("dead:plugin", "judge"), ("dead:reason", PANIC)]);
    let mut expected: Vec<_> = poison.iter().map(|entry| dead(entry).into_iter().collect()).collect();
    expected.sort();
    assert_eq!(letters, expected);
    let judge = judge(&host);
    assert_eq!((&judge["state"], &judge["dead"], &judge["kept"]), (&json!("running"), &json!(2), &json!(20)));
}

/// Scenario: a filter has a reason of its own for every trace, a long one; it adds thousands of attributes to one span, and a large one to each span of
/// a large trace.
/// Guarantees: what is kept of it is bounded, each bound shows in the status, and traces come out all the same.
#[test]
fn what_a_filter_makes_up_is_bounded() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let plugins = PluginDir::new();
    plugins.put("judge.toml", "on-failure = \"pass\"");
    plugins.put("judge.wasm", evil("meddle"));
    let host = host(&redis, &plugins).start();
    let many: Vec<Fields> = (0..300).map(|number| lone(&format!("t{number}"), "work")).collect();
    let large = (0..400).map(|number| span("large", &format!("{number}"), None));
    let entries: Vec<Fields> = many.into_iter().chain([lone("wide", "wide")]).chain(large).collect();
    publish(&mut connection, STREAM, &entries);
    host.wait_for_exports(302);
    wait_until_settled(&mut connection, GROUP);
    let judge = judge(&host);
    assert_eq!(judge["reasons"].as_array().map(Vec::len), Some(257));
    let other = judge["reasons"].as_array().and_then(|reasons| reasons.iter().find(|reason| reason["reason"] == "other"));
    assert_eq!(other.map(|other| &other["kept"]), Some(&json!(45)), "301 kept, 256 of them for reasons that are counted");
    assert_eq!((&judge["undecided"], &judge["refused_edits"]), (&json!(1), &json!(1_000)));
    let said = judge["last_error"].as_str().unwrap_or_default();
    assert!(said.ends_with("bytes over all spans that they reach; at most 67108864 are made for one batch"), "{said}");
    let files = host.json_files();
    assert_eq!(files["t299"]["sampling"]["reason"].as_str().map(str::len), Some(256));
    assert_eq!(files["wide"]["spans"][0]["attributes"].as_object().map(serde_json::Map::len), Some(2_048));
    assert_eq!((files["large"]["span_count"].as_u64(), files["large"].get("sampling")), (Some(400), None));
}

/// Scenario: the file of a filter that everything has to pass is taken away while traces come, and is put back.
/// Guarantees: nothing gets past its place meanwhile, and the status says why; afterwards everything is decided by it.
#[test]
fn the_place_of_a_filter_that_has_to_be_passed_is_kept() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let plugins = judging("on-failure = \"hold\"");
    let host = host(&redis, &plugins).start();
    plugins.remove("judge.toml");
    plugins.remove("judge.wasm");
    judge_when(&host, "it was taken out", |judge| judge["state"] == "missing");
    publish(&mut connection, STREAM, &[secret(lone("1", "wanted"))]);
    let judge = judge_when(&host, "a trace waits for it", |judge| !judge["holding"].is_null());
    assert!(judge["holding"].as_str().is_some_and(|why| why.contains("no longer in the plugin directory")), "{judge}");
    assert_all_wait(&host, &mut connection, 1);
    plugins.put("judge.toml", "on-failure = \"hold\"");
    plugins.put("judge.wasm", evil("judge"));
    host.wait_for_exports(1);
    wait_until_settled(&mut connection, GROUP);
    assert_eq!(attributes(&host.json_files()["1"]), [&json!({"signed": true})]);
}
