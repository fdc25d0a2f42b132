//! The reader's connection, on which a reply may have only so many bytes.
//!
//! Redis cannot be asked for so many bytes, only for so many entries, and the client library holds a reply whole. So bytes are counted where they
//! come in, whatever was asked for: a reply that has more than it may ends the connection. Nothing is lost by that, because entries that were
//! delivered are pending; `pace` then asks for fewer at once.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use redis::aio::{AsyncStream, MultiplexedConnection};
use redis::{AsyncConnectionConfig, ConnectionAddr, ConnectionInfo, RedisResult};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::tap::{Tap, Tapped};

/// Counts the bytes of the reply that comes in.
#[derive(Debug)]
pub(super) struct Meter {
    /// Since it was last said what may come.
    came: AtomicU64,
    max: AtomicU64,
}

impl Default for Meter {
    fn default() -> Meter {
        Meter {
            came: AtomicU64::new(0),
            max: AtomicU64::new(u64::MAX),
        }
    }
}

impl Meter {
    /// The next reply may have so many bytes.
    pub fn allow(&self, bytes: u64) {
        self.came.store(0, Ordering::Relaxed);
        self.max.store(bytes, Ordering::Relaxed);
    }

    /// Bytes of the last reply, as far as they have come. One read of the socket more than it may have, at most.
    pub fn came(&self) -> u64 {
        self.came.load(Ordering::Relaxed)
    }

    pub fn add(&self, bytes: usize) {
        self.came.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Whether that is more than it may have.
    pub fn is_exceeded(&self) -> bool {
        self.came() > self.max.load(Ordering::Relaxed)
    }
}

/// What moves a connection's bytes; it has to be polled while the connection is used.
pub(super) type Moving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A connection whose replies are metered.
struct Metered {
    stream: Pin<Box<dyn AsyncStream + Send + Sync>>,
    meter: Arc<Meter>,
}

impl AsyncRead for Metered {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(self.stream.as_mut().poll_read(cx, buf))?;
        self.meter.add(buf.filled().len() - before);
        if self.meter.is_exceeded() {
            return Poll::Ready(Err(io::Error::other("the reply has more bytes than are taken at once")));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(cx)
    }
}

/// Connects. `meter` counts and bounds replies; `tap` gets those that it asks for.
pub(super) async fn connect(
    info: &ConnectionInfo,
    tls: Option<&Arc<ClientConfig>>,
    (meter, tap): (Arc<Meter>, Arc<Tap>),
    config: AsyncConnectionConfig,
) -> RedisResult<(MultiplexedConnection, Moving)> {
    let stream: Pin<Box<dyn AsyncStream + Send + Sync>> = match info.addr() {
        ConnectionAddr::Tcp(host, port) => Box::pin(tcp(host, *port).await?),
        ConnectionAddr::TcpTls { host, port, .. } => {
            let Some(tls) = tls else { return Err(io::Error::from(io::ErrorKind::Unsupported).into()) };
            let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
            Box::pin(TlsConnector::from(Arc::clone(tls)).connect(name, tcp(host, *port).await?).await?)
        }
        ConnectionAddr::Unix(path) => Box::pin(UnixStream::connect(path).await?),
        // The library may learn of more ways than there are now.
        _ => return Err(io::Error::from(io::ErrorKind::Unsupported).into()),
    };
    let stream = Tapped::new(Metered { stream, meter }, tap);
    let (connection, moving) = MultiplexedConnection::new_with_config(info.redis_settings(), stream, config).await?;
    Ok((connection, Box::pin(moving)))
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
