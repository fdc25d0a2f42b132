//! One exporter's thread: takes batches from the queue, repeats what has to be repeated, narrows down what kills it, and lets a successor in
//! between two batches.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle as Runtime;
use tokio::sync::{mpsc, oneshot};

use super::Exporter;
use super::breaker::Breaker;
use super::group::{Group, Item, Means};
use super::suspects::{Attempt, Failed, Suspects, Work};
use crate::batch::Numbers;
use crate::patience::{PAUSE, Patience, jittered};

/// The longest pause that an exporter may ask for.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Asks for the exporter's report.
pub(super) type ReportRequest = oneshot::Sender<Result<Option<String>, String>>;

/// Orders to a lane; carried out between two calls.
pub(super) enum Control {
    Report(ReportRequest),
    /// Another exporter takes over.
    Swap(Box<dyn Exporter>, oneshot::Sender<Result<(), String>>),
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
    control: mpsc::Receiver<Control>,
    runtime: Runtime,
    suspects: Suspects,
    /// Whether this lane is one too many.
    surplus: bool,
    /// The exporter's own numbers, for people.
    numbers: Arc<Mutex<Numbers>>,
    alarm: Alarm,
}

/// Tells when the thread ends by a fault of this program.
struct Alarm {
    name: String,
    failed: mpsc::Sender<anyhow::Error>,
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

/// How a pause ended.
#[derive(PartialEq)]
pub(super) enum Waited {
    /// It is over, or something has changed.
    GoOn,
    /// The host is stopping: what is left stays with the log.
    Stop,
}

enum Next {
    Control(Control),
    Item(Item),
    Again,
    End,
}

impl Lane {
    pub fn new(group: Arc<Group>, exporter: Box<dyn Exporter>, control: mpsc::Receiver<Control>, means: &Means) -> Lane {
        let alarm = Alarm {
            name: group.name.clone(),
            failed: means.failed.clone(),
        };
        let numbers = group.status.join();
        Lane {
            group,
            exporter,
            patience: Arc::clone(&means.patience),
            breaker: Breaker::default(),
            control,
            runtime: means.tasks.runtime(),
            suspects: Suspects::new(),
            surplus: false,
            numbers,
            alarm,
        }
    }

    /// Runs until the queue is closed and empty, or until the lane is one too many; then flushes.
    pub fn run(mut self) {
        while !self.surplus {
            if !self.patience.lasts(self.pause()) {
                self.suspects = Suspects::new();
            }
            match self.next() {
                Next::Control(control) => self.obey(control),
                Next::Item(item) => {
                    self.group.room.leave();
                    let work = self.portions(item);
                    self.deliver(vec![work]);
                }
                Next::Again => self.try_again(),
                Next::End => break,
            }
        }
        self.let_go();
        if let Err(error) = self.exporter.flush() {
            tracing::error!(plugin = self.alarm.name, error, "flushing failed");
        }
    }

    fn next(&mut self) -> Next {
        let pause = self.pause();
        let suspicious = !self.suspects.is_empty();
        // What nothing more can come of is looked through all the same, lest the end of the queue be missed.
        let ending = self.group.is_leaving() || !self.patience.lasts(pause);
        let takes = ending || !suspicious || !self.breaker.is_open() && self.suspects.has_room();
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                Some(control) = self.control.recv() => Next::Control(control),
                item = self.group.items.recv(), if takes => item.map_or(Next::End, Next::Item),
                () = self.patience.ends_before(Instant::now() + pause), if !ending => Next::Control(Control::Look),
                () = tokio::time::sleep(jittered(pause)), if suspicious => Next::Again,
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
        let portions = rows.chunks(self.group.max_traces()).map(<[usize]>::to_vec).collect();
        Work { item, portions }
    }

    /// Offers what is under suspicion again; while the breaker is open one trace only, of a new batch if there is one.
    fn try_again(&mut self) {
        if !self.breaker.is_open() {
            let work = self.suspects.take();
            return self.deliver(work);
        }
        let fresh = self.suspects.has_room().then(|| self.group.items.try_recv().ok()).flatten();
        let work = match fresh {
            Some(item) => {
                self.group.room.leave();
                self.portions(item)
            }
            None => {
                let mut all = self.suspects.take().into_iter();
                let Some(first) = all.next() else { return };
                all.for_each(|work| self.suspects.put_back(work));
                first
            }
        };
        let Work { item, mut portions } = work;
        let Some(first) = portions.pop_front() else { return };
        let (probe, others) = first.split_at(1.min(first.len()));
        if !others.is_empty() {
            portions.push_front(others.to_vec());
        }
        if !portions.is_empty() {
            self.suspects.put_back(Work { item: item.clone(), portions });
        }
        self.deliver(vec![Work {
            item,
            portions: VecDeque::from([probe.to_vec()]),
        }]);
    }

    /// Offers these rows of deliveries, and buries what is found guilty by it.
    fn deliver(&mut self, mut work: Vec<Work>) {
        while !work.is_empty() {
            let attempts: Vec<Attempt> = std::mem::take(&mut work).into_iter().map(|work| self.attempt(work)).collect();
            *self.numbers.lock().unwrap_or_else(PoisonError::into_inner) = self.exporter.numbers();
            let judged = self.suspects.judge(attempts);
            for (item, rows) in judged.guilty {
                self.bury(&item, rows);
            }
            if self.breaker.is_open() {
                judged.work.into_iter().for_each(|work| self.suspects.put_back(work));
            } else {
                work = judged.work;
            }
        }
        if self.suspects.is_empty() {
            self.group.status.hold(None);
        }
        self.group.status.set_broken(self.breaker.is_open());
    }

    /// Waits between two tries of the same rows. An order that comes meanwhile is carried out, and ends the pause.
    pub(super) fn wait(&mut self, asked: Option<Duration>, grown: Duration) -> Waited {
        let pause = asked.map_or(grown, |asked| asked.min(PAUSE_MAX)).max(self.breaker.pause().unwrap_or_default());
        let control = {
            let (control, patience) = (&mut self.control, &self.patience);
            self.runtime.block_on(async {
                tokio::select! {
                    biased;
                    Some(control) = control.recv() => Ok(control),
                    lasts = patience.pause(jittered(pause)) => Err(lasts),
                }
            })
        };
        match control {
            Ok(control) => {
                self.obey(control);
                Waited::GoOn
            }
            Err(true) => Waited::GoOn,
            Err(false) => Waited::Stop,
        }
    }

    fn obey(&mut self, control: Control) {
        match control {
            // Who asked may have gone away meanwhile.
            Control::Report(answer) => drop(answer.send(self.exporter.report())),
            Control::Swap(successor, answer) => drop(answer.send(self.swap(successor))),
            Control::End => self.surplus = true,
            Control::Look => {}
        }
    }

    /// Lets `successor` take over. If it cannot, everything stays as it was.
    fn swap(&mut self, mut successor: Box<dyn Exporter>) -> Result<(), String> {
        match self.exporter.snapshot() {
            Ok(Some(snapshot)) => successor.restore(&snapshot)?,
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(plugin = self.group.name, error, "the state of the plugin could not be had; its successor begins anew")
            }
        }
        if let Err(error) = self.exporter.flush() {
            tracing::error!(plugin = self.group.name, error, "flushing the plugin that is replaced failed");
        }
        self.exporter = successor;
        self.breaker = Breaker::default();
        self.suspects.pause = PAUSE.0;
        let status = &self.group.status;
        // The new one has yet to show that it works.
        status.exported_at_burial.store(status.exported.load(Ordering::Relaxed), Ordering::Relaxed);
        Ok(())
    }

    /// Whether what it does not take now is to be left to others, or to nobody.
    pub(super) fn is_ending(&self) -> bool {
        self.surplus || self.group.is_leaving()
    }

    /// Gives up what is under suspicion: to the other lanes, or if the group was taken out to nobody. When the host stops, the log keeps it.
    fn let_go(&mut self) {
        for Work { item, portions } in self.suspects.take() {
            self.leave_behind(&item, portions.into_iter().flatten().collect());
        }
    }

    /// Gives up rows that have not been taken, as in [`Lane::let_go`].
    pub(super) fn leave_behind(&self, item: &Item, rows: Vec<usize>) {
        if self.group.is_leaving() {
            self.finish(item, rows.into_iter().map(|row| (row, None)).collect(), false);
        } else if self.surplus {
            self.group.requeue(Item { rows: Some(rows), ..item.clone() });
        }
    }

    fn bury(&self, item: &Item, rows: Failed) {
        tracing::error!(plugin = self.group.name, traces = rows.len(), "traces that make the exporter fail are given up");
        let status = &self.group.status;
        status.exported_at_burial.store(status.exported.load(Ordering::Relaxed), Ordering::Relaxed);
        self.finish(item, rows.into_iter().map(|(row, reason)| (row, Some(reason))).collect(), true);
    }
}
