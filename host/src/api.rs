//! The HTTP API: MCP Mesh's documented `/trace/*`, what `meshctl` asks for, health.
//!
//! One file per route; each has its path and its handler, and this page lists them. Handlers read the store and ask the
//! [`Pipeline`]; what they cannot use they refuse with a JSON error that names it.
//!
//! Must never: write into the pipeline, encode a trace on a thread that other tasks need (see `Api::render`), or be
//! known by an earlier stage. Only this stage knows axum and HTTP.

mod access;
mod decision;
#[cfg(any(test, feature = "fuzz"))]
mod fuzz;
mod guard;
mod health;
mod list;
mod metrics;
mod params;
mod pipeline;
mod plugins;
mod ready;
mod refusal;
mod reply;
mod search;
mod server;
mod standby;
mod stats;
mod status;
#[cfg(test)]
mod tests;
mod trace;
mod traffic;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::http::{Method, Uri};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

#[cfg(any(test, feature = "fuzz"))]
pub use fuzz::query as fuzz_query;
pub use pipeline::{Answer, CorrelatorSummary, ExportersSummary, FiltersSummary, InputSummary, Pipeline, PluginsSummary};

use self::access::Access;
use self::reply::Failure;
use self::server::{Bounds, Server};
use self::traffic::Traffic;
use crate::config::ApiConfig;
use crate::go_duration::GoDuration;
use crate::model::Trace;
use crate::store::Store;

/// Answers that are encoded at one time; more wait their turn. Each may hold a hundred traces as text.
const MAX_RENDERING: usize = 4;

/// An answer is put together at once when its traces have no more spans than this, and bytes, which takes a millisecond or two. Another thread would take
/// longer only to begin, when all processors are busy.
const LITTLE_SPANS: usize = 1_000;
const LITTLE_BYTES: usize = 512 * 1024;

/// A stage or a plugin that was asked has this long to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

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
    traffic: Arc<Traffic>,
    reports: plugins::Reports,
    /// [`ANSWER_TIMEOUT`], shorter in tests.
    patience: Duration,
}

impl Api {
    fn new(state: ApiState, patience: Duration) -> Api {
        Api {
            state,
            rendering: Arc::new(Semaphore::new(MAX_RENDERING)),
            traffic: Arc::default(),
            reports: plugins::Reports::default(),
            patience,
        }
    }

    /// What somebody within answers, unless it takes too long.
    async fn answer<T>(&self, whose: &str, answer: Answer<'_, T>) -> Result<T, Failure> {
        let late = |_| Failure::Unanswered(format!("{whose} did not answer within {}", GoDuration::from(self.patience)));
        timeout(self.patience, answer).await.map_err(late)
    }

    /// Waits for a turn at putting an answer together: there are so many at one time.
    async fn turn(&self) -> Result<OwnedSemaphorePermit, Failure> {
        let busy = |_| {
            Failure::Unanswered(format!(
                "too many answers are being put together, none was done within {}",
                GoDuration::from(self.patience)
            ))
        };
        timeout(self.patience, self.rendering.clone().acquire_owned()).await.map_err(busy)?.map_err(|_| Failure::Broken)
    }

    /// Runs work that never waits, such as encoding traces. What takes time is done beside the threads that answer others; what is `little`, at once.
    async fn render(self: Arc<Self>, little: bool, work: impl FnOnce(&ApiState) -> Response + Send + 'static) -> Result<Response, Failure> {
        if little {
            return Ok(work(&self.state));
        }
        let turn = self.turn().await?;
        self.render_in(turn, work).await
    }

    /// Runs work that takes time, in a turn that one has.
    async fn render_in(
        self: Arc<Self>,
        turn: OwnedSemaphorePermit,
        work: impl FnOnce(&ApiState) -> Response + Send + 'static,
    ) -> Result<Response, Failure> {
        let rendered = tokio::task::spawn_blocking(move || {
            // Until the work is done, also when nobody waits for it any more.
            let _turn = turn;
            work(&self.state)
        });
        rendered.await.map_err(|_| Failure::Broken)
    }
}

/// How the API is served: who may ask it, and how it is encrypted.
pub struct Serving {
    access: Access,
    tls: Option<TlsAcceptor>,
}

impl Serving {
    /// Reads the files that `config` names.
    ///
    /// # Errors
    /// What cannot be read or used; and an address that others reach, without a token or TLS.
    pub fn new(config: &ApiConfig) -> anyhow::Result<Serving> {
        config.check_reach().map_err(anyhow::Error::msg)?;
        let access = Access::new(config)?;
        if matches!(access, Access::Anybody) {
            tracing::warn!(address = %config.listen, "everybody who can reach this address may read every trace: the API asks for no token");
        }
        let tls = config.certificate.as_ref().map(server::acceptor).transpose()?;
        Ok(Serving { access, tls })
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

/// Serves all routes until `shutdown`, then lets the answers under way finish, for three seconds at most.
pub async fn serve(listener: TcpListener, serving: Serving, state: ApiState, shutdown: impl Future<Output = ()>) {
    let (bounds, api) = (Bounds::default(), Api::new(state, ANSWER_TIMEOUT));
    let traffic = Arc::clone(&api.traffic);
    let server = Server {
        router: guard::before(routes(api), serving.access, &bounds, Arc::clone(&traffic)),
        tls: serving.tls,
        bounds,
        traffic,
    };
    server.serve(listener, shutdown).await;
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

/// Whether an answer with these traces is put together at once.
fn is_little(traces: &[Arc<Trace>]) -> bool {
    // Spans come first: they are counted already, and bytes have to be.
    let spans: usize = traces.iter().map(|trace| trace.spans.len()).sum();
    spans <= LITTLE_SPANS && traces.iter().map(|trace| trace.bytes()).sum::<usize>() <= LITTLE_BYTES
}

/// The wall clock, which is what people ask by.
fn now_unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
