//! Files that plugins write to: a write has ended when its call has.
//!
//! wasmtime-wasi hands what goes into a file's stream to another thread. When the call's time is over while that thread still writes, its instance ends, the
//! next one begins on the same file, and what was still under way would come in the middle of what that one writes.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::p2::{DynOutputStream, OutputStream, Pollable, StreamError, StreamResult};

/// Makes a file's stream one whose writes are done when they return.
///
/// # Errors
/// When there is no such stream.
pub(super) fn at_once(table: &mut ResourceTable, stream: Resource<DynOutputStream>) -> wasmtime::Result<Resource<DynOutputStream>> {
    let inner = table.delete(stream)?;
    let stream: DynOutputStream = Box::new(AtOnce(inner));
    Ok(table.push(stream)?)
}

/// Writes on the thread that asks for it, which is the instance's own.
struct AtOnce(DynOutputStream);

impl OutputStream for AtOnce {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut writing: Pin<Box<_>> = self.0.blocking_write_and_flush(bytes);
        match writing.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(written) => written,
            // Not with `allow_blocking_current_thread`.
            Poll::Pending => Err(StreamError::trap("a write to a file was handed to another thread")),
        }
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.0.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.0.check_write()
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for AtOnce {
    async fn ready(&mut self) {
        self.0.ready().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream that notes what it was asked for, and may put it off.
    struct Noting {
        written: std::sync::Arc<std::sync::Mutex<Vec<Bytes>>>,
        puts_off: bool,
    }

    #[wasmtime_wasi::async_trait]
    impl OutputStream for Noting {
        fn write(&mut self, _bytes: Bytes) -> StreamResult<()> {
            panic!("this would be handed to another thread");
        }
        async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
            if self.puts_off {
                std::future::pending::<()>().await;
            }
            self.written.lock().unwrap().push(bytes);
            Ok(())
        }
        fn flush(&mut self) -> StreamResult<()> {
            Ok(())
        }
        fn check_write(&mut self) -> StreamResult<usize> {
            Ok(7)
        }
    }

    #[wasmtime_wasi::async_trait]
    impl Pollable for Noting {
        async fn ready(&mut self) {}
    }

    #[test]
    fn what_was_written_is_there_when_the_call_returns_and_is_never_put_off() {
        for puts_off in [false, true] {
            let written = std::sync::Arc::default();
            let noting: DynOutputStream = Box::new(Noting {
                written: std::sync::Arc::clone(&written),
                puts_off,
            });
            let mut table = ResourceTable::new();
            let stream = table.push(noting).unwrap();
            let stream = at_once(&mut table, stream).unwrap();
            let stream = table.get_mut(&stream).unwrap();
            assert_eq!(stream.check_write().unwrap(), 7);
            let result = stream.write("lines".into());
            assert_eq!((result.is_ok(), written.lock().unwrap().len()), if puts_off { (false, 0) } else { (true, 1) });
        }
    }
}
