//! Which HTTP requests a plugin may send, and how: from its own host:port list, to addresses that are checked again, within limits.
//!
//! A name is resolved once, and the checked address itself is connected to: what a name means later makes no difference. Redirects are not followed,
//! the guest sees them and asks again, which is checked like the first request. There is no proxy, no cookie, no cache.

mod address;
mod body;
mod connect;
mod destination;
mod lease;
mod pool;
mod rules;

use std::error::Error as _;
use std::sync::Arc;

use http::{Method, Request, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use self::body::{Answer, Outgoing, Pause};
use self::connect::{Connection, Resolve, System, earlier};
use self::destination::{Destination, Host};
use self::lease::{Held, Lease};
use self::pool::Pool;
use self::rules::Rules;
use super::{Counters, Denial, Grants, Limit, Limits};

type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Answered = (http::Response<WasiBody>, Io);

/// Decides on every request of one instance, before anything of it leaves the host.
pub(super) struct HttpPolicy(Arc<Client>);

impl HttpPolicy {
    /// The policy of the plugin called `plugin`.
    pub fn new(grants: &Grants, limits: &Limits, counters: Arc<Counters>, plugin: Arc<str>) -> HttpPolicy {
        Self::with_resolver(grants, limits, counters, plugin, Box::new(System))
    }

    fn with_resolver(
        grants: &Grants,
        limits: &Limits,
        counters: Arc<Counters>,
        plugin: Arc<str>,
        resolver: Box<dyn Resolve>,
    ) -> HttpPolicy {
        HttpPolicy(Arc::new(Client {
            plugin,
            rules: Rules::new(&grants.http),
            limits: limits.clone(),
            counters,
            pool: Arc::default(),
            under_way: Arc::new(Semaphore::new(limits.http_connections)),
            resolver,
        }))
    }
}

impl WasiHttpHooks for HttpPolicy {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _written: Io,
    ) -> Box<dyn Future<Output = Result<Answered, Error>> + Send> {
        // Decided at once; only what is granted goes on to wait for anything.
        let begun = self.0.begin(&request);
        let client = Arc::clone(&self.0);
        Box::new(async move {
            let (destination, permit) = begun?;
            client.exchange(request, destination, permit, options.unwrap_or_default()).await
        })
    }
}

struct Client {
    plugin: Arc<str>,
    rules: Rules,
    limits: Limits,
    counters: Arc<Counters>,
    pool: Arc<Pool>,
    under_way: Arc<Semaphore>,
    resolver: Box<dyn Resolve>,
}

impl Client {
    /// Where the request goes, and a place among those under way.
    fn begin(&self, request: &Request<WasiBody>) -> Result<(Destination, OwnedSemaphorePermit), Error> {
        // It asks for a tunnel, whose far end nobody could check.
        if request.method() == Method::CONNECT {
            return Err(Error::HttpRequestMethodInvalid);
        }
        let destination = Destination::of(request.uri()).ok_or(Error::HttpRequestUriInvalid)?;
        self.rules.check(&destination).map_err(|denial| self.deny(denial, Error::HttpRequestDenied))?;
        let permit = Arc::clone(&self.under_way).try_acquire_owned().map_err(|_| {
            self.counters.hit(Limit::HttpConnections);
            Error::ConnectionLimitReached
        })?;
        Ok((destination, permit))
    }

    fn deny(&self, denial: Denial, error: Error) -> Error {
        let Denial { what, grant } = denial.clone();
        if self.counters.deny(denial) {
            tracing::warn!(plugin = %self.plugin, "{what} was denied; what grants it: {grant}");
        }
        error
    }

    async fn exchange(
        self: Arc<Self>,
        request: Request<WasiBody>,
        destination: Destination,
        permit: OwnedSemaphorePermit,
        options: RequestOptions,
    ) -> Result<Answered, Error> {
        let until = Instant::now() + self.limits.http_time;
        let request = self.prepare(request);
        let asked = timeout_at(until, self.ask(request, &destination, options, until)).await;
        let (response, connection) = match asked {
            Ok(asked) if asked.is_ok() || Instant::now() < until => asked?,
            _ => {
                self.counters.hit(Limit::HttpTime);
                return Err(Error::HttpResponseTimeout);
            }
        };
        let held = Held { connection, destination, permit };
        let lease = Lease::new(held, until, &self.pool, Arc::clone(&self.counters));
        let response = response.map(|incoming| {
            let mut answer = Answer {
                incoming,
                lease: Some(lease),
                left: self.limits.http_response_bytes,
                max: self.limits.http_response_bytes,
                pause: options.between_bytes_timeout.and_then(Pause::new),
                counters: Arc::clone(&self.counters),
            };
            answer.finish_at_end();
            answer.boxed_unsync()
        });
        Ok((response, Box::new(async { Ok(()) })))
    }

    /// The request as it goes over a connection of its own: with a path for a URL, and a body that is counted.
    fn prepare(&self, request: Request<WasiBody>) -> Request<WasiBody> {
        let (mut parts, body) = request.into_parts();
        // A URI of nothing but a path is one.
        parts.uri = parts.uri.into_parts().path_and_query.map(Uri::from).unwrap_or_default();
        let max = self.limits.http_request_bytes;
        let counters = Arc::clone(&self.counters);
        Request::from_parts(parts, Outgoing { body, left: max, max, counters }.boxed_unsync())
    }

    /// Sends the request over a connection that waits for one, or over a new one.
    async fn ask(
        &self,
        mut request: Request<WasiBody>,
        destination: &Destination,
        options: RequestOptions,
        until: Instant,
    ) -> Result<(http::Response<Incoming>, Connection), Error> {
        loop {
            let waiting = self.pool.take(destination);
            let waited = waiting.is_some();
            let mut connection = match waiting {
                Some(connection) => connection,
                None => self.connect(destination, earlier(until, options.connect_timeout)).await?,
            };
            // One that waited may have been closed by the other side just now.
            if connection.sender.ready().await.is_err() && waited {
                continue;
            }
            let sent = timeout_at(earlier(until, options.first_byte_timeout), connection.sender.try_send_request(request));
            match sent.await.map_err(|_| Error::ConnectionReadTimeout)? {
                Ok(response) => return Ok((response, connection)),
                // Comes back only if nothing of it was sent.
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) if waited => request = unsent,
                    _ => return Err(explain(failed.into_error())),
                },
            }
        }
    }

    async fn connect(&self, destination: &Destination, until: Instant) -> Result<Connection, Error> {
        let found = timeout_at(until, connect::addresses(&*self.resolver, destination)).await.unwrap_or(Err(Error::DnsTimeout))?;
        let admitted = self.rules.admitted(destination, found).map_err(|denial| self.deny(denial, Error::DestinationIpProhibited))?;
        connect::connect(&self.pool, destination, &admitted, until).await
    }
}

/// What the guest is told of a connection's fault.
fn explain(error: hyper::Error) -> Error {
    if let Some(ours) = error.source().and_then(|cause| cause.downcast_ref::<Error>()) {
        // The request's body said so.
        return match ours {
            Error::HttpRequestBodySize(max) => Error::HttpRequestBodySize(*max),
            _ => Error::HttpProtocolError,
        };
    }
    if error.is_parse_too_large() {
        return Error::HttpResponseHeaderSectionSize(None);
    }
    if error.is_parse() { Error::HttpProtocolError } else { Error::ConnectionTerminated }
}

/// The host, as grants have it, and the port of `HOST:PORT`.
pub(super) fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = destination::split(text);
    let port = port.and_then(destination::number).filter(|port| *port > 0)?;
    match Host::parse(host)? {
        Host::Name(name) => Some((name, port)),
        Host::Address(address) => Some((address.to_string(), port)),
    }
}

#[cfg(test)]
mod tests;
