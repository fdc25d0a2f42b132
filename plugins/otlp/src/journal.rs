//! What is logged: where something begins and where it ends, not every request of it.

use std::time::{Duration, Instant};

use meshtrace_plugin::{Level, RowOutcome, log, metrics, text::sanitize};

use crate::Sent;

/// A collector that rejects spans of every request is told about this often.
const REJECTED_EVERY: Duration = Duration::from_secs(60);
/// Bytes of what a collector says that are logged.
const MAX_MESSAGE_BYTES: usize = 300;

/// What has been told.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    waiting: bool,
    refused: bool,
    rejected_at: Option<Instant>,
}

impl Journal {
    /// Tells of a batch what has not been told.
    pub fn tell(&mut self, sent: &Sent) {
        let first = |wanted: fn(&&RowOutcome) -> bool| sent.left.iter().find(wanted);
        let (waits, refused) = (first(|row| row.retry_after_ms.is_some()), first(|row| row.retry_after_ms.is_none()));
        if let Some(row) = waits.filter(|_| !self.waiting) {
            log!(Level::Warning, "{}; the traces wait and are offered again", row.reason);
        }
        if let Some(row) = refused.filter(|_| !self.refused) {
            log!(Level::Error, "{}; its traces become dead letters", row.reason);
        }
        if sent.left.is_empty() && (self.waiting || self.refused) {
            log!(Level::Info, "the collector takes traces again");
        }
        (self.waiting, self.refused) = (waits.is_some(), refused.is_some());
        self.tell_rejected(sent);
    }

    fn tell_rejected(&mut self, sent: &Sent) {
        let rejected = &sent.rejected;
        metrics::add("rejected_spans", rejected.rejected_spans);
        let told_lately = self.rejected_at.is_some_and(|at| at.elapsed() < REJECTED_EVERY);
        let something = rejected.rejected_spans > 0 || !rejected.message.is_empty();
        if !something || told_lately {
            return;
        }
        self.rejected_at = Some(Instant::now());
        let said = sanitize(&rejected.message, MAX_MESSAGE_BYTES);
        let said = if said.is_empty() { "without a reason".into() } else { said };
        log!(Level::Warning, "the collector took the request and rejected {} of its spans: {said}", rejected.rejected_spans);
    }
}
