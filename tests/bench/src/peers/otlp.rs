//! The bench's spans as agents with OpenTelemetry would send them: OTLP over HTTP, as protobuf.

use anyhow::{Context, Result, ensure};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use meshtrace::decode::Decoder;
use meshtrace::encode::{OtlpSpans, otlp};
use meshtrace::model::{Decision, Receipt, Trace};
use meshtrace::source::Batch;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::flow::now_ms;
use crate::load::{Shape, Writer};

/// Spans in a request: about as many as OpenTelemetry's SDKs send at a time.
const REQUEST: u64 = 500;

/// Makes requests.
pub struct Requests {
    writer: Writer,
    decoder: Decoder,
}

impl Requests {
    pub fn new() -> Result<Requests> {
        Ok(Requests {
            writer: Writer::new()?,
            decoder: Decoder::default(),
        })
    }

    /// All spans of `shape`, in its order, as published just now: at one time, so that no trace becomes a slow one by waiting to be sent. Within a request
    /// the spans of an agent are together.
    pub fn of<'a>(&'a mut self, shape: &'a Shape) -> impl Iterator<Item = Result<Vec<u8>>> + 'a {
        let at_ms = now_ms();
        (0..shape.entries()).step_by(REQUEST as usize).map(move |first| {
            let mut entries = Batch::default();
            for seq in first..shape.entries().min(first + REQUEST) {
                let (trace, span) = shape.entry(seq);
                let receipt = Receipt { stream: 0, ms: at_ms, seq };
                entries.push_entry(receipt, at_ms);
                self.writer.fields(trace, span, at_ms, |key, value| entries.push_field(key.as_bytes(), value.as_bytes()));
            }
            let spans = entries.drain().map(|entry| {
                let event = self.decoder.decode(&entry).ok().context("an entry of the bench is refused")?;
                Ok(OtlpSpans::of(&Trace::new(event.trace, 0, Decision::Complete, vec![event.span])))
            });
            Ok(otlp(spans.collect::<Result<Vec<_>>>()?.iter()))
        })
    }
}

/// Sends these to the receiver at this port, one after the other.
///
/// # Errors
/// It does not take all of them.
pub fn send(port: u16, requests: impl Iterator<Item = Result<Vec<u8>>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.context("the receiver cannot be reached")?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(connection);
        for body in requests {
            let request = Request::post("/v1/traces").header(HOST, "127.0.0.1").header(CONTENT_TYPE, "application/x-protobuf");
            sender.ready().await?;
            let answer = sender.send_request(request.body(Full::new(Bytes::from(body?)))?).await?;
            let status = answer.status();
            let body = answer.into_body().collect().await?.to_bytes();
            ensure!(status.is_success(), "the receiver answers {status}: {}", String::from_utf8_lossy(&body));
            let refused = ExportTraceServiceResponse::decode(body)?.partial_success.unwrap_or_default();
            ensure!(refused.rejected_spans == 0, "the receiver refuses {} spans: {}", refused.rejected_spans, refused.error_message);
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::load::{SPANS, trace_id};
    use crate::peers::shape;
    use crate::peers::sink::Sink;

    #[test]
    fn every_span_arrives_once_under_its_own_ids() {
        let sink = Sink::start().expect("a receiver");
        let mut requests = Requests::new().expect("the captured trace");
        // Traces of a second sender begin in a request that is not full.
        for range in [0..1_203, 1_203..1_300, 7..9] {
            let shape = shape(&range);
            send(sink.port, requests.of(&shape)).expect("it takes all");
        }
        let expected: BTreeMap<String, u64> = (0..1_300).map(|trace| (trace_id(trace), SPANS)).collect();
        assert!(sink.traces() == expected);
        assert_eq!(sink.spans(), 1_300 * SPANS, "what comes again is not counted again");
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let sink = Sink::start().expect("a receiver");
        let error = send(sink.port, std::iter::once(Ok(b"\xff\xff".to_vec()))).expect_err("it is not taken");
        assert_eq!(error.to_string(), "the receiver answers 400 Bad Request: ");
    }
}
