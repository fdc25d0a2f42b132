//! The stage with made-up exporters.

mod bounds;
mod changing;
mod failing;
mod reporting;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::{Export, Exporter, Handle, Member, Outcome, Terms, run};
use crate::batch::{Resident, TraceBatch};
use crate::budget::{Budget, Share};
use crate::filter::FilteredBatch;
use crate::model::{Decision, Leadership, Receipts, Trace, TraceId};
use crate::source::{Fate, Settlement};
use crate::tasks::Tasks;

/// What was asked of exporters, in order: `report`, or ids.
type Asked = Arc<Mutex<Vec<String>>>;

/// What exporters of a test share: each trace that was taken, with who took it.
#[derive(Clone, Default)]
struct Taken(Arc<Mutex<Vec<(String, String)>>>);

impl Taken {
    fn by(&self, who: &str) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter(|(own, _)| own == who).map(|(_, id)| id.clone()).collect()
    }
}

type Answer = Box<dyn FnMut(&TraceBatch) -> Outcome + Send>;

/// An exporter that does as it is told; its state is how many traces it and its predecessors took.
struct Fake {
    who: String,
    taken: Taken,
    count: u64,
    answer: Answer,
    refuses_state: bool,
    flushed: Arc<AtomicUsize>,
    asked: Asked,
    report_takes: Duration,
}

impl Fake {
    fn is_asked(&self, what: String) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }
}

impl Exporter for Fake {
    fn export(&mut self, batch: &Arc<TraceBatch>) -> Outcome {
        self.is_asked(batch.traces().iter().map(|trace| trace.id.to_string()).collect::<Vec<_>>().join(" "));
        let outcome = (self.answer)(batch);
        if outcome == Outcome::Delivered {
            self.count += batch.traces().len() as u64;
            let ids = batch.traces().iter().map(|trace| (self.who.clone(), trace.id.to_string()));
            self.taken.0.lock().unwrap_or_else(PoisonError::into_inner).extend(ids);
        }
        outcome
    }
}

impl Resident for Fake {
    fn flush(&mut self) -> Result<(), String> {
        self.flushed.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
    fn report(&mut self) -> Result<Option<String>, String> {
        self.is_asked("report".into());
        std::thread::sleep(self.report_takes);
        Ok(Some(self.count.to_string()))
    }
    fn snapshot(&mut self) -> Result<Option<Vec<u8>>, String> {
        Ok(Some(self.count.to_be_bytes().to_vec()))
    }
    fn restore(&mut self, snapshot: &[u8]) -> Result<(), String> {
        if self.refuses_state {
            return Err("restore: it trapped".into());
        }
        self.count = snapshot.try_into().map_or(0, u64::from_be_bytes);
        Ok(())
    }
}

/// The stage between its neighbours.
struct Stage {
    input: mpsc::Sender<FilteredBatch>,
    settled: mpsc::Receiver<Settlement>,
    handle: Handle,
    leadership: Leadership,
    tasks: Tasks,
    taken: Taken,
    flushed: Arc<AtomicUsize>,
    asked: Asked,
}

const TERMS: Terms = Terms {
    required: true,
    queue: 2,
    max_traces: 512,
};

impl Stage {
    fn start() -> Stage {
        let tasks = Tasks::new(tokio::runtime::Handle::current());
        let (input, received) = mpsc::channel(1);
        let (settlements, settled) = mpsc::channel(1_000);
        let (failed, _) = mpsc::channel(1);
        let leadership = Leadership::default();
        let stage = Export {
            input: received,
            settlements,
            leadership: leadership.clone(),
            failed,
        };
        let handle = run(stage, &tasks);
        Stage {
            input,
            settled,
            handle,
            leadership,
            tasks,
            taken: Taken::default(),
            flushed: Arc::default(),
            asked: Asked::default(),
        }
    }

    fn fake(&self, who: &str, answer: impl FnMut(&TraceBatch) -> Outcome + Send + 'static) -> Fake {
        Fake {
            who: who.into(),
            taken: self.taken.clone(),
            count: 0,
            answer: Box::new(answer),
            refuses_state: false,
            flushed: Arc::clone(&self.flushed),
            asked: Arc::clone(&self.asked),
            report_takes: Duration::ZERO,
        }
    }

    async fn put(&self, name: &str, terms: Terms, fakes: Vec<Fake>) -> Result<(), String> {
        self.put_within(name, terms, fakes, Duration::from_secs(20)).await
    }

    async fn put_within(&self, name: &str, terms: Terms, fakes: Vec<Fake>, within: Duration) -> Result<(), String> {
        let exporters = fakes.into_iter().map(|fake| Box::new(fake) as Box<dyn Exporter>).collect();
        self.handle
            .put(Member {
                name: name.into(),
                exporters,
                terms,
                within,
            })
            .await
    }

    async fn send(&self, ids: &[&str]) {
        self.send_part(ids, 0).await;
    }

    /// Sends the part with this number of each trace.
    async fn send_part(&self, ids: &[&str], part: u32) {
        let trace = |id: &&str| Arc::new(Trace::new(TraceId::parse(id), part, Decision::Complete, Vec::new()));
        let batch = FilteredBatch {
            batch: Arc::new(TraceBatch::new(ids.iter().map(trace).collect())),
            receipts: ids.iter().map(|_| Receipts::default()).collect(),
            share: Share::default(),
        };
        self.input.send(batch).await.expect("the stage runs");
    }

    async fn settled(&mut self, count: usize) -> Vec<Fate> {
        let mut fates = Vec::new();
        while fates.len() < count {
            let settlement = tokio::time::timeout(Duration::from_secs(20), self.settled.recv()).await.expect("in time");
            fates.push(settlement.expect("the stage runs").fate);
        }
        fates
    }

    async fn until(&self, what: &str, condition: impl Fn(&super::Summary) -> bool) {
        let start = Instant::now();
        while !self.handle.summaries().iter().any(&condition) {
            assert!(start.elapsed() < Duration::from_secs(20), "{what}: {:?}", self.handle.summaries());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Closes the input and waits for every thread.
    async fn end(self) {
        drop(self.input);
        self.tasks.ended(Duration::from_secs(20)).await.expect("all have ended");
    }
}

fn delivered(fates: Vec<Fate>) -> bool {
    fates.iter().all(|fate| matches!(fate, Fate::Delivered))
}

fn delivers() -> impl FnMut(&TraceBatch) -> Outcome + Send + 'static {
    |_| Outcome::Delivered
}

fn pauses() -> impl FnMut(&TraceBatch) -> Outcome + Send + 'static {
    |_| Outcome::Retry {
        after: Some(Duration::from_secs(50)),
        reason: "not now".into(),
    }
}
