//! The stage: batches of entries in, decided traces out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{mpsc, oneshot};

use super::{Correlator, Decided, Rules};
use crate::budget::Budget;
use crate::decode::{Decoder, Reject};
use crate::model::{Decision, Receipts, Trace, TraceId};
use crate::source::{Batch, Entry, Fate, Settlement};
use crate::store::Store;

/// What the stage is made of.
#[derive(Debug)]
pub struct Correlate {
    /// When traces are decided.
    pub rules: Rules,
    /// Entries, in the order of the log.
    pub input: mpsc::Receiver<Batch>,
    /// Decided traces, in the order in which they were decided.
    pub output: mpsc::Sender<Vec<Decided>>,
    /// For entries that are no events.
    pub settlements: mpsc::Sender<Settlement>,
    /// What traces behind this stage may hold together: it waits for room.
    pub budget: Arc<Budget>,
    /// Told of what is decided, so that it can be asked for until the filters have seen it.
    pub store: Arc<Store>,
    /// Questions about open traces.
    pub questions: mpsc::Receiver<Question>,
    /// Counted here, read by the API.
    pub counters: Arc<Counters>,
}

/// What has been counted since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Entries that became events.
    pub events: AtomicU64,
    /// Values of another form than their field wants; each was kept as an attribute.
    pub unreadable_values: AtomicU64,
    /// Parts above 0.
    pub late_parts: AtomicU64,
    rejected: [AtomicU64; 5],
    decided: [AtomicU64; 7],
    open_traces: AtomicU64,
    open_spans: AtomicU64,
    open_bytes: AtomicU64,
    remembered: AtomicU64,
    /// Milliseconds of stream time plus one; 0 = there is no open trace.
    oldest_age: AtomicU64,
}

const REJECTS: [&str; 5] = ["no_trace_id", "no_span_id", "unknown_event", "too_large", "too_many_fields"];
const DECISIONS: [Decision; 7] = [
    Decision::Complete,
    Decision::ParentMissing,
    Decision::Expired,
    Decision::MaxAge,
    Decision::MaxSpans,
    Decision::MaxBytes,
    Decision::Memory,
];
/// Bytes of decided traces that are sent on together, at most, unless one alone has more.
const PORTION_BYTES: usize = 8 * 1024 * 1024;

impl Counters {
    fn reject(&self, reject: &Reject) {
        if let Some(at) = REJECTS.iter().position(|name| *name == reject.as_str()) {
            self.rejected[at].fetch_add(1, Ordering::Relaxed);
        }
    }

    fn decide(&self, trace: &Trace) {
        if let Some(at) = DECISIONS.iter().position(|decision| *decision == trace.decision) {
            self.decided[at].fetch_add(1, Ordering::Relaxed);
        }
        if trace.part > 0 {
            self.late_parts.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn publish(&self, summary: &Summary) {
        let Summary {
            active_traces,
            total_spans,
            open_bytes,
            remembered,
            oldest_age_ms,
        } = summary;
        self.open_traces.store(*active_traces as u64, Ordering::Relaxed);
        self.open_spans.store(*total_spans as u64, Ordering::Relaxed);
        self.open_bytes.store(*open_bytes as u64, Ordering::Relaxed);
        self.remembered.store(*remembered as u64, Ordering::Relaxed);
        self.oldest_age.store(oldest_age_ms.map_or(0, |age| age.saturating_add(1)), Ordering::Relaxed);
    }

    /// Open traces as of the last batch; the age of the oldest is up to a second behind.
    pub fn summary(&self) -> Summary {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Summary {
            active_traces: load(&self.open_traces) as usize,
            total_spans: load(&self.open_spans) as usize,
            open_bytes: load(&self.open_bytes) as usize,
            remembered: load(&self.remembered) as usize,
            oldest_age_ms: load(&self.oldest_age).checked_sub(1),
        }
    }

    /// Entries that could not be decoded, by reason.
    pub fn rejected(&self) -> impl Iterator<Item = (&'static str, u64)> {
        REJECTS.into_iter().zip(self.rejected.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    /// Traces and late parts decided, by why.
    pub fn decided(&self) -> impl Iterator<Item = (Decision, u64)> {
        DECISIONS.into_iter().zip(self.decided.iter().map(|count| count.load(Ordering::Relaxed)))
    }
}

/// The API asks about open traces.
#[derive(Debug)]
pub enum Question {
    /// Whether there is one with this id.
    IsOpen(TraceId, oneshot::Sender<bool>),
    /// What is known of it so far: a copy, which may be as large as a trace may.
    Trace(TraceId, oneshot::Sender<Option<Trace>>),
}

/// Numbers for status.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Open traces, late parts among them.
    pub active_traces: usize,
    /// Their spans.
    pub total_spans: usize,
    /// Bytes that they hold.
    pub open_bytes: usize,
    /// Decided traces that are remembered.
    pub remembered: usize,
    /// Stream time since the oldest open trace's first entry, milliseconds.
    pub oldest_age_ms: Option<u64>,
}

/// Asks the stage.
#[derive(Debug, Clone)]
pub struct Handle {
    questions: mpsc::Sender<Question>,
    /// What it has counted.
    pub counters: Arc<Counters>,
}

impl Handle {
    /// A handle, and the other end of it for [`Correlate`].
    pub fn new() -> (Handle, mpsc::Receiver<Question>) {
        let (questions, receiver) = mpsc::channel(64);
        (Handle { questions, counters: Arc::default() }, receiver)
    }

    /// Whether there is an open trace with this id; false also when the stage has ended.
    pub async fn is_open(&self, id: TraceId) -> bool {
        let (answer, asked) = oneshot::channel();
        self.questions.send(Question::IsOpen(id, answer)).await.is_ok() && asked.await.unwrap_or(false)
    }

    /// A copy of the open trace with this id; `None` also when the stage has ended. Whoever holds it answers for how many there are at one time.
    pub async fn open_trace(&self, id: TraceId) -> Option<Trace> {
        let (answer, asked) = oneshot::channel();
        self.questions.send(Question::Trace(id, answer)).await.ok()?;
        asked.await.ok()?
    }
}

/// Runs until the input closes. Traces that are open then are dropped unsettled: the log still holds their entries.
pub async fn run(stage: Correlate) {
    let Correlate {
        rules,
        mut input,
        output,
        settlements,
        budget,
        store,
        mut questions,
        counters,
    } = stage;
    let mut correlator = Correlator::new(rules);
    let mut decoder = Decoder::default();
    let mut asking = true;
    loop {
        let batch = tokio::select! {
            batch = input.recv() => batch,
            question = questions.recv(), if asking => {
                asking = question.is_some();
                answer(&correlator, question);
                continue;
            }
        };
        let Some(mut batch) = batch else { return };
        if let Some(beginning) = batch.beginning.take() {
            correlator.begin(*beginning);
        }
        let mut decided = Vec::new();
        let mut rejected = Vec::new();
        for entry in batch.drain() {
            take(&mut correlator, &mut decoder, entry, &mut decided, &mut rejected);
        }
        correlator.advance(batch.watermark_ms, &mut decided);
        counters.events.fetch_add((batch.len() - rejected.len()) as u64, Ordering::Relaxed);
        counters.unreadable_values.store(decoder.unreadable_values(), Ordering::Relaxed);
        decided.iter().for_each(|decided| counters.decide(&decided.trace));
        // Before the next question is answered: it is open no more.
        store.announce(decided.iter().map(|decided| &decided.trace));
        counters.publish(&correlator.summary());
        for (settlement, reject) in rejected {
            counters.reject(&reject);
            // The source takes settlements whatever happens to traces, so this cannot wait for ourselves.
            if settlements.send(settlement).await.is_err() {
                return;
            }
        }
        if !decided.is_empty() && !hand_on(&output, decided, &budget, &correlator, &mut questions).await {
            return;
        }
    }
}

fn take(
    correlator: &mut Correlator,
    decoder: &mut Decoder,
    entry: Entry<'_>,
    decided: &mut Vec<Decided>,
    rejected: &mut Vec<(Settlement, Reject)>,
) {
    correlator.advance(entry.at_ms, decided);
    match decoder.decode(&entry) {
        Ok(event) => correlator.add(event, entry.receipt, entry.at_ms, decided),
        Err(reject) => {
            let fate = Fate::Dead {
                stage: "decode",
                plugin: None,
                reason: reject.to_string(),
                trace: None,
            };
            let receipts = Receipts {
                epoch: correlator.epoch(),
                mark: None,
                list: vec![entry.receipt],
            };
            rejected.push((Settlement { receipts, fate }, reject));
        }
    }
}

/// Sends on, in portions for which there is room, answering questions meanwhile. Returns false when the next stage has ended.
async fn hand_on(
    output: &mpsc::Sender<Vec<Decided>>,
    decided: Vec<Decided>,
    budget: &Budget,
    correlator: &Correlator,
    questions: &mut mpsc::Receiver<Question>,
) -> bool {
    let mut decided = VecDeque::from(decided);
    while !decided.is_empty() {
        let (mut portion, sizes) = cut(&mut decided, PORTION_BYTES.min(budget.max_bytes()));
        let mut share = meanwhile(correlator, questions, budget.take(sizes.iter().sum())).await;
        for (decided, bytes) in portion.iter_mut().zip(sizes) {
            decided.share = share.split(bytes);
        }
        match meanwhile(correlator, questions, output.reserve()).await {
            Ok(room) => room.send(portion),
            Err(_) => return false,
        }
    }
    true
}

/// The first ones that hold no more than so many bytes, one at least, and what each takes of the budget.
fn cut(decided: &mut VecDeque<Decided>, max_bytes: usize) -> (Vec<Decided>, Vec<usize>) {
    let (mut sizes, mut sum) = (Vec::new(), 0);
    for decided in decided.iter() {
        let bytes = Budget::rounded(decided.bytes());
        sum += bytes;
        if sum > max_bytes && !sizes.is_empty() {
            break;
        }
        sizes.push(bytes);
    }
    (decided.drain(..sizes.len()).collect(), sizes)
}

/// Waits for `work`, answering questions.
async fn meanwhile<T>(correlator: &Correlator, questions: &mut mpsc::Receiver<Question>, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            Some(question) = questions.recv() => answer(correlator, Some(question)),
        }
    }
}

fn answer(correlator: &Correlator, question: Option<Question>) {
    // Who asked may have gone away meanwhile.
    match question {
        Some(Question::IsOpen(id, answer)) => drop(answer.send(correlator.is_open(&id))),
        Some(Question::Trace(_, answer)) if answer.is_closed() => {}
        Some(Question::Trace(id, answer)) => drop(answer.send(correlator.open_trace(&id))),
        None => {}
    }
}

#[cfg(test)]
mod on_time;
#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::sample;
    use crate::model::Text;

    fn decided(id: &str, bytes: usize) -> Decided {
        let mut span = sample::span("a");
        span.error = Text::own(&"x".repeat(bytes));
        Decided {
            trace: sample::trace(id, vec![span]),
            receipts: crate::model::Receipts::default(),
            at_ms: 0,
            retry: false,
            follows_drop: false,
            share: crate::budget::Share::default(),
        }
    }

    #[tokio::test]
    async fn no_more_bytes_go_on_than_there_is_room_for_and_questions_are_answered() {
        let (budget, correlator) = (Budget::new(1024 * 1024), Correlator::new(Rules::default()));
        let (output, mut sent) = mpsc::channel(100);
        let (asks, mut questions) = mpsc::channel(1);
        let all = (0..10).map(|at| decided(&at.to_string(), 400 * 1024)).chain([decided("large", 4 * 1024 * 1024)]).collect();
        let handing = async { assert!(hand_on(&output, all, &budget, &correlator, &mut questions).await) };
        let taking = async {
            let mut taken = 0;
            while taken < 11 {
                let portion = sent.recv().await.expect("a portion");
                let (answer, asked) = oneshot::channel();
                asks.send(Question::Trace(TraceId::parse("?"), answer)).await.expect("it runs");
                if taken + portion.len() < 11 {
                    assert!(asked.await.expect("an answer").is_none(), "it waits for room, and answers");
                }
                assert!(budget.used_bytes() <= budget.max_bytes() && sent.is_empty());
                taken += portion.len();
            }
        };
        tokio::join!(handing, taking);
        assert_eq!((budget.used_bytes(), budget.waits()), (0, 5));
    }
}
