//! From a destination to a connection: one resolution, every address checked, and the checked address itself connected to.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use wasmtime_wasi_http::{Error, WasiBody};

use super::destination::{Destination, Host};
use super::pool::Pool;

/// Addresses of one name that are looked at.
const ADDRESSES_MAX: usize = 8;
/// Bytes of an answer's head.
const HEAD_BYTES: usize = 64 * 1024;

/// What names mean. Tests have one of their own.
#[wasmtime_wasi::async_trait]
pub(super) trait Resolve: Send + Sync {
    /// The addresses of a name.
    async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// The system's resolver.
pub(super) struct System;

#[wasmtime_wasi::async_trait]
impl Resolve for System {
    async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((name, port)).await?.collect())
    }
}

/// The addresses of a destination, resolved once.
pub(super) async fn addresses(resolver: &dyn Resolve, destination: &Destination) -> Result<Vec<SocketAddr>, Error> {
    let name = match &destination.host {
        Host::Address(address) => return Ok(vec![SocketAddr::new(*address, destination.port)]),
        Host::Name(name) => name,
    };
    let found = resolver.resolve(name, destination.port).await;
    let mut addresses = found.unwrap_or_default();
    if addresses.is_empty() {
        return Err(Error::DnsError {
            rcode: Some("address not available".to_owned()),
            info_code: None,
        });
    }
    addresses.truncate(ADDRESSES_MAX);
    Ok(addresses)
}

/// A connection, on which one request after another is sent.
#[derive(Debug)]
pub(super) struct Connection {
    pub sender: SendRequest<WasiBody>,
    driver: AbortHandle,
}

impl Connection {
    /// Ends it in the middle of whatever it carries. Dropped, it carries that to its end.
    pub fn cut_off(self) {
        self.driver.abort();
    }
}

/// Connects to the first of `addresses` that takes it, and shakes hands.
pub(super) async fn connect(pool: &Pool, destination: &Destination, addresses: &[SocketAddr], until: Instant) -> Result<Connection, Error> {
    let stream = reach(addresses, until).await?;
    let shaken = async {
        if destination.tls { handshake(pool, encrypted(stream, destination).await?).await } else { handshake(pool, stream).await }
    };
    timeout_at(until, shaken).await.unwrap_or(Err(Error::ConnectionTimeout))
}

/// Gives each address its share of the time that is left, so that one which swallows packets does not take all of it.
async fn reach(addresses: &[SocketAddr], until: Instant) -> Result<TcpStream, Error> {
    let mut failure = Error::DestinationUnavailable;
    for (tried, address) in addresses.iter().enumerate() {
        let left = until.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Without it a small request may wait for an acknowledgement; with it nothing else changes.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => failure = explain(&error),
            Err(_) => failure = Error::ConnectionTimeout,
        }
    }
    Err(failure)
}

fn explain(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Error::ConnectionRefused,
        io::ErrorKind::TimedOut => Error::ConnectionTimeout,
        _ => Error::DestinationUnavailable,
    }
}

async fn encrypted(stream: TcpStream, destination: &Destination) -> Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static, Error> {
    let name = match &destination.host {
        Host::Address(address) => ServerName::from(*address),
        Host::Name(name) => ServerName::try_from(name.clone()).map_err(|_| Error::TlsCertificateError)?,
    };
    let connector = TlsConnector::from(tls_config().await?);
    connector.connect(name, stream).await.map_err(|error| {
        tracing::debug!(%destination, %error, "no TLS connection");
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => Error::TlsCertificateError,
            Some(rustls::Error::AlertReceived(alert)) => Error::TlsAlertReceived {
                alert_id: Some(u8::from(*alert)),
                alert_message: Some(format!("{alert:?}")),
            },
            Some(_) => Error::TlsProtocolError,
            None => Error::ConnectionTerminated,
        }
    })
}

/// The system's authorities are read once, when they are first needed.
async fn tls_config() -> Result<Arc<ClientConfig>, Error> {
    static CONFIG: OnceCell<Arc<ClientConfig>> = OnceCell::const_new();
    let read = || async {
        let found = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
        let mut roots = RootCertStore::empty();
        let found = found.map_err(|_| Error::InternalError(None))?;
        let (taken, _) = roots.add_parsable_certificates(found.certs);
        if taken == 0 {
            let why = format!("this machine has no certificates of authorities that could be read: {:?}", found.errors);
            return Err(Error::InternalError(Some(why)));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let versions = versions.map_err(|error| Error::InternalError(Some(error.to_string())))?;
        Ok(Arc::new(versions.with_root_certificates(roots).with_no_client_auth()))
    };
    CONFIG.get_or_try_init(read).await.cloned()
}

async fn handshake(pool: &Pool, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Connection, Error> {
    let (sender, connection) = Builder::new().max_buf_size(HEAD_BYTES).handshake(TokioIo::new(stream)).await.map_err(super::explain)?;
    // How it ends is told to the request that it carries, if any.
    let driver = pool.drive(async move { drop(connection.await) });
    Ok(Connection { sender, driver })
}

/// The earlier of a limit of the host's and one that the guest asks for.
pub(super) fn earlier(until: Instant, asked: Option<Duration>) -> Instant {
    asked.and_then(|asked| Instant::now().checked_add(asked)).map_or(until, |asked| asked.min(until))
}
