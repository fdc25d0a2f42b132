//! Bodies on their way out and in, counted and timed.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};
use wasmtime_wasi_http::{Error, WasiBody};

use super::explain;
use super::lease::Lease;
use crate::plugin::{Counters, Limit};

/// A request's body, of so many bytes at most.
pub(super) struct Outgoing {
    pub body: WasiBody,
    pub left: usize,
    pub max: usize,
    pub counters: Arc<Counters>,
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None => {
                self.counters.hit(Limit::HttpRequestBytes);
                return Poll::Ready(Some(Err(Error::HttpRequestBodySize(Some(self.max as u64)))));
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body. Read to its end it gives its connection back; dropped before, the connection ends with it.
pub(super) struct Answer {
    pub incoming: Incoming,
    pub lease: Option<Lease>,
    pub left: usize,
    pub max: usize,
    pub pause: Option<Pause>,
    pub counters: Arc<Counters>,
}

/// How long the guest waits for the next bytes.
pub(super) struct Pause {
    longest: Duration,
    over: Pin<Box<Sleep>>,
}

impl Pause {
    /// From now on. `None` for longer than anything lasts.
    pub fn new(longest: Duration) -> Option<Pause> {
        let over = Box::pin(sleep_until(Instant::now().checked_add(longest)?));
        Some(Pause { longest, over })
    }
}

impl Answer {
    /// Gives the connection back if nothing more will come: a guest that knows the length may not ask.
    pub fn finish_at_end(&mut self) {
        if self.incoming.is_end_stream() {
            self.finish();
        }
    }

    fn finish(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }

    fn fail(&mut self, error: Error) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.lease = None;
        Poll::Ready(Some(Err(error)))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        if this.lease.is_none() {
            return Poll::Ready(None);
        }
        let polled = Pin::new(&mut this.incoming).poll_frame(cx);
        // Looked at whatever came: what is left of an answer that was cut off may look like its end.
        if this.lease.as_ref().is_some_and(Lease::is_over) {
            return this.fail(Error::HttpResponseTimeout);
        }
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                let Some(left) = this.left.checked_sub(bytes) else {
                    this.counters.hit(Limit::HttpResponseBytes);
                    let max = this.max as u64;
                    return this.fail(Error::HttpResponseBodySize(Some(max)));
                };
                this.left = left;
                if let Some(pause) = &mut this.pause {
                    pause.over.as_mut().reset(Instant::now() + pause.longest);
                }
                this.finish_at_end();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                this.finish();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => this.fail(explain(error)),
            Poll::Pending => {
                if let Some(pause) = &mut this.pause {
                    ready!(pause.over.as_mut().poll(cx));
                    return this.fail(Error::ConnectionReadTimeout);
                }
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.lease.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
