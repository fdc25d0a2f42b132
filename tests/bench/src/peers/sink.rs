//! An OTLP endpoint that takes everything, and remembers which spans it was given.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::Traces;

/// A running endpoint, gone with this value.
pub struct Sink {
    pub port: u16,
    seen: Arc<Mutex<Seen>>,
    _runtime: Runtime,
}

#[derive(Default)]
struct Seen {
    /// Ids of spans, by id of the trace.
    traces: HashMap<Vec<u8>, HashSet<Vec<u8>>>,
    /// Spans, each once.
    spans: u64,
}

impl Sink {
    pub fn start() -> Result<Sink> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let seen = Arc::<Mutex<Seen>>::default();
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0)))?;
        let port = listener.local_addr()?.port();
        let mut tasks = JoinSet::new();
        tasks.spawn_on(serve(listener, Arc::clone(&seen)), runtime.handle());
        // They end with the runtime.
        tasks.detach_all();
        Ok(Sink { port, seen, _runtime: runtime })
    }

    /// Spans so far, each counted once.
    pub fn spans(&self) -> u64 {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).spans
    }

    pub fn traces(&self) -> Traces {
        let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect();
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.traces.iter().map(|(id, spans)| (hex(id), spans.len() as u64)).collect()
    }
}

async fn serve(listener: TcpListener, seen: Arc<Mutex<Seen>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let seen = Arc::clone(&seen);
        connections.spawn(async move {
            let service = service_fn(move |request| answer(request, Arc::clone(&seen)));
            // Who is killed breaks a connection off.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>, seen: Arc<Mutex<Seen>>) -> Result<Response<Full<Bytes>>, Infallible> {
    // What is no request is refused; an empty answer is one without complaint.
    let mut response = Response::new(Full::default());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    match request.into_body().collect().await.ok().and_then(|body| ExportTraceServiceRequest::decode(body.to_bytes()).ok()) {
        Some(request) => seen.lock().unwrap_or_else(PoisonError::into_inner).add(request),
        None => *response.status_mut() = StatusCode::BAD_REQUEST,
    }
    Ok(response)
}

impl Seen {
    fn add(&mut self, request: ExportTraceServiceRequest) {
        let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        for span in scopes.flat_map(|scope| scope.spans) {
            self.spans += u64::from(self.traces.entry(span.trace_id).or_default().insert(span.span_id));
        }
    }
}
