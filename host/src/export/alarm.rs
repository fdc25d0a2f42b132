//! What happens when a thread of ours panics.

use tokio::sync::mpsc;

/// Tells when the thread ends by a fault of this program.
pub(super) struct Alarm {
    pub name: String,
    pub failed: mpsc::Sender<anyhow::Error>,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let error = anyhow::anyhow!(
                "the thread of the exporter {:?} ended by a fault of this program; what is pending is read again at the next start",
                self.name
            );
            // Full: the host ends for another reason already.
            drop(self.failed.try_send(error));
        }
    }
}
