//! A running stage, and filters that do what a test says.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::batch::{Numbers, Resident, TraceBatch};
use crate::filter::{self, Filter, FilterSummary, FilteredBatch, Handle, Remember, Stage};
use crate::model::Leadership;
use crate::source::{Fate, Settlement};
use crate::store::Store;
use crate::tasks::Tasks;

/// The longest that anything is waited for. Waiting ends as soon as it comes.
const PATIENCE: Duration = Duration::from_secs(30);

type Decide = Box<dyn FnMut(&Arc<TraceBatch>) -> Result<Decisions, String> + Send>;

/// A filter that does what a test says, and notes what is done with it.
pub(super) struct Fake {
    decide: Decide,
    pub(super) notes: Notes,
    pub(super) state: Option<Vec<u8>>,
    /// Says no to a state.
    pub(super) picky: bool,
}

/// What was done with filters, in order.
#[derive(Clone, Default)]
pub(super) struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    pub(super) fn add(&self, note: impl Into<String>) {
        self.0.lock().unwrap().push(note.into());
    }

    pub(super) fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Fake {
    pub(super) fn new(decide: impl FnMut(&Arc<TraceBatch>) -> Result<Decisions, String> + Send + 'static) -> Fake {
        Fake {
            decide: Box::new(decide),
            notes: Notes::default(),
            state: None,
            picky: false,
        }
    }

    /// In a slot with this name; order 0, and failures hold.
    pub(super) fn called(self, name: &str) -> Slot {
        Slot {
            name: name.to_owned(),
            order: 0,
            on_failure: OnFailure::Hold,
            filter: Ok(Box::new(self)),
            within: PATIENCE,
        }
    }

    /// Notes the ids that it is asked about.
    pub(super) fn noting(mut self, notes: &Notes) -> Fake {
        self.notes = notes.clone();
        self
    }
}

impl Slot {
    pub(super) fn at(mut self, order: i64) -> Slot {
        self.order = order;
        self
    }

    pub(super) fn on_failure(mut self, on_failure: OnFailure) -> Slot {
        self.on_failure = on_failure;
        self
    }
}

impl Filter for Fake {
    fn decide(&mut self, batch: &Arc<TraceBatch>) -> Result<Decisions, String> {
        self.notes.add(format!("asked {}", ids(batch).join(" ")));
        (self.decide)(batch)
    }
}

impl Resident for Fake {
    fn flush(&mut self) -> Result<(), String> {
        self.notes.add("flushed");
        Ok(())
    }

    fn report(&mut self) -> Result<Option<String>, String> {
        self.notes.add("reported");
        Ok(Some("{}".to_owned()))
    }

    fn numbers(&self) -> Numbers {
        Numbers {
            counters: [("n".to_owned(), 1)].into(),
            ..Numbers::default()
        }
    }

    fn snapshot(&mut self) -> Result<Option<Vec<u8>>, String> {
        Ok(self.state.clone())
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), String> {
        self.notes.add(format!("restored {snapshot:?}"));
        if self.picky { Err("it is not mine".to_owned()) } else { Ok(()) }
    }
}

/// A verdict for each trace, by its id.
pub(super) fn deciding(verdict: impl Fn(&str) -> Verdict + Send + 'static) -> Fake {
    Fake::new(move |batch| {
        Ok(Decisions {
            verdicts: batch.traces().iter().map(|trace| verdict(&trace.id.to_string())).collect(),
            edits: Vec::new(),
        })
    })
}

pub(super) fn passing() -> Fake {
    deciding(|_| Verdict::Pass)
}

pub(super) fn keep_for(reason: &str) -> Verdict {
    Verdict::Keep(Some(reason.into()))
}

pub(super) fn drop_for(reason: &str) -> Verdict {
    Verdict::Drop(Some(reason.into()))
}

pub(super) fn ids(batch: &TraceBatch) -> Vec<String> {
    batch.traces().iter().map(|trace| trace.id.to_string()).collect()
}

/// A stage that runs.
pub(super) struct Bench {
    input: Option<mpsc::Sender<Vec<Decided>>>,
    pub(super) output: mpsc::Receiver<FilteredBatch>,
    pub(super) settlements: mpsc::Receiver<Settlement>,
    pub(super) store: Arc<Store>,
    pub(super) failures: mpsc::Receiver<anyhow::Error>,
    pub(super) handle: Handle,
    pub(super) leadership: Leadership,
    tasks: Tasks,
}

impl Bench {
    pub(super) fn new(filters: Vec<Slot>) -> Bench {
        Bench::remembering(filters, Remember { keep_ms: 600_000, max: 1_000 })
    }

    pub(super) fn remembering(filters: Vec<Slot>, remember: Remember) -> Bench {
        let tasks = Tasks::new(tokio::runtime::Handle::current());
        let (input, decided) = mpsc::channel(4);
        let (kept, output) = mpsc::channel(1);
        let (settle, settlements) = mpsc::channel(1_024);
        let (failed, failures) = mpsc::channel(1);
        let store = Arc::new(Store::new(crate::store::Limits::default()));
        let leadership = Leadership::default();
        let stage = Stage {
            input: decided,
            output: kept,
            settlements: settle,
            store: Arc::clone(&store),
            filters,
            remember,
            leadership: leadership.clone(),
            failed,
        };
        let handle = filter::run(stage, &tasks).unwrap();
        Bench {
            input: Some(input),
            output,
            settlements,
            store,
            failures,
            handle,
            leadership,
            tasks,
        }
    }

    pub(super) async fn give(&self, decided: Vec<Decided>) {
        timeout(PATIENCE, self.input.as_ref().unwrap().send(decided)).await.expect("the stage takes it").expect("the stage runs");
    }

    /// The next batch that is kept.
    pub(super) async fn kept(&mut self) -> FilteredBatch {
        let batch = timeout(PATIENCE, self.output.recv()).await.expect("a batch is kept").expect("the stage runs");
        assert_eq!(batch.receipts.len(), batch.batch.traces().len());
        batch
    }

    /// The ids of the next batch that is kept.
    pub(super) async fn kept_ids(&mut self) -> Vec<String> {
        ids(&self.kept().await.batch)
    }

    /// Who dropped the next trace that leaves, and why.
    pub(super) async fn dropped(&mut self) -> (String, Option<String>) {
        match self.settled().await.fate {
            Fate::Dropped(sampling) => (sampling.filter.to_string(), sampling.reason.as_deref().map(str::to_owned)),
            other => panic!("{other:?}"),
        }
    }

    /// The filter and the reason of the next dead letter.
    pub(super) async fn dead(&mut self) -> (String, String) {
        match self.settled().await.fate {
            Fate::Dead {
                stage: "filter",
                plugin: Some(plugin),
                reason,
                ..
            } => (plugin, reason),
            other => panic!("{other:?}"),
        }
    }

    async fn settled(&mut self) -> Settlement {
        let settlement = timeout(PATIENCE, self.settlements.recv()).await.expect("a settlement").expect("the stage runs");
        assert_eq!(settlement.receipts.list.len(), 1, "each receipt is used once");
        settlement
    }

    /// Gives one trace to a stage that lets it through, and waits for it: all that was given before has been dealt with.
    pub(super) async fn settle_down(&mut self) {
        self.give(all(&["the last"])).await;
        while !self.kept_ids().await.contains(&"the last".to_owned()) {}
    }

    pub(super) fn filter(&self, name: &str) -> FilterSummary {
        self.handle.summaries().into_iter().find(|filter| filter.name == name).expect("a filter of that name")
    }

    /// Waits until what is known of a filter is as wanted.
    pub(super) async fn until(&self, name: &str, wanted: impl Fn(&FilterSummary) -> bool) -> FilterSummary {
        let start = Instant::now();
        loop {
            let filter = self.filter(name);
            if wanted(&filter) {
                return filter;
            }
            assert!(start.elapsed() < PATIENCE, "waited in vain: {filter:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits until so many traces have passed all filters.
    pub(super) async fn until_kept(&self, count: u64) {
        let start = Instant::now();
        while self.handle.counts().kept < count {
            assert!(start.elapsed() < PATIENCE, "waited in vain: {:?}", self.handle.counts());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Nothing has come out, and no receipt has gone back.
    pub(super) fn assert_nothing_left(&mut self) {
        assert!(self.output.try_recv().is_err() && self.settlements.try_recv().is_err());
    }

    /// Closes the input.
    pub(super) fn close(&mut self) {
        self.input = None;
    }

    /// Waits until the thread has ended.
    pub(super) async fn ended(&self) {
        self.tasks.ended(PATIENCE).await.expect("the stage ends");
    }
}
