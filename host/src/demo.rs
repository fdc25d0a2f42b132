//! `meshtrace demo`: the main job on real input. The host listens itself, and an ordinary Redis client publishes to it what real agents once sent.

mod publisher;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::app::App;
use crate::cli::print;
use crate::config::{Config, SourceConfig};
use publisher::Publisher;

/// After this long without the last trace, a single pass has failed.
const ONCE_TIMEOUT: Duration = Duration::from_secs(60);
/// Between two passes.
const BETWEEN_PASSES: Duration = Duration::from_secs(5);
/// JSON files in the demo's own directory are removed at this age.
const FILES_LAST: Duration = Duration::from_secs(600);

/// Settings of the demo: short waits, so that one sees traces within seconds, and a directory of its own. Flags and variables still go before them.
pub fn defaults() -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("redis_url", "embedded://127.0.0.1:0".to_owned()),
        ("exporter_type", "multi".to_owned()),
        ("json_output_dir", own_dir().display().to_string()),
        ("quiet_period", "1s".to_owned()),
        ("parent_wait", "3s".to_owned()),
        ("trace_timeout", "10s".to_owned()),
        ("log", "warn".to_owned()),
    ])
}

/// Variables that a shell may have for a host beside a real Redis. The demo needs none, disturbs nobody's mesh, and shows what it is there to show.
pub const NOT_FOR_THE_DEMO: [&str; 5] =
    ["REDIS_URL", "MESHTRACE_STREAM", "MCP_MESH_DISTRIBUTED_TRACING_ENABLED", "TRACE_EXPORTER_TYPE", "TRACE_PRETTY_OUTPUT"];

/// Where the demo's JSON goes unless told otherwise.
fn own_dir() -> PathBuf {
    std::env::temp_dir().join("meshtrace-demo")
}

/// Removes the demo's own old files: it may run for days.
fn tidy(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let is_own = entry.file_name().to_str().is_some_and(|name| name.starts_with("trace-") && name.ends_with(".json"));
        let age = entry.metadata().and_then(|metadata| metadata.modified()).ok().and_then(|written| written.elapsed().ok());
        if is_own && age.is_some_and(|age| age > FILES_LAST) {
            // One that somebody else has just removed is gone as well.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Runs the demo until `signal`, or once.
///
/// # Errors
/// What cannot be started, and a single pass whose traces did not all come out.
pub async fn run(config: Config, once: bool, signal: impl Future<Output = ()>) -> anyhow::Result<()> {
    let SourceConfig::Embedded { password, stream, .. } = config.source.clone() else {
        bail!(
            "the demo publishes to its own listener: --redis-url, or redis_url in the configuration file, takes only embedded://HOST:PORT here"
        );
    };
    if password.is_some() {
        bail!("the demo publishes without a password: leave it out of embedded://HOST:PORT");
    }
    let pretty = config.exporters.pretty;
    let mut app = App::start(config).await?;
    let address = app.embedded_address.context("the demo needs tracing: MCP_MESH_DISTRIBUTED_TRACING_ENABLED is false")?;
    introduce(&app, pretty)?;
    let connected = Publisher::connect(&address.to_string(), stream).await;
    let mut publisher = connected.context("the demo's publisher cannot connect")?;
    let passes = async {
        let first = publisher.pass().await?;
        if once {
            return wait_for(&app, first.traces).await;
        }
        loop {
            tokio::time::sleep(BETWEEN_PASSES).await;
            tidy(&own_dir());
            publisher.pass().await?;
        }
    };
    let ended = tokio::select! {
        ended = passes => ended,
        () = signal => Ok(()),
    };
    let exported = app.stages.exported_traces();
    app.run_until(std::future::ready(())).await?;
    app.stop().await?;
    ended?;
    print(&format!("{exported} traces exported\n"))
}

fn introduce(app: &App, pretty: bool) -> anyhow::Result<()> {
    let api = &app.api_url;
    // A flag or a file may have chosen other exporters.
    let shown = match (app.stages.has_loaded("console"), pretty) {
        (true, true) => "appear below as trees",
        (true, false) => "appear below, a line each",
        (false, _) => "do not appear here, as the console exporter does not run",
    };
    let files = app.json_dir.as_ref().map_or_else(String::new, |dir| format!("; as JSON files in {}", dir.display()));
    print(&format!(
        "meshtrace demo: events captured from real agents, published again to an embedded listener.
  traces {shown}{files}; and at {api}:
    curl -s '{api}/trace/list?limit=3' | jq '.traces[] | {{trace_id, duration, agents}}'
    curl -s '{api}/trace/search?success=false' | jq '.traces[].spans[] | select(.success == false) | .error_message'
    curl -s {api}/trace/stats | jq .
  a plugin of your own: put NAME.wasm into a directory and start with --plugin-dir DIR
  Ctrl-C ends it

"
    ))
}

/// Waits until so many traces have been exported.
async fn wait_for(app: &App, traces: u64) -> anyhow::Result<()> {
    let all = async {
        while app.stages.exported_traces() < traces {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    if tokio::time::timeout(ONCE_TIMEOUT, all).await.is_err() {
        bail!("{} of {traces} traces were exported within {} s", app.stages.exported_traces(), ONCE_TIMEOUT.as_secs());
    }
    Ok(())
}
