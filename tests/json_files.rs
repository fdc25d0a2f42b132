//! The json exporter: what becomes of any id, of repeats and late spans, of directories that refuse, and of lines.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::support::events::{Fields, lone, numbered_traces, publish, span};
use crate::support::host::{Host, HostBuilder, json_files};
use crate::support::redis_server::{GROUP, RedisServer, STREAM, wait_until_settled};

/// A host with only the json exporter, writing to `dir`.
fn json(redis: &RedisServer, dir: &Path) -> HostBuilder {
    let host = HostBuilder::new(&redis.url()).set("TRACE_ENABLE_STATS", "false").set("MESHTRACE_QUIET_PERIOD", "100ms");
    host.set("TRACE_JSON_OUTPUT_DIR", &dir.display().to_string())
}

/// Every file below `dir`, with its bytes.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).expect("a file"));
        }
    }
    found
}

fn span_ids(document: &Value) -> Vec<&str> {
    document["spans"].as_array().expect("spans").iter().filter_map(|span| span["span_id"].as_str()).collect()
}

/// Scenario: trace ids that are paths, that have a thousand characters, NUL, line breaks, or letters of many scripts.
/// Guarantees: each has a file of its own in the directory, with a harmless name; nothing is written elsewhere.
#[test]
fn hostile_ids_become_harmless_names_inside_the_directory() {
    let redis = RedisServer::start();
    let outer = tempfile::tempdir().expect("a directory");
    let dir = outer.path().join("one/two/three");
    let long = "x".repeat(1000);
    let unicode = "ü".repeat(100);
    let ids =
        ["../../x", "/etc/passwd", "..", ".", "a\0b", "a\nb\r", "-rf", "~", "%2e%2e", "\u{202e}𝄞 漢字", "trace", "Trace", &unicode, &long];
    let entries: Vec<_> = ids.iter().map(|id| lone(id, "work")).collect();
    let mut connection = redis.connect();
    publish(&mut connection, STREAM, &entries);
    let host = json(&redis, &dir).start();
    host.wait_for_exports(ids.len() as u64);
    wait_until_settled(&mut connection, GROUP);
    let found = files(outer.path());
    assert_eq!(found.len(), ids.len(), "{:?}", found.keys());
    for path in found.keys() {
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name in UTF-8");
        assert_eq!(path.parent(), Some(&*dir));
        assert!(name.starts_with("trace-") && name.ends_with(".json") && name.len() <= 255, "{name}");
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.%~".contains(&byte)), "{name}");
    }
    let documents = json_files(&dir);
    for id in &ids[..ids.len() - 1] {
        assert_eq!(span_ids(&documents[*id]), ["a"], "{id:?}");
    }
    let hashed = documents.values().find(|document| document["trace_id"].as_str().is_some_and(|id| id.starts_with("sha256:")));
    assert_eq!(hashed.expect("the long id")["spans"][0]["attributes"]["trace_id"], *long);
}

/// Scenario: a trace is published again, to the same host and to a new one that remembers nothing; then spans come late, and then a
/// new host sees only a part of the trace.
/// Guarantees: a repeat leaves the file as it was, to the byte; what is new joins it; less never replaces more.
#[test]
fn a_file_grows_with_late_spans_and_never_shrinks() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let dir = tempfile::tempdir().expect("a directory");
    let start = || json(&redis, dir.path()).start();
    let (ids, entries) = numbered_traces(1);
    let (first, last) = entries.split_at(2);
    publish(&mut connection, STREAM, &[first, &[span(&ids[0], "a", None)]].concat());
    let mut host = start();
    host.wait_for_exports(1);
    wait_until_settled(&mut connection, GROUP);
    let once = files(dir.path());
    let mut again = |host: &Host, entries: &[Fields]| {
        publish(&mut connection, STREAM, entries);
        wait_until_settled(&mut connection, GROUP);
        assert_eq!(host.get("/health").status, 200);
        files(dir.path())
    };
    assert_eq!(again(&host, first), once, "repeats as a late part");
    assert!(host.terminate().success());
    let mut host = start();
    assert_eq!(again(&host, &entries), once, "repeats as a trace");
    let grown = again(&host, &[span(&ids[0], "late", Some("a"))]);
    assert_ne!(grown, once);
    let documents = json_files(dir.path());
    assert_eq!((span_ids(&documents[&ids[0]]), &documents[&ids[0]]["span_count"]), (vec!["a", "b", "c", "late"], &Value::from(4)));
    assert!(host.terminate().success());
    assert_eq!(again(&start(), last), grown, "a part of the trace, to a host that does not know the rest");
}

/// Scenario: the directory is a file, lies where none can be made, or cannot be written.
/// Guarantees: the host does not start, and names the variable, the directory and the cause.
#[test]
fn a_directory_that_cannot_be_written_stops_the_start() {
    let host = || HostBuilder::idle().set("TRACE_EXPORTER_TYPE", "json");
    let file = tempfile::NamedTempFile::new().expect("a file");
    let below = file.path().join("below");
    let mut cases = vec![file.path(), &below, Path::new("/proc/nowhere"), Path::new("/proc")];
    let sealed = tempfile::tempdir().expect("a directory");
    let mut permissions = sealed.path().metadata().expect("permissions").permissions();
    permissions.set_readonly(true);
    fs::set_permissions(sealed.path(), permissions).expect("permissions");
    if fs::write(sealed.path().join("probe"), "").is_err() {
        cases.push(sealed.path());
    }
    for dir in cases {
        let said = host().set("TRACE_JSON_OUTPUT_DIR", &dir.display().to_string()).refused();
        let last = said.lines().last().unwrap_or_default();
        assert!(last.starts_with(&format!("meshtrace: TRACE_JSON_OUTPUT_DIR={}: ", dir.display())), "{said}");
        assert!(last.contains("the directory cannot be made: ") || last.contains("cannot write to the directory"), "{said}");
    }
}

/// Scenario: nobody has chosen a directory.
/// Guarantees: it is the documented `/tmp`, and the start says so, and how to choose another.
#[test]
fn the_default_directory_is_named_at_start() {
    let host = HostBuilder::idle().set("TRACE_EXPORTER_TYPE", "json").unset("TRACE_JSON_OUTPUT_DIR").start();
    let log = host.stderr();
    let expected = "JSON is written to /tmp (the default; TRACE_JSON_OUTPUT_DIR chooses another), mode \"files\"";
    assert!(log.contains(expected), "{log}");
}

/// Every line of the files of lines: the trace ids, oldest first.
fn lines(dir: &Path) -> Vec<String> {
    let rotated = (1..).map(|number| dir.join(format!("traces.{number}.jsonl"))).take_while(|path| path.exists());
    let mut newest_first = vec![dir.join("traces.jsonl")];
    newest_first.extend(rotated);
    let mut ids = Vec::new();
    for path in newest_first.iter().rev() {
        let text = fs::read_to_string(path).expect("lines");
        assert!(text.ends_with('\n'), "{}: {text:?}", path.display());
        ids.extend(text.lines().map(|line| {
            let document: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
            document["trace_id"].as_str().expect("an id").to_owned()
        }));
    }
    ids
}

/// Scenario: `MESHTRACE_JSON_MODE=lines` with small files; the host is killed, and the last line it wrote is torn.
/// Guarantees: a line per trace, in files rotated by size; the next start cuts the torn line off and goes on after it.
#[test]
fn lines_are_rotated_by_size_and_a_torn_one_is_repaired() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let dir = tempfile::tempdir().expect("a directory");
    let (ids, entries) = numbered_traces(40);
    let start = || json(&redis, dir.path()).set("MESHTRACE_JSON_MODE", "lines").set("MESHTRACE_JSON_MAX_BYTES", "9000").start();
    let host = start();
    for (round, chunk) in entries.chunks(30).enumerate().take(3) {
        publish(&mut connection, STREAM, chunk);
        host.wait_for_exports(10 * (round as u64 + 1));
    }
    wait_until_settled(&mut connection, GROUP);
    let mut found = lines(dir.path());
    found.sort();
    assert_eq!(found, ids[..30]);
    assert_eq!(files(dir.path()).len(), 3, "each round fills one file");
    fs::remove_dir_all(host.kill()).expect("the directory of the killed host");
    let path = dir.path().join("traces.jsonl");
    let whole = fs::read(&path).expect("lines");
    fs::write(&path, [&*whole, br#"{"trace_id":"torn","spans":[{"span_"#].concat()).expect("a torn line");
    // The file has been left alone for longer than a host that goes down would still write.
    let file = fs::File::options().append(true).open(&path).expect("the file");
    file.set_modified(SystemTime::now() - Duration::from_secs(10)).expect("a time");
    let host = start();
    assert_eq!(fs::read(&path).expect("lines"), whole);
    assert_eq!(host.log_of("json"), ["cut a torn last line of 35 bytes off /out/traces.jsonl"]);
    publish(&mut connection, STREAM, &entries[90..]);
    host.wait_for_exports(10);
    let mut found = lines(dir.path());
    found.sort();
    assert_eq!(found, ids);
}
