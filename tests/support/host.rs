//! A host of the test's own: the real binary.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::{PATIENCE, eventually, free_port};

/// How to start a host.
pub struct HostBuilder {
    environment: BTreeMap<String, String>,
    arguments: Vec<String>,
    on_a_terminal: bool,
    unread: bool,
    address: &'static str,
    dir: TempDir,
}

/// A running `meshtrace run`, killed with this value.
pub struct Host {
    pub process: Child,
    pub port: u16,
    /// Its working directory; JSON goes to `json` in it.
    pub dir: TempDir,
}

/// What became of a command that ended by itself.
pub struct Ended {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
    /// Its working directory.
    pub dir: TempDir,
}

/// Ends the process with this value, also when a test fails.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
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
            // One for all tests: each plugin is compiled once, not once per host.
            ("MESHTRACE_CACHE_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/compiled-plugins")),
        ];
        let environment = environment.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        HostBuilder {
            environment,
            arguments: vec!["run".into()],
            on_a_terminal: false,
            unread: false,
            address: "127.0.0.1",
            dir,
        }
    }

    /// A host that reads nothing and runs no plugin: for what has to do with neither.
    pub fn idle() -> HostBuilder {
        HostBuilder::new("embedded://127.0.0.1:0").set("TRACE_EXPORTER_TYPE", "none").set("TRACE_ENABLE_STATS", "false")
    }

    pub fn set(mut self, variable: &str, value: &str) -> HostBuilder {
        self.environment.insert(variable.into(), value.into());
        self
    }

    pub fn unset(mut self, variable: &str) -> HostBuilder {
        self.environment.remove(variable);
        self
    }

    /// Another command than `run`, with its flags.
    pub fn arguments(mut self, arguments: &[&str]) -> HostBuilder {
        self.arguments = arguments.iter().map(|argument| (*argument).into()).collect();
        self
    }

    /// Drops `{name}.wasm` into the plugin directory.
    pub fn plugin(self, name: &str, wasm: &[u8]) -> HostBuilder {
        let plugins = self.dir.path().join("plugins");
        std::fs::create_dir_all(&plugins).expect("a directory");
        std::fs::write(plugins.join(name).with_extension("wasm"), wasm).expect("a file");
        self.set("MESHTRACE_PLUGIN_DIR", &plugins.display().to_string())
    }

    /// Writes a file into the working directory.
    pub fn file(self, name: &str, text: &str) -> HostBuilder {
        std::fs::write(self.dir.path().join(name), text).expect("a file");
        self
    }

    /// Makes its standard output a terminal.
    pub fn on_a_terminal(mut self) -> HostBuilder {
        self.on_a_terminal = true;
        self
    }

    /// Makes its standard output a pipe whose reader has gone.
    pub fn unread(mut self) -> HostBuilder {
        self.unread = true;
        self
    }

    /// Lets the API listen at another address.
    pub fn listen_on(mut self, address: &'static str) -> HostBuilder {
        self.address = address;
        self
    }

    fn program(&self) -> Command {
        let host = env!("CARGO_BIN_EXE_meshtrace");
        let mut command;
        if self.on_a_terminal {
            command = Command::new("script");
            command.args([
                "--quiet",
                "--return",
                "--command",
                &format!("echo $$ >pid; exec '{host}' {} 2>>stderr", self.arguments.join(" ")),
                "/dev/null",
            ]);
        } else {
            command = Command::new(host);
            command.args(&self.arguments);
        }
        command
    }

    /// Writes JSON to a directory that outlives the host.
    pub fn json_dir(self, dir: &Path) -> HostBuilder {
        self.set("TRACE_JSON_OUTPUT_DIR", &dir.display().to_string())
    }

    /// What `meshtrace config` prints in this environment.
    pub fn config(&self) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_meshtrace"));
        let output = command.arg("config").current_dir(self.dir.path()).env_clear().envs(&self.environment).output().expect("it runs");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    fn spawn(&self, port: u16) -> Child {
        let log = |name: &str| std::fs::File::options().create(true).append(true).open(self.dir.path().join(name)).expect("a log file");
        let mut command = self.program();
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        command.stdout(log("stdout")).stderr(log("stderr"));
        if self.unread {
            let (_, pipe) = std::io::pipe().expect("a pipe");
            command.stdout(pipe);
        }
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).envs(&self.environment);
        command.env("MESHTRACE_LISTEN", format!("{}:{port}", self.address));
        command.spawn().expect("the host starts")
    }

    /// Starts it, and waits for nothing.
    pub fn start_at_once(self) -> Host {
        let port = free_port();
        let process = self.spawn(port);
        Host { process, port, dir: self.dir }
    }

    /// Starts it and waits until its plugins run.
    pub fn start(self) -> Host {
        self.start_until(Host::has_started)
    }

    /// Starts it and waits until `started`: for one that does not answer everybody.
    pub fn start_until(self, started: impl Fn(&Host) -> bool) -> Host {
        let mut host = self.start_at_once();
        // Plugins that no test has used since they were built are compiled first, which takes a while when many tests do it at once.
        let start = Instant::now();
        while !started(&host) {
            if let Some(status) = host.process.try_wait().expect("a process") {
                panic!("the host ended with {status}: {}", host.stderr());
            }
            assert!(start.elapsed() < 5 * PATIENCE, "the host has not started: {}", host.stderr());
            std::thread::sleep(Duration::from_millis(20));
        }
        host
    }

    /// Starts it, expecting that it refuses to; returns what it says.
    #[track_caller]
    pub fn refused(self) -> String {
        let ended = self.ended();
        assert!(!ended.success, "it did not refuse: {}{}", ended.stdout, ended.stderr);
        ended.stderr
    }

    /// Starts it and waits until it has ended by itself.
    #[track_caller]
    pub fn ended(self) -> Ended {
        let mut process = Reaped(self.spawn(free_port()));
        let status = eventually("the command ends", || process.0.try_wait().expect("a process"));
        let read = |name: &str| std::fs::read_to_string(self.dir.path().join(name)).expect("UTF-8");
        Ended {
            success: status.success(),
            stdout: read("stdout"),
            stderr: read("stderr"),
            dir: self.dir,
        }
    }
}

impl Host {
    pub fn stderr(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("stderr")).unwrap_or_default()
    }

    pub fn stdout(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("stdout")).unwrap_or_default()
    }

    /// What the plugin called `name` has said in the log, a message each.
    pub fn log_of(&self, name: &str) -> Vec<String> {
        let suffix = format!(" plugin={name:?}");
        let message = |line: &str| Some(line.split_once(" plugin: ")?.1.strip_suffix(&suffix)?.to_owned());
        self.stderr().lines().filter_map(message).collect()
    }

    /// The numbers of its own that the plugin called `name` has.
    #[track_caller]
    pub fn plugin_metrics(&self, name: &str) -> Value {
        self.plugin_row(name)["metrics"].clone()
    }

    /// What the status says about the plugin called `name`, but for numbers of its own.
    #[track_caller]
    pub fn plugin(&self, name: &str) -> Value {
        let mut row = self.plugin_row(name);
        row.as_object_mut().expect("an object").remove("metrics");
        row
    }

    #[track_caller]
    fn plugin_row(&self, name: &str) -> Value {
        let status = self.status();
        let plugins = status["exporter"]["plugins"].as_array().expect("plugins");
        plugins.iter().find(|plugin| plugin["name"] == name).unwrap_or_else(|| panic!("no {name} in {status}")).clone()
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

    fn has_started(&self) -> bool {
        self.try_get("/trace/status").is_some_and(|answer| answer.json()["consumer"]["status"] != "starting")
    }

    pub fn status(&self) -> Value {
        self.get("/trace/status").json()
    }

    /// One of the consumer's words in the status; empty when it has none.
    pub fn consumer(&self, key: &str) -> String {
        self.status()["consumer"][key].as_str().unwrap_or_default().to_owned()
    }

    /// One of the consumer's numbers in the status.
    pub fn counted(&self, key: &str) -> u64 {
        self.status()["consumer"][key].as_u64().expect("a number")
    }

    /// Waits until it reads what is new.
    #[track_caller]
    pub fn wait_until_running(&self) {
        eventually("the host reads", || (self.consumer("status") == "running").then_some(()));
    }

    /// Waits until so many traces have been exported.
    #[track_caller]
    pub fn wait_for_exports(&self, count: u64) {
        eventually(&format!("{count} traces are exported"), || {
            (self.status()["exporter"]["exported_traces"].as_u64()? >= count).then_some(())
        });
    }

    pub fn signal(&self, signal: i32) {
        super::signal(self.process.id(), signal);
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
        // On a terminal it is a grandchild, which lives on where hang-ups are ignored.
        let grandchild = std::fs::read_to_string(self.dir.path().join("pid")).ok();
        if let Some(pid) = grandchild.and_then(|pid| pid.trim().parse().ok()) {
            super::signal(pid, libc::SIGKILL);
        }
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
