//! One exporter's thread: takes batches from the queue, repeats what has to be repeated, narrows down what kills it, and lets a successor in
//! between two batches.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_channel::TryRecvError;
use tokio::runtime::Handle as Runtime;
use tokio::sync::{mpsc, oneshot};

use super::Exporter;
use super::breaker::Breaker;
use super::group::{Group, Item, Means};
use super::handover::Handover;
use super::status::LaneStatus;
use super::suspects::{Portion, Suspects, Work};
use crate::blame::Blame;
use crate::patience::{PAUSE, Patience, jittered};
use crate::tasks::Alarm;

/// The longest pause that an exporter may ask for. Traces wait for it meanwhile, and so, when its queue is full, does the stream: nobody knows how long
/// that is but who asked, and one that asks for a day by mistake shall not stand still for a day.
const PAUSE_MAX: Duration = Duration::from_secs(600);

/// Asks for the exporter's report.
pub(super) type ReportRequest = oneshot::Sender<Result<Option<String>, String>>;

/// Orders to a lane; carried out between two calls.
pub(super) enum Control {
    Report(ReportRequest),
    /// Another exporter takes over.
    Swap(Handover),
    /// The lane is one too many.
    End,
    /// Something has changed.
    Look,
}

pub(super) struct Lane {
    pub(super) group: Arc<Group>,
    pub(super) exporter: Box<dyn Exporter>,
    pub(super) patience: Arc<Patience>,
    pub(super) breaker: Breaker,
    pub(super) blame: Blame,
    pub(super) suspects: Suspects,
    pub(super) runtime: Runtime,
    control: mpsc::Receiver<Control>,
    /// Whether this lane is one too many.
    surplus: bool,
    /// What it says of itself, for people.
    pub(super) status: Arc<LaneStatus>,
    /// Whether it has reported since it last did something else: what is due comes before the next report.
    reported: bool,
    /// When what is under suspicion is offered again. Kept over whatever else the lane does meanwhile: a question begins no pause anew.
    pub(super) again_at: Option<Instant>,
    _alarm: Alarm,
}

/// How a pause ended.
#[derive(PartialEq)]
pub(super) enum Waited {
    /// It is over, or something has changed.
    GoOn,
    /// The host is stopping: what is left stays with the log.
    Stop,
}

/// What an order came to.
#[derive(PartialEq)]
pub(super) enum Effect {
    /// All is as it was.
    None,
    /// Somebody else takes the rows from now on.
    Changed,
}

enum Next {
    Control(Control),
    Item(Item),
    Again,
    End,
}

impl Lane {
    pub fn new(group: Arc<Group>, exporter: Box<dyn Exporter>, control: mpsc::Receiver<Control>, means: &Means) -> Lane {
        let alarm = Alarm::new(format!("the exporter {:?}", group.name), means.failed.clone());
        let status = group.status.join();
        Lane {
            group,
            exporter,
            patience: Arc::clone(&means.patience),
            breaker: Breaker::default(),
            blame: Blame::default(),
            suspects: Suspects::new(),
            control,
            runtime: means.tasks.runtime(),
            surplus: false,
            status,
            reported: false,
            again_at: None,
            _alarm: alarm,
        }
    }

    /// Runs until the queue is closed and empty, or until the lane is one too many; then flushes.
    pub fn run(mut self) {
        while !self.surplus {
            if !self.patience.lasts(self.pause()) {
                self.suspects = Suspects::new();
            }
            match self.next() {
                Next::Control(control) => {
                    self.obey(control);
                }
                Next::Item(item) => {
                    self.group.left_queue(&item);
                    let work = self.portions(item);
                    self.deliver(vec![work]);
                }
                Next::Again => self.try_again(),
                Next::End => break,
            }
        }
        self.let_go();
        if let Err(error) = self.exporter.flush() {
            tracing::error!(plugin = self.group.name, error, "flushing failed");
        }
    }

    fn next(&mut self) -> Next {
        let pause = self.pause();
        let again_at = match self.suspects.is_empty() {
            true => None,
            false => Some(*self.again_at.get_or_insert_with(|| Instant::now() + jittered(pause))),
        };
        let suspicious = again_at.is_some();
        // What nothing more can come of is looked through all the same, lest the end of the queue be missed.
        let ending = self.group.is_leaving() || !self.patience.lasts(pause);
        let takes = ending || !suspicious || !self.breaker.is_open() && self.suspects.has_room();
        // However many ask for reports, and however long each takes, there is one between two items.
        if std::mem::take(&mut self.reported) {
            match takes.then(|| self.group.items.try_recv()) {
                Some(Ok(item)) => return Next::Item(item),
                Some(Err(TryRecvError::Closed)) => return Next::End,
                Some(Err(TryRecvError::Empty)) | None => {}
            }
            if again_at.is_some_and(|at| at <= Instant::now()) {
                return Next::Again;
            }
        }
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                Some(control) = self.control.recv() => Next::Control(control),
                item = self.group.items.recv(), if takes => item.map_or(Next::End, Next::Item),
                () = self.patience.ends_before(Instant::now() + pause), if !ending => Next::Control(Control::Look),
                () = sleep_until(again_at), if suspicious => Next::Again,
            }
        })
    }

    /// Until the next try.
    fn pause(&self) -> Duration {
        self.breaker.pause().unwrap_or(self.suspects.pause)
    }

    /// The rows of a delivery in calls of the size that the plugin wants.
    fn portions(&self, item: Item) -> Work {
        let rows = item.rows.clone().unwrap_or_else(|| item.delivery.all_rows());
        let portions = rows.chunks(self.group.max_traces()).map(|rows| Portion::new(rows.to_vec())).collect();
        Work { item, portions }
    }

    /// Offers what is under suspicion again; while the breaker is open one trace only, of a new batch if there is one.
    fn try_again(&mut self) {
        self.again_at = None;
        if !self.breaker.is_open() {
            let work = self.suspects.take();
            return self.deliver(work);
        }
        let fresh = self.suspects.has_room().then(|| self.group.items.try_recv().ok()).flatten();
        let work = match fresh {
            Some(item) => {
                self.group.left_queue(&item);
                self.portions(item)
            }
            None => {
                let mut all = self.suspects.take().into_iter();
                let Some(first) = all.next() else { return };
                all.for_each(|work| self.suspects.put(work));
                first
            }
        };
        let Work { item, mut portions } = work;
        let Some(Portion { mut rows, suspicion }) = portions.pop_front() else { return };
        let others = rows.split_off(1.min(rows.len()));
        if !others.is_empty() {
            portions.push_front(Portion::new(others));
        }
        self.suspects.put(Work { item: item.clone(), portions });
        let portions = VecDeque::from([Portion { rows, suspicion }]);
        self.deliver(vec![Work { item, portions }]);
    }

    /// Offers these rows of deliveries, and then those under suspicion about which that tells something.
    fn deliver(&mut self, mut work: Vec<Work>) {
        let before = self.blame.successes();
        while !work.is_empty() {
            let lone = work.len() == 1 && self.suspects.is_empty() && self.group.items.is_empty();
            for (at, one) in std::mem::take(&mut work).into_iter().enumerate() {
                match at > 0 && self.breaker.is_open() && !self.is_ending() {
                    true => self.suspects.put(one),
                    false => self.attempt(one, lone),
                }
            }
            if !self.breaker.is_open() {
                work = self.suspects.take_ready(&self.blame);
            }
        }
        if self.blame.successes() > before {
            self.suspects.pause = PAUSE.0;
        }
        self.status.set_numbers(self.exporter.numbers());
        if self.suspects.is_empty() {
            self.again_at = None;
            self.status.hold(None);
        }
        self.status.set_broken(self.breaker.is_open());
    }

    /// Waits between two tries of the same rows. Orders that come meanwhile are carried out; only one that changes who takes the rows ends the pause.
    pub(super) fn wait(&mut self, asked: Option<Duration>, grown: Duration) -> Waited {
        let pause = asked.map_or(grown, |asked| asked.min(PAUSE_MAX)).max(self.breaker.pause().unwrap_or_default());
        let until = Instant::now() + jittered(pause);
        loop {
            let control = {
                let (control, patience) = (&mut self.control, &self.patience);
                self.runtime.block_on(async {
                    tokio::select! {
                        biased;
                        Some(control) = control.recv() => Ok(control),
                        lasts = patience.pause(until.saturating_duration_since(Instant::now())) => Err(lasts),
                    }
                })
            };
            match control {
                Ok(control) => {
                    // A pause that is over while somebody is answered is over.
                    if self.obey(control) == Effect::Changed || self.is_ending() || Instant::now() >= until {
                        return Waited::GoOn;
                    }
                }
                Err(true) => return Waited::GoOn,
                Err(false) => return Waited::Stop,
            }
        }
    }

    fn obey(&mut self, control: Control) -> Effect {
        match control {
            // Who asked may have gone away meanwhile; a report may take as long as a call may.
            Control::Report(answer) if answer.is_closed() => Effect::None,
            Control::Report(answer) => {
                self.reported = true;
                drop(answer.send(self.exporter.report()));
                Effect::None
            }
            Control::Swap(handover) => self.swap(handover),
            Control::End => {
                self.surplus = true;
                Effect::Changed
            }
            Control::Look => Effect::None,
        }
    }

    /// Whether what it does not take now is to be left to others, or to nobody.
    pub(super) fn is_ending(&self) -> bool {
        self.surplus || self.group.is_leaving()
    }

    /// Gives up what is under suspicion: to the other lanes, or if the group was taken out to nobody. When the host stops, the log keeps it.
    fn let_go(&mut self) {
        for Work { item, portions } in self.suspects.take() {
            self.leave_behind(&item, portions.into_iter().flat_map(|portion| portion.rows).collect());
        }
    }

    /// Gives up rows that have not been taken, as in [`Lane::let_go`].
    pub(super) fn leave_behind(&self, item: &Item, rows: Vec<usize>) {
        if self.group.is_leaving() {
            self.finish(item, rows.into_iter().map(|row| (row, None)).collect(), false);
        } else if self.surplus {
            self.group.requeue(item, rows);
        }
    }

    /// Gives up what makes the exporter fail.
    pub(super) fn bury(&self, item: &Item, rows: Vec<usize>, reason: &str) {
        tracing::error!(plugin = self.group.name, reason, "a trace that makes the exporter fail is given up");
        self.finish(item, rows.into_iter().map(|row| (row, Some(reason.to_owned()))).collect(), true);
    }
}

async fn sleep_until(at: Option<Instant>) {
    if let Some(at) = at {
        tokio::time::sleep_until(at.into()).await;
    }
}
