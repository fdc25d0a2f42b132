//! Compiled plugins on disk: what a second start saves, and what is not believed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::events::{lone, publish};
use crate::support::host::{Host, HostBuilder};
use crate::support::redis_server::{RedisServer, STREAM};

/// A host that reads nothing, with the exporter of this name, and keeps what it compiled in `dir`.
fn keeping(exporter: &str, dir: &Path) -> HostBuilder {
    HostBuilder::idle().set("TRACE_EXPORTER_TYPE", exporter).set("MESHTRACE_CACHE_DIR", &dir.display().to_string())
}

/// How many lines of the log have `text`.
fn lines_with(host: &Host, text: &str) -> usize {
    host.stderr().lines().filter(|line| line.contains(text)).count()
}

/// The plugins that were compiled, and those that were read from the cache.
fn compiled_and_read(host: &Host) -> (usize, usize) {
    (lines_with(host, "plugin loaded, compiled in "), lines_with(host, "plugin loaded, read from the cache in "))
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir).expect("a directory").map(|file| file.expect("a file").path()).collect();
    files.sort();
    files
}

/// Scenario: hosts are started one after the other with one cache directory; before the third start a bit is flipped in one entry, and
/// another stands in the place of the second.
/// Guarantees: the second start compiles nothing; the third compiles both anew, says of each what was wrong, and replaces them; each
/// host exports with what it started.
#[test]
fn a_second_start_compiles_nothing_and_damaged_entries_are_compiled_anew() {
    let redis = RedisServer::start();
    let cache = tempfile::tempdir().expect("a directory");
    let dir = cache.path().join("made/by/the/host");
    let exports = |id: &str| {
        let mut host = keeping("console,stats", &dir).set("REDIS_URL", &redis.url()).start();
        publish(&mut redis.connect(), STREAM, &[lone(id, "work")]);
        host.wait_for_exports(1);
        assert!(host.stdout().contains("work") && host.get("/trace/stats").json()["total_traces"] == 1);
        assert!(host.terminate().success(), "{}", host.stderr());
        host
    };
    assert_eq!(compiled_and_read(&exports("1")), (2, 0));
    let second = exports("2");
    assert_eq!((compiled_and_read(&second), lines_with(&second, " WARN ")), ((0, 2), 0), "{}", second.stderr());

    let entries = files(&dir);
    let mut flipped = fs::read(&entries[0]).expect("an entry");
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x10;
    for path in &entries {
        fs::write(path, &flipped).expect("a file");
    }
    let third = exports("3");
    assert_eq!((compiled_and_read(&third), lines_with(&third, " WARN ")), ((2, 0), 2), "{}", third.stderr());
    let reasons = ["it is damaged: its sha256 is not the one that was written", "it was compiled from another component"];
    for (path, reason) in entries.iter().zip(reasons) {
        let line = format!("the compiled plugin in {} is not used: {reason}; it is compiled anew", path.display());
        assert_eq!(lines_with(&third, &line), 1, "{line} is not in {}", third.stderr());
    }
    assert_eq!(files(&dir), entries);
    assert_eq!(compiled_and_read(&exports("4")), (0, 2));
}

/// Scenario: a directory that everybody may write; one that cannot be made; one in the directory that the json exporter writes; none.
/// Guarantees: the host starts and compiles, nothing is read or written there, and one line says why and what to do; none when that is asked for.
#[test]
fn a_directory_that_cannot_be_used_costs_one_line_that_says_why() {
    let around = tempfile::tempdir().expect("a directory");
    let shared = around.path().join("shared");
    fs::create_dir(&shared).expect("a directory");
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o777)).expect("a change");
    let file = around.path().join("file");
    fs::write(&file, "").expect("a file");
    let json = around.path().join("json");
    let advice = "they are compiled again at each start. MESHTRACE_CACHE_DIR takes another directory, or off";
    let cases = [
        (
            "console",
            shared.clone(),
            "other users may write there (its mode is 777, expected 700), and could have code of theirs run".to_owned(),
        ),
        ("console", file.join("below"), "it cannot be made or looked at (Not a directory (os error 20))".to_owned()),
        (
            "json",
            json.join("cache"),
            format!("the json exporter may write there (TRACE_JSON_OUTPUT_DIR={}), and could have code of its own run", json.display()),
        ),
    ];
    for (exporter, dir, reason) in cases {
        let host = keeping(exporter, &dir).json_dir(&json).start();
        assert_eq!((compiled_and_read(&host), lines_with(&host, " WARN ")), ((1, 0), 1), "{}", host.stderr());
        let line = format!("compiled plugins are not kept in {}: {reason}; {advice}", dir.display());
        assert_eq!(lines_with(&host, &line), 1, "{line} is not in {}", host.stderr());
    }
    assert!(files(&shared).is_empty() && !json.join("cache").exists());
    let host = keeping("console", Path::new("off")).start();
    assert_eq!((compiled_and_read(&host), lines_with(&host, " WARN ")), ((1, 0), 0), "{}", host.stderr());
    assert!(!host.dir.path().join("off").exists());
}
