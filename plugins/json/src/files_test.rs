//! Tests of mode `files` on real directories.

use super::*;
use crate::scratch::Scratch;

const ONE: &str = r#"{"trace_id":"t","spans":[{"span_id":"a","agent_name":"x","start_time":"2024-01-01T10:00:00Z","end_time":"2024-01-01T10:00:01Z","duration_ms":1000,"success":true}],"duration":"1s","complete":true}"#;
const TWO: &str = r#"{"trace_id":"t","spans":[{"span_id":"b","agent_name":"y","start_time":"2024-01-01T10:00:01Z","end_time":"2024-01-01T10:00:03Z","duration_ms":2000,"success":false}],"duration":"2s","complete":true}"#;

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_same_trace_twice_leaves_the_file_alone() {
    let dir = Scratch::new();
    let files = Files::open(dir.path()).unwrap();
    assert!(files.store("t", ONE.as_bytes()).unwrap());
    let path = dir.path().join("trace-t.json");
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{ONE}\n"), "the host's document as it is");
    assert!(!files.store("t", ONE.as_bytes()).unwrap());
    assert_eq!(names(dir.path()), ["trace-t.json"]);
}

#[test]
fn parts_give_one_file_in_any_order_and_repeated() {
    let mut results = Vec::new();
    for order in [[ONE, TWO], [TWO, ONE]] {
        let dir = Scratch::new();
        let files = Files::open(dir.path()).unwrap();
        assert!(order.iter().all(|part| files.store("t", part.as_bytes()).unwrap()));
        assert!(!order.iter().any(|part| files.store("t", part.as_bytes()).unwrap()), "a repeat changes nothing");
        results.push(fs::read_to_string(dir.path().join("trace-t.json")).unwrap());
    }
    assert_eq!(results[0], results[1]);
    assert!(results[0].contains(r#""duration":"3s","duration_ms":3000,"success":false,"complete":true,"span_count":2"#), "{}", results[0]);
}

#[test]
fn a_file_that_another_host_changes_meanwhile_is_united_again() {
    let dir = Scratch::new();
    let [stopped, leader] = [(); 2].map(|()| Files::open(dir.path()).unwrap());
    let path = dir.path().join("trace-t.json");
    let [three, four] = ["c", "d"].map(|id| TWO.replace("\"span_id\":\"b\"", &format!("\"span_id\":\"{id}\"")));
    // There was no file when the one that was stopped looked; then there was one; each time the leader has written it meanwhile.
    for (old, new, expected) in [(ONE, TWO, vec!["a", "b"]), (three.as_str(), four.as_str(), vec!["a", "b", "c", "d"])] {
        let mut meanwhile = vec![new];
        let stored = stopped.store_while("t", old.as_bytes(), || {
            for new in meanwhile.drain(..) {
                assert!(leader.store("t", new.as_bytes()).unwrap());
            }
        });
        assert!(stored.is_ok() && meanwhile.is_empty());
        let text = fs::read_to_string(&path).unwrap();
        let spans: Vec<&str> = ["a", "b", "c", "d"].into_iter().filter(|id| text.contains(&format!("\"span_id\":\"{id}\""))).collect();
        assert_eq!(spans, expected, "{text}");
        assert_eq!(names(dir.path()), ["trace-t.json"]);
    }
}

#[test]
fn a_file_that_is_changed_again_and_again_is_left_alone_and_tried_later() {
    let dir = Scratch::new();
    let files = Files::open(dir.path()).unwrap();
    let path = dir.path().join("trace-t.json");
    let mut changes = 0;
    let stored = files.store_while("t", TWO.as_bytes(), || {
        changes += 1;
        fs::write(&path, ONE.replace("1000", &format!("100{changes}"))).unwrap();
    });
    assert!(matches!(stored, Err(Failure::Retry(why)) if why.contains("trace-t.json is being changed again and again")));
    assert_eq!((changes, names(dir.path())), (ATTEMPTS, vec!["trace-t.json".to_owned()]));
    assert!(fs::read_to_string(&path).unwrap().contains("1005"));
}

#[test]
fn a_file_that_cannot_be_used_is_set_aside() {
    let dir = Scratch::new();
    let files = Files::open(dir.path()).unwrap();
    let path = dir.path().join("trace-t.json");
    for broken in ["{\"trace_id\":\"t\",\"sp", "{\"trace_id\":\"other\",\"spans\":[]}"] {
        fs::write(&path, broken).unwrap();
        assert!(files.store("t", ONE.as_bytes()).unwrap());
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(files.store("t", ONE.as_bytes()).unwrap());
    let expected = ["trace-t.json", "trace-t.json.corrupt", "trace-t.json.corrupt.1", "trace-t.json.corrupt.2"];
    assert_eq!(names(dir.path()), expected);
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{ONE}\n"));
    assert!(fs::read_to_string(dir.path().join(expected[2])).unwrap().contains("other"));
}

#[test]
fn unfinished_files_of_ours_go_and_no_others() {
    let dir = Scratch::new();
    for name in [".meshtrace-0123456789abcdef.tmp", ".meshtrace-notes.tmp", "mine.tmp"] {
        fs::write(dir.path().join(name), "x").unwrap();
    }
    Files::open(dir.path()).unwrap();
    assert_eq!(names(dir.path()), [".meshtrace-notes.tmp", "mine.tmp"]);
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let dir = Scratch::new();
    let missing = dir.path().join("missing");
    let error = Files::open(&missing).err().unwrap();
    assert!(error.contains(&missing.display().to_string()) && error.contains("Give a directory"), "{error}");
}

#[test]
fn a_failed_write_leaves_nothing_behind() {
    let dir = Scratch::new();
    let files = Files::open(dir.path()).unwrap();
    fs::remove_dir(dir.path()).unwrap();
    assert!(matches!(files.store("t", ONE.as_bytes()), Err(Failure::Retry(why)) if why.contains("trace-t.json")));
    fs::create_dir(dir.path()).unwrap();
    assert!(files.store("t", ONE.as_bytes()).unwrap());
    assert_eq!(names(dir.path()), ["trace-t.json"]);
}

#[test]
fn an_incoming_document_that_is_none_is_rejected_only_when_it_must_be_united() {
    let dir = Scratch::new();
    let files = Files::open(dir.path()).unwrap();
    files.store("t", ONE.as_bytes()).unwrap();
    assert!(matches!(files.store("t", b"odd"), Err(Failure::Reject(_))));
    assert_eq!(fs::read_to_string(dir.path().join("trace-t.json")).unwrap(), format!("{ONE}\n"));
}
