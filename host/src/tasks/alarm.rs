//! What happens when a thread of ours panics.

use tokio::sync::mpsc;

/// Tells when the thread that holds it ends by a fault of this program: without the thread nothing would move, and nobody would know.
#[derive(Debug)]
pub struct Alarm {
    thread: String,
    failed: mpsc::Sender<anyhow::Error>,
}

impl Alarm {
    /// For the thread that people know as `thread`; `failed` ends the host.
    pub fn new(thread: String, failed: mpsc::Sender<anyhow::Error>) -> Alarm {
        Alarm { thread, failed }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let error = anyhow::anyhow!(
                "the thread of {} ended by a fault of this program; what is pending is read again at the next start",
                self.thread
            );
            // Full: the host ends for another reason already.
            drop(self.failed.try_send(error));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_panics_is_told_of_and_one_that_ends_is_not() {
        let (failed, mut failures) = mpsc::channel(1);
        let quiet = Alarm::new("the filters".into(), failed.clone());
        drop(quiet);
        assert!(failures.try_recv().is_err());
        let alarm = Alarm::new("the exporter \"x\"".into(), failed);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _alarm = alarm;
            panic!("on purpose");
        }));
        assert!(panicked.is_err());
        let expected = "the thread of the exporter \"x\" ended by a fault of this program; what is pending is read again at the next start";
        assert_eq!(failures.try_recv().expect("it is told").to_string(), expected);
    }
}
