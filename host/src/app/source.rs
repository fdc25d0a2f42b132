//! The source that the settings want, connected and started.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::config::SourceConfig;
use crate::source::embedded::{Embedded, EmbeddedConfig};
use crate::source::redis::{Redis, RedisConfig};
use crate::source::{Batch, Settlement, SourceState, SourceStatus};
use crate::tasks::Tasks;

/// What a source is connected to.
pub struct SourceEnds {
    pub out: mpsc::Sender<Batch>,
    pub settlements: mpsc::Receiver<Settlement>,
    pub status: Arc<SourceStatus>,
    pub stop: watch::Receiver<bool>,
    pub failed: mpsc::Sender<anyhow::Error>,
    /// Whether a listener of our own may be reached by others without a password.
    pub insecure_bind: bool,
}

/// Starts the source that `source` describes; says where it listens, if it does.
pub async fn start(tasks: &Tasks, source: SourceConfig, ends: SourceEnds) -> anyhow::Result<Option<SocketAddr>> {
    match source {
        SourceConfig::Embedded { address, password, stream } => {
            let mut config = EmbeddedConfig::new(address);
            config.password = password;
            config.stream = stream;
            config.insecure_bind = ends.insecure_bind;
            let embedded = Embedded::bind(config).await?;
            let address = embedded.local_addr();
            tasks.spawn("source", embedded.run(ends.out, ends.settlements, ends.status, ends.stop));
            Ok(Some(address))
        }
        SourceConfig::Redis(config) => {
            // On a thread of its own: what it has to do for a batch takes a millisecond, and nobody who asks the API waits behind that.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            tasks.spawn_thread("source".into(), move || {
                runtime.block_on(read_redis(config, ends));
                // A name that is still being looked up is not waited for.
                runtime.shutdown_background();
            })?;
            Ok(None)
        }
    }
}

async fn read_redis(config: RedisConfig, ends: SourceEnds) {
    let SourceEnds {
        out,
        settlements,
        status,
        stop,
        failed,
        insecure_bind: _,
    } = ends;
    let mut stopping = stop.clone();
    let prepared = tokio::select! {
        prepared = Redis::prepare(config, Arc::clone(&status), stop.clone()) => prepared,
        // A Redis that takes connections and never answers is not waited for.
        _ = stopping.wait_for(|stop| *stop) => Ok(None),
    };
    match prepared {
        Ok(Some(redis)) => redis.run(out, settlements, stop).await,
        Ok(None) => status.set_state(SourceState::Stopped),
        // Received unless the host is stopping anyway.
        Err(error) => drop(failed.send(error).await),
    }
}

/// Reads nothing, but lets the stages and their plugins live on: a source that ended would take them along.
pub fn keep_idle(tasks: &Tasks, source: &SourceConfig, mut ends: SourceEnds) -> Option<SocketAddr> {
    let (stream, group) = source.names();
    ends.status.set_names(stream, group);
    tasks.spawn("source", async move {
        // An error means that the host is gone, which is a stop too.
        let _ = ends.stop.wait_for(|stop| *stop).await;
    });
    None
}
