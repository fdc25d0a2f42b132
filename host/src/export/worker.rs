//! One exporter's thread: takes batches from its queue, repeats what has to be repeated, narrows down what kills it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle as Runtime;
use tokio::sync::{mpsc, oneshot};

use super::delivery::Delivery;
use super::suspects::{Attempt, Failed, Of, Suspects};
use super::{Exporter, Outcome};
use crate::batch::TraceBatch;
use crate::patience::{PAUSE, Patience, jittered};

/// The longest pause that an exporter may ask for.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// An exporter with its name and its queue.
pub struct Worker {
    /// The plugin's name.
    pub name: String,
    /// What takes the batches.
    pub exporter: Box<dyn Exporter>,
    /// Seen by the API.
    pub status: Arc<WorkerStatus>,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a worker has done, for people.
#[derive(Debug, Default)]
pub struct WorkerStatus {
    exported: AtomicU64,
    rejected: AtomicU64,
    retries: AtomicU64,
    failures: AtomicU64,
    exported_at_burial: AtomicU64,
    holding: Mutex<Option<String>>,
    last_error: Mutex<Option<String>>,
    numbers: Mutex<BTreeMap<String, f64>>,
}

/// A copy of [`WorkerStatus`].
#[derive(Debug, Clone)]
pub struct WorkerSummary {
    /// The plugin's name.
    pub name: String,
    /// Trace parts taken since the start.
    pub exported: u64,
    /// Trace parts refused for good.
    pub rejected: u64,
    /// Times that something was offered again.
    pub retries: u64,
    /// Calls that failed: traps, time limits.
    pub failures: u64,
    /// Why it does not take what it is offered at the moment.
    pub holding: Option<String>,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// The plugin's own counters and gauges.
    pub numbers: BTreeMap<String, f64>,
}

impl WorkerStatus {
    /// A copy, under the plugin's name.
    pub fn summary(&self, name: &str) -> WorkerSummary {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let text = |slot: &Mutex<Option<String>>| slot.lock().unwrap_or_else(PoisonError::into_inner).clone();
        WorkerSummary {
            name: name.to_owned(),
            exported: count(&self.exported),
            rejected: count(&self.rejected),
            retries: count(&self.retries),
            failures: count(&self.failures),
            holding: text(&self.holding),
            last_error: text(&self.last_error),
            numbers: self.numbers.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    fn set(slot: &Mutex<Option<String>>, text: Option<String>) {
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }
}

/// Asks for the exporter's report.
pub(super) type ReportRequest = oneshot::Sender<Result<Option<String>, String>>;

/// Runs until `queue` closes, then flushes. Reports are answered between batches.
pub(super) fn run(
    mut worker: Worker,
    mut queue: mpsc::Receiver<Arc<Delivery>>,
    mut reports: mpsc::Receiver<ReportRequest>,
    patience: &Patience,
    runtime: &Runtime,
) {
    enum Next {
        Report(ReportRequest),
        Batch(Arc<Delivery>),
        Again,
        End,
    }
    let mut suspects = Suspects::new();
    loop {
        if !patience.lasts(suspects.pause) {
            suspects.clear();
        }
        let next = runtime.block_on(async {
            tokio::select! {
                biased;
                Some(report) = reports.recv() => Next::Report(report),
                delivery = queue.recv(), if suspects.has_room() => delivery.map_or(Next::End, Next::Batch),
                () = tokio::time::sleep(jittered(suspects.pause)), if !suspects.is_empty() => Next::Again,
            }
        });
        let work: Vec<Of<VecDeque<Vec<usize>>>> = match next {
            Next::Report(answer) => {
                // Who asked may have gone away meanwhile.
                drop(answer.send(worker.exporter.report()));
                continue;
            }
            Next::Batch(delivery) => {
                let rows = (0..delivery.batch.traces().len()).collect();
                vec![(delivery, VecDeque::from([rows]))]
            }
            Next::Again => {
                let alone = |rows: Failed| rows.into_iter().map(|(row, _)| vec![row]).collect();
                suspects.take().into_iter().map(|(delivery, rows)| (delivery, alone(rows))).collect()
            }
            Next::End => break,
        };
        deliver(&mut worker, work, &mut suspects, patience);
    }
    if let Err(error) = worker.exporter.flush() {
        tracing::error!(plugin = worker.name, error, "flushing failed");
    }
}

/// Offers these rows of deliveries, and buries what is found guilty by it.
fn deliver(worker: &mut Worker, work: Vec<Of<VecDeque<Vec<usize>>>>, suspects: &mut Suspects, patience: &Patience) {
    let mut attempts = Vec::new();
    for (delivery, rows) in work {
        let attempt = Delivering { worker, delivery: &delivery, patience }.run(rows);
        attempts.push((delivery, attempt));
    }
    *worker.status.numbers.lock().unwrap_or_else(PoisonError::into_inner) = worker.exporter.numbers();
    for (delivery, rows) in suspects.judge(attempts) {
        Delivering { worker, delivery: &delivery, patience }.bury(rows);
    }
    if suspects.is_empty() {
        WorkerStatus::set(&worker.status.holding, None);
    }
}

struct Delivering<'a> {
    worker: &'a mut Worker,
    delivery: &'a Delivery,
    patience: &'a Patience,
}

/// What is left of a round.
enum Round {
    /// Nothing.
    Done,
    /// These rows, after a pause.
    Again(Vec<usize>, Option<Duration>),
    /// The call failed with these rows in it.
    Killed(Vec<usize>, String),
}

impl Delivering<'_> {
    /// Offers rows until each has been taken, refused, or seen to make the call fail; or until patience ends: then what is left stays with the log.
    ///
    /// Rows with which a call failed are offered again in halves, down to the one that does it. That one is refused for good only if the exporter
    /// takes other traces: see [`Suspects`].
    fn run(&mut self, mut work: VecDeque<Vec<usize>>) -> Attempt {
        let mut attempt = Attempt::default();
        let mut pause = PAUSE.0;
        while let Some(rows) = work.pop_front() {
            match self.offer(rows) {
                Round::Done => attempt.works = true,
                Round::Again(rows, after) => {
                    if !self.patience.pause(jittered(after.unwrap_or(pause).min(PAUSE_MAX))) {
                        return Attempt::default();
                    }
                    pause = (pause * 2).min(PAUSE.1);
                    work.push_front(rows);
                }
                Round::Killed(..) if !self.patience.lasts(Duration::ZERO) => return Attempt::default(),
                Round::Killed(rows, _) if rows.len() > 1 => {
                    let (left, right) = rows.split_at(rows.len() / 2);
                    work.push_back(left.to_vec());
                    work.push_back(right.to_vec());
                }
                Round::Killed(rows, reason) => attempt.failed.extend(rows.into_iter().map(|row| (row, reason.clone()))),
            }
        }
        attempt.works |= attempt.failed.len() == 1 && self.took_others_since_last_burial();
        attempt
    }

    /// One trace alone is to blame if the exporter has taken others since it last blamed one.
    fn took_others_since_last_burial(&self) -> bool {
        let status = &self.worker.status;
        status.exported.load(Ordering::Relaxed) > status.exported_at_burial.load(Ordering::Relaxed)
    }

    fn offer(&mut self, rows: Vec<usize>) -> Round {
        let whole = rows.len() == self.delivery.batch.traces().len();
        let batch = if whole { Arc::clone(&self.delivery.batch) } else { Arc::new(TraceBatch::subset(&self.delivery.batch, &rows)) };
        match self.worker.exporter.export(&batch) {
            Outcome::Delivered => {
                self.finish(rows.into_iter().map(|row| (row, None)).collect());
                Round::Done
            }
            Outcome::Rejected(reason) => {
                self.finish(rows.into_iter().map(|row| (row, Some(reason.clone()))).collect());
                Round::Done
            }
            Outcome::Retry { after, reason } => {
                self.note_retry(&reason);
                Round::Again(rows, after)
            }
            Outcome::Failed(reason) => {
                self.worker.status.failures.fetch_add(1, Ordering::Relaxed);
                WorkerStatus::set(&self.worker.status.last_error, Some(reason.clone()));
                WorkerStatus::set(&self.worker.status.holding, Some(reason.clone()));
                tracing::error!(plugin = self.worker.name, traces = rows.len(), reason, "the exporter failed; it starts afresh");
                Round::Killed(rows, reason)
            }
            Outcome::Partial(left) => self.finish_partly(&rows, left),
        }
    }

    fn finish_partly(&mut self, rows: &[usize], left: Vec<super::RowOutcome>) -> Round {
        let mut fates: Vec<Option<Option<String>>> = vec![Some(None); rows.len()];
        let (mut again, mut after) = (Vec::new(), None);
        for outcome in left {
            let Some(fate) = fates.get_mut(outcome.row) else { continue };
            *fate = match outcome.retry_after {
                Some(pause) => {
                    after = after.max(Some(pause).filter(|pause| !pause.is_zero()));
                    again.push(rows[outcome.row]);
                    self.note_retry(&outcome.reason);
                    None
                }
                None => Some(Some(outcome.reason)),
            };
        }
        self.finish(rows.iter().zip(fates).filter_map(|(row, fate)| Some((*row, fate?))).collect());
        if again.is_empty() { Round::Done } else { Round::Again(again, after) }
    }

    fn finish(&self, rows: Vec<(usize, Option<String>)>) {
        let rejected = rows.iter().filter(|(_, reason)| reason.is_some()).count() as u64;
        self.worker.status.exported.fetch_add(rows.len() as u64 - rejected, Ordering::Relaxed);
        self.worker.status.rejected.fetch_add(rejected, Ordering::Relaxed);
        let settled = self.delivery.done(&self.worker.name, rows);
        self.delivery.settle_blocking(settled);
    }

    fn bury(&self, suspects: Failed) {
        tracing::error!(
            plugin = self.worker.name,
            traces = suspects.len(),
            "traces that make the exporter fail go to the dead-letter stream"
        );
        let status = &self.worker.status;
        status.exported_at_burial.store(status.exported.load(Ordering::Relaxed), Ordering::Relaxed);
        self.finish(suspects.into_iter().map(|(row, reason)| (row, Some(reason))).collect());
    }

    fn note_retry(&self, reason: &str) {
        let status = &self.worker.status;
        // One line when it begins, not one for every attempt.
        if status.holding.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            tracing::warn!(plugin = self.worker.name, reason, "the exporter cannot take traces at the moment; trying again");
        }
        status.retries.fetch_add(1, Ordering::Relaxed);
        WorkerStatus::set(&status.holding, Some(reason.to_owned()));
        WorkerStatus::set(&status.last_error, Some(reason.to_owned()));
    }
}
