//! The network as a component sees it: `wasi:http`.

use std::time::{Duration, Instant};

use wasip2::clocks::monotonic_clock;
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingResponse, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme,
};
use wasip2::io::poll::{Pollable, poll};
use wasip2::io::streams::{InputStream, OutputStream};

use super::{Answer, Failure, Request, Transport};

/// Bytes of an answer's body that are looked at; the rest is left unread.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Every request is granted, made and bounded by the host; connections are its own.
#[derive(Debug, Default)]
pub struct Wasi;

impl Transport for Wasi {
    fn post(&mut self, request: &Request<'_>, within: Duration) -> Result<Answer, Failure> {
        let timer = Timer(Instant::now() + within);
        let (outgoing, body) = prepare(request)?;
        let answer = handle(outgoing, Some(options(within))).map_err(failure)?;
        write(body, request.body, &answer, timer)?;
        let response = response(&answer, timer)?;
        Ok(read(&response, timer))
    }
}

/// When it is over.
#[derive(Clone, Copy)]
struct Timer(Instant);

impl Timer {
    /// Waits for one of these; false when the time is over.
    fn wait(self, pollables: &[&Pollable]) -> bool {
        let left = self.0.saturating_duration_since(Instant::now());
        let over = monotonic_clock::subscribe_duration(u64::try_from(left.as_nanos()).unwrap_or(u64::MAX));
        let all: Vec<&Pollable> = pollables.iter().copied().chain([&over]).collect();
        poll(&all).iter().any(|ready| (*ready as usize) < pollables.len())
    }
}

fn prepare(request: &Request<'_>) -> Result<(OutgoingRequest, OutgoingBody), Failure> {
    let length = ("content-length".to_owned(), request.body.len().to_string().into_bytes());
    let headers: Vec<_> = request.headers.iter().cloned().chain([length]).collect();
    let refused = |what: &str| Failure::Broken(format!("the host does not let through {what}"));
    let fields = Fields::from_list(&headers).map_err(|error| refused(&format!("the headers ({error:?})")))?;
    let outgoing = OutgoingRequest::new(fields);
    let scheme = if request.target.tls { Scheme::Https } else { Scheme::Http };
    let parts = outgoing
        .set_method(&Method::Post)
        .and_then(|()| outgoing.set_scheme(Some(&scheme)))
        .and_then(|()| outgoing.set_authority(Some(&request.target.authority)))
        .and_then(|()| outgoing.set_path_with_query(Some(&request.target.path)));
    parts.map_err(|()| refused("the endpoint"))?;
    let body = outgoing.body().map_err(|()| refused("a body"))?;
    Ok((outgoing, body))
}

fn options(within: Duration) -> RequestOptions {
    let options = RequestOptions::new();
    let ns = Some(u64::try_from(within.as_nanos()).unwrap_or(u64::MAX));
    // A host that knows none of them is left to our own timer.
    let _ = options.set_connect_timeout(ns);
    let _ = options.set_first_byte_timeout(ns);
    let _ = options.set_between_bytes_timeout(ns);
    options
}

/// Sends the body, or as much of it as the other side takes: it may answer before it has read all.
fn write(body: OutgoingBody, mut bytes: &[u8], answer: &FutureIncomingResponse, timer: Timer) -> Result<(), Failure> {
    let stream: OutputStream = body.write().map_err(|()| Failure::Broken("the host takes no body".to_owned()))?;
    let (writable, answered) = (stream.subscribe(), answer.subscribe());
    while !bytes.is_empty() {
        // An error here means that nobody reads any more; the answer says why.
        let Ok(room) = stream.check_write() else { return Ok(()) };
        if room == 0 {
            if !timer.wait(&[&writable, &answered]) {
                return Err(Failure::Broken("the request was not sent in time".to_owned()));
            }
            if answered.ready() {
                return Ok(());
            }
            continue;
        }
        let (now, later) = bytes.split_at(bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
        if stream.write(now).is_err() {
            return Ok(());
        }
        bytes = later;
    }
    drop((writable, stream));
    // Fails only for a request that has been answered or broken already.
    let _ = OutgoingBody::finish(body, None);
    Ok(())
}

fn response(answer: &FutureIncomingResponse, timer: Timer) -> Result<IncomingResponse, Failure> {
    let answered = answer.subscribe();
    loop {
        match answer.get() {
            Some(Ok(result)) => return result.map_err(failure),
            Some(Err(())) => return Err(Failure::Broken("the answer was taken already".to_owned())),
            None if timer.wait(&[&answered]) => {}
            None => return Err(Failure::Broken("no answer came in time".to_owned())),
        }
    }
}

/// What has been answered stays answered: a body that breaks off only says less.
fn read(response: &IncomingResponse, timer: Timer) -> Answer {
    let headers = response.headers();
    let text = |name: &str| headers.get(name).first().map(|value| String::from_utf8_lossy(value).into_owned());
    let mut answer = Answer {
        status: response.status(),
        retry_after: text("retry-after"),
        content_type: text("content-type").unwrap_or_default(),
        body: Vec::new(),
    };
    if let Ok(body) = response.consume()
        && let Ok(stream) = body.stream()
    {
        answer.body = read_all(&stream, timer);
    }
    answer
}

fn read_all(stream: &InputStream, timer: Timer) -> Vec<u8> {
    let mut bytes = Vec::new();
    let readable = stream.subscribe();
    while bytes.len() < MAX_ANSWER_BYTES {
        match stream.read((MAX_ANSWER_BYTES - bytes.len()) as u64) {
            Ok(more) if more.is_empty() => {
                if !timer.wait(&[&readable]) {
                    break;
                }
            }
            Ok(more) => bytes.extend(more),
            // Closed is how it ends.
            Err(_) => break,
        }
    }
    bytes
}

fn failure(code: ErrorCode) -> Failure {
    let text = match code {
        ErrorCode::HttpRequestBodySize(_) => return Failure::TooLarge,
        ErrorCode::HttpRequestDenied => "the plugin is not granted to send requests there (http = [\"HOST:PORT\"])",
        ErrorCode::DestinationIpProhibited => "the host's name has an address that is not granted",
        ErrorCode::DnsError(_) | ErrorCode::DnsTimeout | ErrorCode::DestinationNotFound => "the host's name cannot be resolved",
        ErrorCode::ConnectionRefused => "the connection was refused",
        ErrorCode::ConnectionTerminated => "the connection was closed",
        ErrorCode::ConnectionTimeout => "the connection was not made in time",
        ErrorCode::ConnectionReadTimeout | ErrorCode::HttpResponseTimeout => "no answer came in time",
        ErrorCode::ConnectionLimitReached => "too many requests are under way",
        ErrorCode::TlsCertificateError => "the collector's certificate is not trusted",
        ErrorCode::TlsProtocolError | ErrorCode::TlsAlertReceived(_) => "no TLS connection could be made",
        ErrorCode::HttpProtocolError => "what was answered is no HTTP, or the connection broke",
        ErrorCode::InternalError(Some(text)) => return Failure::Broken(text),
        other => return Failure::Broken(format!("{other:?}")),
    };
    Failure::Broken(text.to_owned())
}
