//! A host of the bench's own: the release binary beside this one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::measure::Process;
use crate::server::{Server, free_port, wait_within};

/// Where files are in memory.
const TMPFS: &str = "/dev/shm";
const JSON_DIR: &str = "json";
/// Age of a file that nobody still writes to.
const FINISHED_AGO: Duration = Duration::from_secs(60);
/// A host that does not read by then never will; on a busy machine, plugins take their time to be compiled.
const START: Duration = Duration::from_secs(300);
/// From SIGTERM to the end, at most.
const STOP: Duration = Duration::from_secs(20);

/// How to start a host.
#[derive(Debug)]
pub struct HostBuilder {
    environment: BTreeMap<String, String>,
    dir: TempDir,
}

/// A running `meshtrace run`, killed with this value.
pub struct Host {
    process: Child,
    port: u16,
    environment: BTreeMap<String, String>,
    dir: TempDir,
    /// When it was started.
    pub begin: Instant,
}

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Says which binary is the host, once: the one beside this one, unless another is wanted.
///
/// # Errors
/// There is none.
pub fn choose(wanted: Option<PathBuf>) -> Result<()> {
    let program = wanted.map_or_else(|| Ok::<_, std::io::Error>(std::env::current_exe()?.with_file_name("meshtrace")), Ok)?;
    if !program.is_file() {
        bail!("{} is missing: cargo build --release -p meshtrace makes it", program.display());
    }
    PROGRAM.get_or_init(|| program);
    Ok(())
}

impl HostBuilder {
    /// A host in its default configuration, without exporters and filters.
    pub fn new(server: &Server) -> Result<HostBuilder> {
        // JSON goes to memory, so that no disk is measured.
        let dir = memory_dir()?;
        let own = |name: &str| dir.path().join(name).display().to_string();
        for name in ["plugins", JSON_DIR] {
            fs::create_dir(dir.path().join(name))?;
        }
        let cache = std::env::current_exe()?.with_file_name("bench-compiled-plugins");
        let environment = [
            ("REDIS_URL", server.url()),
            ("TRACE_EXPORTER_TYPE", "none".to_owned()),
            ("TRACE_ENABLE_STATS", "false".to_owned()),
            ("TRACE_JSON_OUTPUT_DIR", own(JSON_DIR)),
            ("MESHTRACE_PLUGIN_DIR", own("plugins")),
            ("MESHTRACE_CACHE_DIR", cache.display().to_string()),
        ];
        Ok(HostBuilder {
            environment: environment.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            dir,
        })
    }

    pub fn set(mut self, variable: &str, value: &str) -> HostBuilder {
        self.environment.insert(variable.to_owned(), value.to_owned());
        self
    }

    /// Begins without compiled plugins, and keeps its own to itself: else a second run would find everything compiled.
    pub fn empty_cache(self) -> HostBuilder {
        let dir = self.dir.path().join("compiled").display().to_string();
        self.set("MESHTRACE_CACHE_DIR", &dir)
    }

    /// Puts a file into the plugin directory.
    pub fn plugin(self, file: &str, content: impl AsRef<[u8]>) -> Result<HostBuilder> {
        fs::write(self.dir.path().join("plugins").join(file), content)?;
        Ok(self)
    }

    /// Starts it, and waits for nothing.
    pub fn start(self) -> Result<Host> {
        let HostBuilder { mut environment, dir } = self;
        let port = free_port()?;
        environment.insert("MESHTRACE_LISTEN".to_owned(), format!("127.0.0.1:{port}"));
        let begin = Instant::now();
        let process = spawn(&environment, dir.path())?;
        Ok(Host { process, port, environment, dir, begin })
    }

    /// Starts it and waits until it reads.
    pub fn start_reading(self) -> Result<Host> {
        let mut host = self.start()?;
        host.wait_until_it_reads()?;
        Ok(host)
    }
}

/// A directory in memory, if this machine has such.
pub fn memory_dir() -> Result<TempDir> {
    let parent = if Path::new(TMPFS).is_dir() { PathBuf::from(TMPFS) } else { std::env::temp_dir() };
    Ok(tempfile::Builder::new().prefix("meshtrace-bench-").tempdir_in(parent)?)
}

fn spawn(environment: &BTreeMap<String, String>, dir: &Path) -> Result<Child> {
    let mut command = Command::new(PROGRAM.get().context("no host was chosen")?);
    command.arg("run").current_dir(dir).env_clear().envs(environment);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(dir.join("stderr"))?);
    command.spawn().context("the host does not start")
}

impl Host {
    pub fn process(&self) -> Process {
        Process(self.process.id())
    }

    pub fn stderr(&self) -> String {
        fs::read_to_string(self.dir.path().join("stderr")).unwrap_or_default()
    }

    /// # Errors
    /// It has ended.
    pub fn check(&mut self) -> Result<()> {
        match self.process.try_wait()? {
            Some(status) => bail!("the host ended with {status}: {}", self.stderr()),
            None => Ok(()),
        }
    }

    fn wait_until_it_reads(&mut self) -> Result<()> {
        wait_within(START, "the host reads", || {
            self.check()?;
            Ok((self.consumer("status").ok().as_deref() == Some("running")).then_some(()))
        })
    }

    /// Kills it at once (SIGKILL), starts it again as it was, and waits until it reads.
    pub fn kill_and_restart(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        self.process = spawn(&self.environment, self.dir.path())?;
        self.wait_until_it_reads()
    }

    /// Where the json exporter writes.
    pub fn json_dir(&self) -> PathBuf {
        self.dir.path().join(JSON_DIR)
    }

    /// The body of the answer to a GET.
    pub fn get(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let (head, body) = text.split_once("\r\n\r\n").with_context(|| format!("no answer to {path}"))?;
        if head.split(' ').nth(1) != Some("200") {
            bail!("{path} is answered by {head}: {body}");
        }
        Ok(body.to_owned())
    }

    /// Puts a file into the plugin directory at once, as one that was finished long ago and is moved there: the host waits for no more of it.
    pub fn put_plugin(&self, file: &str, content: &[u8]) -> Result<()> {
        let ready = self.dir.path().join("ready");
        fs::write(&ready, content)?;
        File::options().write(true).open(&ready)?.set_modified(SystemTime::now() - FINISHED_AGO)?;
        fs::rename(ready, self.dir.path().join("plugins").join(file))?;
        Ok(())
    }

    pub fn json(&self, path: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.get(path)?)?)
    }

    pub fn status(&self) -> Result<Value> {
        self.json("/trace/status")
    }

    fn consumer(&self, key: &str) -> Result<String> {
        Ok(self.status()?["consumer"][key].as_str().unwrap_or_default().to_owned())
    }

    /// Asks it to end, and waits until it has; says with how much memory at most.
    pub fn stop(mut self) -> Result<u64> {
        let peak = self.process().peak()?;
        if let Some(pid) = rustix::process::Pid::from_raw(i32::try_from(self.process.id())?) {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
        wait_within(STOP, "the host ends", || Ok(self.process.try_wait()?))?;
        Ok(peak)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
