//! A plugin directory of the test's own, changed while a host watches it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tempfile::TempDir;

use super::eventually;
use super::host::Host;

/// A directory with plugins, and one beside it in which things are made ready.
pub struct PluginDir {
    dir: TempDir,
}

impl PluginDir {
    pub fn new() -> PluginDir {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("plugins")).expect("a directory");
        fs::create_dir(dir.path().join("out")).expect("a directory");
        PluginDir { dir }
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("plugins")
    }

    /// Where the counting exporter writes.
    pub fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    /// Puts a file there at once, as `mv` does with one that was written a minute ago: nobody needs to wait for more of it.
    pub fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        self.put_written(name, content, Duration::from_secs(60));
    }

    /// Puts a file there at once that was written just now: more of it may come, so the host waits a moment.
    pub fn put_new(&self, name: &str, content: impl AsRef<[u8]>) {
        self.put_written(name, content, Duration::ZERO);
    }

    pub fn put_written(&self, name: &str, content: impl AsRef<[u8]>, ago: Duration) {
        let ready = self.dir.path().join("ready");
        fs::write(&ready, content).expect("a file");
        let file = fs::File::options().write(true).open(&ready).expect("a file");
        file.set_modified(SystemTime::now() - ago).expect("a time");
        fs::rename(ready, self.path().join(name)).expect("it is moved");
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.path().join(name)).expect("it was there");
    }

    /// The `.toml` that lets the counting exporter write.
    pub fn count_toml(&self) -> String {
        format!("[permissions]\ndirs = [{{ path = {:?}, as = \"/out\", access = \"write\" }}]\n", self.out())
    }

    /// The traces that the counting exporter took, in order, repeats included.
    pub fn taken(&self) -> Vec<String> {
        let text = fs::read_to_string(self.out().join("taken")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

/// `wasm` with a section that nobody reads: other bytes, the same component.
pub fn stamped(wasm: &[u8], stamp: &str) -> Vec<u8> {
    // A custom section: 0, its size, the size of its name, its name. Both sizes fit into a byte.
    let size = u8::try_from(stamp.len() + 1).expect("a short stamp");
    [wasm, &[0, size, size - 1], stamp.as_bytes()].concat()
}

/// What `/plugins/{name}` says; null when there is no such plugin.
pub fn plugin(host: &Host, name: &str) -> Value {
    let answer = host.get(&format!("/plugins/{name}"));
    if answer.status == 404 { Value::Null } else { answer.json() }
}

/// Waits until something of `/plugins/{name}` holds, and returns all of it.
#[track_caller]
pub fn plugin_when(host: &Host, name: &str, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
    eventually(what, || Some(plugin(host, name)).filter(|value| !value.is_null() && condition(value)))
}

/// The number of the plugin's last event; 0 when there is none.
pub fn last_event(plugin: &Value) -> u64 {
    plugin["history"].as_array().and_then(|history| history.last()).map_or(0, |event| event["number"].as_u64().expect("a number"))
}

/// Files that a process has open, and threads, and KiB of memory that it holds.
pub fn holds(process: u32) -> (usize, u64, u64) {
    let proc = Path::new("/proc").join(process.to_string());
    let files = fs::read_dir(proc.join("fd")).expect("it runs").count();
    let status = fs::read_to_string(proc.join("status")).expect("it runs");
    let number = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("a line of status");
        line.trim().split(' ').next().and_then(|number| number.parse().ok()).expect("a number")
    };
    (files, number("Threads:"), number("VmRSS:"))
}
