//! MCP Mesh's registry, written in Go: it reads the same stream, puts spans together in memory, and writes a JSON file for each trace.
//!
//! It puts together `span_start` and `span_end` events only, acknowledges each as soon as it was read, and looks once a minute for traces whose spans have
//! all ended and that have been quiet for five seconds. It has no sampling.

use std::fs::{self, File};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::own::Feed;
use super::{Contender, Traces, files};
use crate::measure::Process;
use crate::server::{Server, free_port, group_exists, wait_until, wait_within};

/// Where files are in memory, as those of a host.
const JSON_DIR: &str = "json";
/// It looks so often, and once more for what was not quiet for long enough.
const LOOKS: Duration = Duration::from_secs(2 * 60 + 10);
/// A registry that takes longer than this has stopped.
const PATIENCE: Duration = Duration::from_secs(300);

/// A running registry, killed with this value.
pub struct Registry {
    binary: PathBuf,
    server: Server,
    feed: Feed,
    process: Child,
    dir: TempDir,
}

impl Registry {
    pub fn start(binary: &Path) -> Result<Registry> {
        let server = Server::start()?;
        let dir = crate::host::memory_dir()?;
        fs::create_dir(dir.path().join(JSON_DIR))?;
        let mut registry = Registry {
            binary: binary.to_owned(),
            feed: Feed::dual(&server)?,
            process: spawn(binary, dir.path(), &server)?,
            server,
            dir,
        };
        let mut connection = registry.server.connect()?;
        wait_until("the registry reads", || {
            registry.check()?;
            Ok(group_exists(&mut connection)?.then_some(()))
        })?;
        Ok(registry)
    }

    fn check(&mut self) -> Result<()> {
        match self.process.try_wait()? {
            Some(status) => bail!("{} ended with {status}: {}", self.binary.display(), self.stderr()),
            None => Ok(()),
        }
    }
}

fn spawn(binary: &Path, dir: &Path, server: &Server) -> Result<Child> {
    let mut command = Command::new(binary);
    command.current_dir(dir).env_clear().envs([
        ("HOST", "127.0.0.1".to_owned()),
        ("PORT", free_port()?.to_string()),
        ("DATABASE_URL", dir.join("registry.db").display().to_string()),
        ("MCP_MESH_DISTRIBUTED_TRACING_ENABLED", "true".to_owned()),
        ("REDIS_URL", server.url()),
        ("TRACE_EXPORTER_TYPE", "json".to_owned()),
        ("TRACE_JSON_OUTPUT_DIR", dir.join(JSON_DIR).display().to_string()),
        ("TRACE_ENABLE_STATS", "false".to_owned()),
    ]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(dir.join("stderr"))?);
    command.spawn().with_context(|| format!("{} does not start", binary.display()))
}

impl Contender for Registry {
    fn process(&self) -> Process {
        Process(self.process.id())
    }

    fn log(&self) -> Option<Process> {
        Some(self.server.process())
    }

    fn take(&mut self, traces: Range<u64>) -> Result<()> {
        let all = self.feed.publish(&traces)?;
        wait_within(PATIENCE, "the registry acknowledges all events", || {
            self.check()?;
            let progress = self.feed.progress()?;
            Ok((progress.acknowledged() >= all).then_some(()))
        })
    }

    fn kill_and_restart(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        self.process = spawn(&self.binary, self.dir.path(), &self.server)?;
        Ok(())
    }

    fn progress(&self) -> Result<u64> {
        files::count(&self.dir.path().join(JSON_DIR))
    }

    fn progress_of(&self, traces: u64) -> u64 {
        traces
    }

    fn handed_on(&self) -> Result<Traces> {
        files::read(&self.dir.path().join(JSON_DIR))
    }

    fn due_after(&self) -> Duration {
        LOOKS
    }

    fn stderr(&self) -> String {
        fs::read_to_string(self.dir.path().join("stderr")).unwrap_or_default()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
