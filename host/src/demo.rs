//! `meshtrace demo`: the main job on real input. The host listens itself, and an ordinary Redis client publishes to it what real agents once sent.

mod publisher;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::app::App;
use crate::config::Config;
use publisher::Publisher;

/// After this long without the last trace, a single pass has failed.
const ONCE_TIMEOUT: Duration = Duration::from_secs(60);
/// Between two passes.
const BETWEEN_PASSES: Duration = Duration::from_secs(5);

/// Settings of the demo: short waits, so that one sees traces within seconds, and a directory of its own. Flags and variables still go before them.
pub fn defaults() -> BTreeMap<&'static str, String> {
    let dir = std::env::temp_dir().join("meshtrace-demo");
    BTreeMap::from([
        ("redis_url", "embedded://127.0.0.1:0".to_owned()),
        ("exporter_type", "multi".to_owned()),
        ("json_output_dir", dir.display().to_string()),
        ("quiet_period", "1s".to_owned()),
        ("parent_wait", "3s".to_owned()),
        ("trace_timeout", "10s".to_owned()),
        ("log", "warn".to_owned()),
    ])
}

/// Runs the demo until `signal`, or once.
///
/// # Errors
/// What cannot be started, and a single pass whose traces did not all come out.
pub async fn run(config: Config, once: bool, signal: impl Future<Output = ()>) -> anyhow::Result<()> {
    let mut app = App::start(config).await?;
    let address =
        app.embedded_address.context("the demo publishes to its own listener: leave REDIS_URL unset, or set it to embedded://HOST:PORT")?;
    introduce(&app);
    let mut publisher = Publisher::connect(&format!("redis://{address}/")).await.context("the demo's publisher cannot connect")?;
    let passes = async {
        let first = publisher.pass().await?;
        if once {
            return wait_for(&app, first.traces).await;
        }
        loop {
            tokio::time::sleep(BETWEEN_PASSES).await;
            publisher.pass().await?;
        }
    };
    let ended = tokio::select! {
        ended = passes => ended,
        () = signal => Ok(()),
    };
    let exported = app.stages.exported();
    app.run_until(std::future::ready(())).await?;
    app.stop().await?;
    ended?;
    println!("{exported} traces exported");
    Ok(())
}

fn introduce(app: &App) {
    let api = &app.api_url;
    let files = app.json_dir.as_ref().map_or_else(String::new, |dir| format!("; as JSON files in {}", dir.display()));
    println!(
        "meshtrace demo: events captured from real agents, published again to an embedded listener.
  traces appear below as trees{files}; and at {api}:
    curl -s '{api}/trace/list?limit=3' | jq '.traces[] | {{trace_id, duration, agents}}'
    curl -s '{api}/trace/search?success=false' | jq '.traces[].spans[] | select(.success == false) | .error_message'
    curl -s {api}/trace/stats | jq .
  a plugin of your own: put NAME.wasm into a directory and start with --plugin-dir DIR
  Ctrl-C ends it
"
    );
}

/// Waits until so many traces have been exported.
async fn wait_for(app: &App, traces: u64) -> anyhow::Result<()> {
    let all = async {
        while app.stages.exported() < traces {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    if tokio::time::timeout(ONCE_TIMEOUT, all).await.is_err() {
        bail!("{} of {traces} traces were exported within {} s", app.stages.exported(), ONCE_TIMEOUT.as_secs());
    }
    Ok(())
}
