//! An OpenTelemetry Collector: spans in over OTLP/HTTP, whole traces sampled, what is kept out over OTLP/HTTP.
//!
//! The binary has to have the components `otlp`, `tail_sampling`, `batch` and `otlphttp`, as the contrib distribution has.

use std::fs::{self, File};
use std::net::TcpStream;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::otlp::{Requests, send};
use super::sink::Sink;
use super::{Contender, Keep, Traces, shape};
use crate::load::SPANS;
use crate::measure::Process;
use crate::server::{free_port, wait_until};

/// A running Collector, killed with this value.
pub struct Collector {
    binary: PathBuf,
    process: Child,
    port: u16,
    sink: Sink,
    requests: Requests,
    /// How long a trace is waited for.
    window: Duration,
    dir: TempDir,
}

impl Collector {
    /// One that keeps these of `traces` traces, each decided so long after its first span.
    pub fn start(binary: &Path, keep: Keep, window: Duration, traces: u64) -> Result<Collector> {
        let (dir, sink, port) = (tempfile::tempdir()?, Sink::start()?, free_port()?);
        fs::write(dir.path().join("config.yaml"), config(keep, window, traces, port, sink.port))?;
        let mut collector = Collector {
            binary: binary.to_owned(),
            process: spawn(binary, dir.path())?,
            port,
            sink,
            requests: Requests::new()?,
            window,
            dir,
        };
        collector.wait_until_listening()?;
        Ok(collector)
    }

    fn wait_until_listening(&mut self) -> Result<()> {
        wait_until("the Collector listens", || {
            if let Some(status) = self.process.try_wait()? {
                bail!("{} ended with {status}: {}", self.binary.display(), self.stderr());
            }
            Ok(TcpStream::connect(("127.0.0.1", self.port)).is_ok().then_some(()))
        })
    }
}

fn spawn(binary: &Path, dir: &Path) -> Result<Child> {
    let mut command = Command::new(binary);
    command.arg("--config").arg(dir.join("config.yaml"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(dir.join("stderr"))?);
    command.spawn().with_context(|| format!("{} does not start", binary.display()))
}

/// Its settings. What is kept goes out in batches of as many spans as a host's batches have at most, uncompressed.
fn config(keep: Keep, window: Duration, traces: u64, port: u16, sink: u16) -> String {
    let policies = match keep {
        Keep::All => "      - {name: all, type: always_sample}",
        Keep::Some => {
            "      - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
      - {name: slow, type: latency, latency: {threshold_ms: 1000}}
      - {name: tenth, type: probabilistic, probabilistic: {sampling_percentage: 10}}"
        }
    };
    format!(
        "receivers:
  otlp:
    protocols:
      http:
        endpoint: 127.0.0.1:{port}
processors:
  tail_sampling:
    decision_wait: {}s
    # Beyond as many it would forget traces that it has not decided.
    num_traces: {}
    policies:
{policies}
  batch:
    send_batch_size: 512
    timeout: 200ms
exporters:
  otlphttp:
    endpoint: http://127.0.0.1:{sink}
    compression: none
service:
  telemetry:
    logs:
      level: warn
    metrics:
      level: none
  pipelines:
    traces:
      receivers: [otlp]
      processors: [tail_sampling, batch]
      exporters: [otlphttp]
",
        window.as_secs(),
        traces * 2,
    )
}

impl Contender for Collector {
    fn process(&self) -> Process {
        Process(self.process.id())
    }

    fn log(&self) -> Option<Process> {
        None
    }

    fn take(&mut self, traces: Range<u64>) -> Result<()> {
        let shape = shape(&traces);
        send(self.port, self.requests.of(&shape))
    }

    fn kill_and_restart(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        self.process = spawn(&self.binary, self.dir.path())?;
        self.wait_until_listening()
    }

    fn progress(&self) -> Result<u64> {
        Ok(self.sink.spans())
    }

    fn progress_of(&self, traces: u64) -> u64 {
        traces * SPANS
    }

    fn handed_on(&self) -> Result<Traces> {
        Ok(self.sink.traces())
    }

    fn due_after(&self) -> Duration {
        // It looks once a second.
        self.window + Duration::from_secs(5)
    }

    fn stderr(&self) -> String {
        fs::read_to_string(self.dir.path().join("stderr")).unwrap_or_default()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
