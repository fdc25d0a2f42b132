//! The HTTP API: MCP Mesh's documented `/trace/*`, what `meshctl` asks for, health.
//!
//! One file per route; each has its path and its handler, and this page lists them. Handlers read the store and ask the
//! [`Pipeline`]; what they cannot use they refuse with a JSON error that names it.
//!
//! Must never: write into the pipeline, encode a trace on a thread that other tasks need (see `Api::render`), or be
//! known by an earlier stage. Only this stage knows axum and HTTP.

mod connection;
mod decision;
mod health;
mod list;
mod metrics;
mod params;
mod pipeline;
mod plugins;
mod ready;
mod reply;
mod search;
mod standby;
mod stats;
mod status;
#[cfg(test)]
mod tests;
mod trace;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::http::{Method, Uri};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

pub use pipeline::{Answer, CorrelatorSummary, ExporterSummary, FiltersSummary, InputSummary, Pipeline, PluginSummary, PluginsSummary};

use self::connection::{BoundedListener, Bounds};
use self::reply::Failure;
use crate::go_duration::GoDuration;
use crate::store::Store;

/// Answers that are encoded at one time; more wait their turn. Each may hold a hundred traces as text.
const MAX_RENDERING: usize = 4;

/// A stage or a plugin that was asked has this long to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections have this long to finish their answers at shutdown.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(3);

/// The paths there are, for whoever asked for another.
const PATHS: [&str; 13] = [
    status::PATH,
    list::PATH,
    search::PATH,
    stats::PATH,
    trace::PATH,
    decision::PATH,
    trace::REGISTRY_PATH,
    plugins::PATH,
    plugins::ONE_PATH,
    plugins::REPORT_PATH,
    metrics::PATH,
    health::PATH,
    ready::PATH,
];

/// What the API answers from.
#[derive(Clone)]
pub struct ApiState {
    /// Recent decided traces.
    pub store: Arc<Store>,
    /// The running stages.
    pub pipeline: Arc<dyn Pipeline>,
    /// `MCP_MESH_DISTRIBUTED_TRACING_ENABLED`; when false the answers say so and are empty.
    pub enabled: bool,
}

/// What every handler gets.
struct Api {
    state: ApiState,
    rendering: Arc<Semaphore>,
    /// [`ANSWER_TIMEOUT`], shorter in tests.
    patience: Duration,
}

impl Api {
    fn new(state: ApiState, patience: Duration) -> Api {
        Api {
            state,
            rendering: Arc::new(Semaphore::new(MAX_RENDERING)),
            patience,
        }
    }

    /// What somebody within answers, unless it takes too long.
    async fn answer<T>(&self, whose: &str, answer: Answer<'_, T>) -> Result<T, Failure> {
        let late = |_| Failure::Unanswered(format!("{whose} did not answer within {}", GoDuration::from(self.patience)));
        timeout(self.patience, answer).await.map_err(late)
    }

    /// Runs work that takes time but never waits, such as encoding traces, beside the threads that move spans.
    async fn render(self: Arc<Self>, work: impl FnOnce(&ApiState) -> Response + Send + 'static) -> Result<Response, Failure> {
        let turn = self.rendering.clone().acquire_owned().await.map_err(|_| Failure::Broken)?;
        let rendered = tokio::task::spawn_blocking(move || {
            // Until the work is done, also when nobody waits for it any more.
            let _turn = turn;
            work(&self.state)
        });
        rendered.await.map_err(|_| Failure::Broken)
    }
}

/// All routes.
pub fn router(state: ApiState) -> Router {
    routes(Api::new(state, ANSWER_TIMEOUT))
}

fn routes(api: Api) -> Router {
    let api = Arc::new(api);
    let about_traces = Router::new()
        .merge(list::route())
        .merge(search::route())
        .merge(stats::route())
        .merge(trace::routes())
        .merge(decision::route())
        .route_layer(from_fn_with_state(Arc::clone(&api), standby::refuse));
    Router::new()
        .merge(about_traces)
        .merge(status::route())
        .merge(plugins::routes())
        .merge(metrics::route())
        .merge(health::route())
        .merge(ready::route())
        .fallback(|uri: Uri| async move { Failure::NoSuchPath(uri.path().to_owned()) })
        .method_not_allowed_fallback(|method: Method| async move { Failure::NoSuchMethod(method.to_string()) })
        .with_state(api)
}

/// Serves `router` until `shutdown`, then lets the answers under way finish, for three seconds at most.
///
/// # Errors
/// None today: a connection that cannot be accepted is tried again. The type is axum's.
pub async fn serve(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
    serve_within(Bounds::default(), listener, router, shutdown).await
}

async fn serve_within(
    bounds: Bounds,
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let stopping = Arc::new(Notify::new());
    let told = stopping.clone();
    let server = axum::serve(BoundedListener::new(listener, bounds), router).with_graceful_shutdown(async move {
        shutdown.await;
        told.notify_one();
    });
    let grace = async {
        stopping.notified().await;
        tokio::time::sleep(SHUTDOWN_GRACE).await;
    };
    let (server, grace) = (pin!(server.into_future()), pin!(grace));
    tokio::select! {
        served = server => served,
        () = grace => Ok(()),
    }
}

/// The wall clock, which is what people ask by.
fn now_unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
