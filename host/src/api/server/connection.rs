//! One connection's task: hyper speaks HTTP, and this sees to it that it does not take longer than it may.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use axum::Router;
use axum::http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};

use super::bounds::{FAREWELL_BYTES, HEAD_BYTES};
use super::pace::Pace;
use super::watched::{Answer, Watched};
use super::{End, Refusal, Server};
use crate::farewell::part;
use crate::places::Place;

/// An answer that is being made.
type Answering = Pin<Box<dyn Future<Output = Result<Response<Answer>, Infallible>> + Send>>;

/// Serves a client until it leaves, or has to.
pub async fn serve(server: Arc<Server>, stream: TcpStream, place: Place, stop: watch::Receiver<bool>) {
    let _open = server.traffic.opened();
    // Answers are written whole: waiting to fill a packet only delays them. A stream that refuses is slower, no worse.
    let _ = stream.set_nodelay(true);
    let pace = Arc::new(Pace::new(place));
    let served = async {
        let Some(tls) = &server.tls else { return talk(&server, stream, &pace, stop).await };
        match timeout(server.bounds.head, tls.accept(stream)).await {
            Ok(Ok(stream)) => talk(&server, stream, &pace, stop).await,
            Ok(Err(_)) | Err(_) => End::Handshake,
        }
    };
    let end = tokio::select! {
        end = served => end,
        () = pace.told_to_leave() => End::Crowded,
    };
    server.traffic.ended(end);
}

/// Answers requests; tells how the last one ended.
async fn talk<S>(server: &Server, stream: S, pace: &Arc<Pace>, mut stop: watch::Receiver<bool>) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let watched = Watched::new(stream, Arc::clone(pace));
    let service = requests(server.router.clone(), Arc::clone(pace));
    let mut connection = Builder::new().max_header_size(HEAD_BYTES).serve_connection(TokioIo::new(watched), service);
    let mut alarm = pin!(sleep_until(pace.due(&server.bounds).0));
    let mut stopping = false;
    let ended = loop {
        // All that moves the deadline happens in here, so looking at it afterwards is enough.
        let step = poll_fn(|cx| {
            if let Poll::Ready(ended) = connection.poll_without_shutdown(cx) {
                return Poll::Ready(Ok(ended));
            }
            let (due, end) = pace.due(&server.bounds);
            if alarm.deadline() != due {
                alarm.as_mut().reset(due);
            }
            alarm.as_mut().poll(cx).map(|()| Err(end))
        });
        tokio::select! {
            ended = step => break ended,
            () = stopped(&mut stop), if !stopping => {
                stopping = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let stream = connection.into_parts().io.into_inner().into_inner();
    let (end, last_words) = match ended {
        Err(End::SlowRequest) => (End::SlowRequest, Some(Refusal::Slow(server.bounds.head))),
        Err(end) => (end, None),
        Ok(ended) => match pace.refused() {
            Some(status) => (End::Malformed, Some(refusal(status))),
            None => (ended.map_or_else(|error| if error.is_parse() { End::Malformed } else { End::Broken }, |()| End::Done), None),
        },
    };
    if last_words.is_some() || end == End::Done {
        let words = last_words.map_or_else(Vec::new, |words: Refusal| words.bytes());
        part(stream, &words, server.bounds.farewell, FAREWELL_BYTES).await;
    }
    end
}

/// Requests into the router, and what is known of the connection by them.
fn requests(
    router: Router,
    pace: Arc<Pace>,
) -> impl Service<Request<Incoming>, Response = Response<Answer>, Error = Infallible, Future = Answering> + Unpin {
    let router = TowerToHyperService::new(router);
    service_fn(move |request: Request<Incoming>| -> Answering {
        pace.asked();
        let (answer, pace) = (router.call(request), Arc::clone(&pace));
        Box::pin(async move {
            let mut response = answer.await?;
            pace.answers(response.extensions_mut().remove());
            Ok(response.map(|body| Answer::new(body, pace)))
        })
    })
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the host is gone, which is a stop too.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Why hyper could not read a request.
fn refusal(status: StatusCode) -> Refusal {
    match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Refusal::HeadTooLarge,
        StatusCode::URI_TOO_LONG => Refusal::UriTooLong,
        _ => Refusal::Malformed,
    }
}
