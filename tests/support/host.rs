//! A host of the test's own: the real binary.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::{eventually, free_port};

/// How to start a host.
pub struct HostBuilder {
    environment: BTreeMap<String, String>,
    arguments: Vec<String>,
    dir: TempDir,
}

/// A running `meshtrace run`, killed with this value.
pub struct Host {
    pub process: Child,
    pub port: u16,
    /// Its working directory; JSON goes to `json` in it.
    pub dir: TempDir,
}

/// An HTTP answer.
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.body))
    }
}

impl HostBuilder {
    /// A host that reads `redis_url`, with waits short enough for tests and the json exporter.
    pub fn new(redis_url: &str) -> HostBuilder {
        let dir = tempfile::tempdir().expect("a directory");
        let json = dir.path().join("json").display().to_string();
        let environment = [
            ("REDIS_URL", redis_url),
            ("TRACE_EXPORTER_TYPE", "json"),
            ("TRACE_JSON_OUTPUT_DIR", &json),
            ("MESHTRACE_QUIET_PERIOD", "300ms"),
            ("MESHTRACE_PARENT_WAIT", "1s"),
            ("TRACE_TIMEOUT", "5s"),
        ];
        let environment = environment.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        HostBuilder {
            environment,
            arguments: vec!["run".into()],
            dir,
        }
    }

    pub fn set(mut self, variable: &str, value: &str) -> HostBuilder {
        self.environment.insert(variable.into(), value.into());
        self
    }

    fn spawn(&self, port: u16) -> Child {
        let log = |name: &str| std::fs::File::options().create(true).append(true).open(self.dir.path().join(name)).expect("a log file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_meshtrace"));
        command.args(&self.arguments).current_dir(self.dir.path()).stdin(Stdio::null());
        command.stdout(log("stdout")).stderr(log("stderr"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).envs(&self.environment);
        command.env("MESHTRACE_LISTEN", format!("127.0.0.1:{port}"));
        command.spawn().expect("the host starts")
    }

    /// Starts it and waits until it answers.
    pub fn start(self) -> Host {
        let port = free_port();
        let process = self.spawn(port);
        let mut host = Host { process, port, dir: self.dir };
        eventually("the host is healthy", || {
            if let Some(status) = host.process.try_wait().expect("a process") {
                panic!("the host ended with {status}: {}", host.stderr());
            }
            host.try_get("/health").filter(|answer| answer.status == 200)
        });
        host
    }

    /// Starts it, expecting that it refuses to; returns what it says.
    pub fn refused(self) -> String {
        let mut process = self.spawn(free_port());
        let status = eventually("the host refuses to start", || process.try_wait().expect("a process"));
        assert!(!status.success());
        std::fs::read_to_string(self.dir.path().join("stderr")).expect("its log")
    }
}

impl Host {
    pub fn stderr(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("stderr")).unwrap_or_default()
    }

    pub fn stdout(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("stdout")).unwrap_or_default()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// GETs a path; `None` when nobody answers.
    pub fn try_get(&self, path: &str) -> Option<Answer> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer { status, body: body.to_owned() })
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.try_get(path).unwrap_or_else(|| panic!("no answer to {path}: {}", self.stderr()))
    }

    pub fn status(&self) -> Value {
        self.get("/trace/status").json()
    }

    /// Waits until so many traces have been exported.
    #[track_caller]
    pub fn wait_for_exports(&self, count: u64) {
        eventually(&format!("{count} traces are exported"), || {
            (self.status()["exporter"]["exported_traces"].as_u64()? >= count).then_some(())
        });
    }

    pub fn signal(&self, signal: i32) {
        #[expect(unsafe_code, reason = "the standard library sends SIGKILL only")]
        // SAFETY: kill(2) with the id of a child that has not been waited for.
        unsafe {
            libc::kill(self.process.id() as i32, signal)
        };
    }

    /// Kills it at once, and gives back its directory for the next start.
    pub fn kill(mut self) -> PathBuf {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let empty = tempfile::tempdir().expect("a directory");
        std::mem::replace(&mut self.dir, empty).keep()
    }

    /// Asks it to end, and waits until it has.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(libc::SIGTERM);
        eventually("the host ends", || self.process.try_wait().expect("a process"))
    }

    /// The JSON files: trace id as in the document → document.
    pub fn json_files(&self) -> BTreeMap<String, Value> {
        json_files(&self.dir.path().join("json"))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The documents in a directory of the json exporter.
pub fn json_files(dir: &Path) -> BTreeMap<String, Value> {
    let Ok(entries) = std::fs::read_dir(dir) else { return BTreeMap::new() };
    let mut documents = BTreeMap::new();
    for path in entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.extension().is_some_and(|own| own == "json")) {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let document: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        documents.insert(document["trace_id"].as_str().expect("an id").to_owned(), document);
    }
    documents
}
