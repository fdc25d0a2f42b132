//! One way to a connection: URL, TLS, time limits, and pauses between attempts.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, IntoConnectionInfo, RedisError, RedisResult, TlsCertificates};
use rustls::ClientConfig;
use tokio::sync::watch;

use super::tap::Tap;
use super::tls;
use super::wire::{self, Meter, Moving};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take. Redis pauses for seconds when it forks or loads; beyond this the connection counts as lost.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
/// Pauses between attempts grow from the first to the last of these.
const PAUSES_MS: [u64; 6] = [100, 200, 500, 1_000, 2_000, 5_000];

/// What our connections are called in Redis' list of clients.
pub(super) const CLIENT_NAME: &str = "meshtrace";

/// Files and switches of `REDIS_TLS_*`, with the meaning that MCP Mesh gives them.
#[derive(Debug, Clone, Default)]
pub struct TlsFiles {
    /// `REDIS_TLS_CA`: PEM file of the authorities that are trusted, instead of the system's.
    pub ca: Option<PathBuf>,
    /// What we show to a server that asks who we are.
    pub client: Option<ClientFiles>,
    /// `REDIS_TLS_SKIP_VERIFY`: accept any certificate.
    pub skip_verify: bool,
}

/// A certificate of ours, and its key.
#[derive(Debug, Clone)]
pub struct ClientFiles {
    /// `REDIS_TLS_CERT`: PEM file of the certificate.
    pub cert: PathBuf,
    /// `REDIS_TLS_KEY`: PEM file of the key.
    pub key: PathBuf,
}

impl TlsFiles {
    fn any(&self) -> bool {
        self.ca.is_some() || self.client.is_some() || self.skip_verify
    }
}

/// Makes connections to one Redis.
pub(super) struct Connector {
    client: Client,
    /// For the reader's connection, where it is encrypted.
    tls: Option<Arc<ClientConfig>>,
    password: Option<String>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl Connector {
    /// Any `REDIS_TLS_*` setting turns TLS on, also for a `redis://` URL, as it does for the registry.
    pub fn new(url: &str, tls: &TlsFiles) -> anyhow::Result<Connector> {
        let mut url = url.to_owned();
        if tls.any() {
            if let Some(rest) = url.strip_prefix("redis://") {
                url = format!("rediss://{rest}");
            }
            if tls.skip_verify && !url.contains('#') {
                url.push_str("#insecure");
            }
        }
        // The library's own text repeats the URL, and with it the password. The configuration takes none that cannot be read.
        let info = url.as_str().into_connection_info().map_err(|_| anyhow::anyhow!("REDIS_URL: a part of it cannot be read"))?;
        let password = info.redis_settings().password().map(str::to_owned);
        let mut encrypted = None;
        let client = if let ConnectionAddr::TcpTls { insecure, .. } = *info.addr() {
            // Another part of the process may have chosen one already; either will do.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let certificates = certificates(tls)?;
            encrypted = Some(tls::client(&certificates, insecure).context("the TLS settings cannot be used")?);
            Client::build_with_tls(info, certificates)
        } else {
            Client::open(info)
        };
        Ok(Connector {
            client: client.context("the TLS settings cannot be used")?,
            tls: encrypted,
            password,
        })
    }

    pub async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&config()).await?;
        name(&mut connection).await?;
        Ok(connection)
    }

    /// A connection whose replies `meter` counts and bounds, and `tap` gets those that it asks for.
    pub async fn connect_reader(&self, meter: &Arc<Meter>, tap: &Arc<Tap>) -> RedisResult<(MultiplexedConnection, Moving)> {
        meter.allow(u64::MAX);
        let ends = (Arc::clone(meter), Arc::clone(tap));
        let connecting = wire::connect(self.client.get_connection_info(), self.tls.as_ref(), ends, config());
        match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(connected) => connected,
            Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
        }
    }

    /// What went wrong, for people: never with the password.
    pub fn explain(&self, error: &RedisError) -> String {
        let text = error.to_string();
        match &self.password {
            Some(password) if !password.is_empty() => text.replace(password.as_str(), "***"),
            _ => text,
        }
    }
}

fn config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_TIMEOUT)).set_response_timeout(Some(RESPONSE_TIMEOUT))
}

/// Whether a connection is of no use any more: it has ended, or its server is not the one to ask as things are. A server that has become a replica keeps the
/// connections that it has, and only a new one finds its way to the server that has taken its place.
pub(super) fn is_of_no_use(error: &RedisError) -> bool {
    error.is_io_error() || error.is_unrecoverable_error() || is_answered(error, &["READONLY", "MASTERDOWN", "LOADING"])
}

/// Whether Redis answered with one of these codes: to the command, or to one of a pipeline or a transaction. The text of an error need not tell: there, codes
/// that the library knows go by names of its own.
pub(super) fn is_answered(error: &RedisError, codes: &[&str]) -> bool {
    let answers = error.clone().into_server_errors();
    answers.is_some_and(|answers| answers.iter().any(|(_, answer)| codes.contains(&answer.code())))
}

/// For people, and to tell other readers from ourselves; a user who may not do this reads all the same.
pub(super) async fn name(connection: &mut MultiplexedConnection) -> RedisResult<()> {
    let named: RedisResult<()> = redis::cmd("CLIENT").arg("SETNAME").arg(CLIENT_NAME).query_async(connection).await;
    named.or_else(|error| if error.is_connection_dropped() { Err(error) } else { Ok(()) })
}

fn certificates(tls: &TlsFiles) -> anyhow::Result<TlsCertificates> {
    let read =
        |name: &str, path: &PathBuf| std::fs::read(path).with_context(|| format!("{name}={}: the file cannot be read", path.display()));
    let client_tls = match &tls.client {
        Some(own) => Some(ClientTlsConfig {
            client_cert: read("REDIS_TLS_CERT", &own.cert)?,
            client_key: read("REDIS_TLS_KEY", &own.key)?,
        }),
        None => None,
    };
    let root_cert = tls.ca.as_ref().map(|path| read("REDIS_TLS_CA", path)).transpose()?;
    Ok(TlsCertificates { client_tls, root_cert })
}

/// Growing pauses, cut short by a stop.
pub(super) struct Backoff {
    stop: watch::Receiver<bool>,
    failures: usize,
}

impl Backoff {
    pub fn new(stop: watch::Receiver<bool>) -> Backoff {
        Backoff { stop, failures: 0 }
    }

    /// Starts over with the shortest pause.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Waits; `Break` when told to stop.
    pub async fn wait(&mut self) -> ControlFlow<()> {
        let pause = Duration::from_millis(PAUSES_MS[self.failures.min(PAUSES_MS.len() - 1)]);
        self.failures += 1;
        let stopped = tokio::time::timeout(pause, self.stop.wait_for(|stop| *stop)).await;
        if stopped.is_ok() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
