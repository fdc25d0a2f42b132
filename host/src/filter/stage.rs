//! The stage: decided traces in, batches of those that are kept out.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle as Runtime;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;

use super::edits::NEW_NAMES;
use super::failures::{Around, Passage};
use super::flow::{FilteredBatch, Flow, Waiting};
use super::handle::{Command, Handle, Shared};
use super::seat::{Seat, Slot};
use super::verdicts::carry_out;
use crate::correlate::Decided;
use crate::model::{IdMemory, Leadership, NameTable, Sampling, TraceId};
use crate::patience::Patience;
use crate::source::Settlement;
use crate::store::Store;
use crate::tasks::{Alarm, Tasks};

/// Commands that wait for the stage, at most.
const COMMANDS: usize = 16;

/// How long late parts of a dropped trace are recognised.
#[derive(Debug, Clone, Copy)]
pub struct Remember {
    /// Milliseconds of stream time after the trace, or a part of it, was dropped: as long as the correlator remembers it, and by as much longer as
    /// a late part may take to be gathered.
    pub keep_ms: u64,
    /// Dropped traces that are remembered, at most.
    pub max: usize,
}

/// What the stage is made of.
#[derive(Debug)]
pub struct Stage {
    /// Decided traces.
    pub input: mpsc::Receiver<Vec<Decided>>,
    /// Those that are kept.
    pub output: mpsc::Sender<FilteredBatch>,
    /// Where the receipts of the others go.
    pub settlements: mpsc::Sender<Settlement>,
    /// Keeps recent traces for queries.
    pub store: Arc<Store>,
    /// The filters to begin with, each name once.
    pub filters: Vec<Slot>,
    /// What late parts follow.
    pub remember: Remember,
    /// Whether traces are still ours.
    pub leadership: Leadership,
    /// Told when the stage ends by a fault of ours: then the host has to end, and the next start reads again what is pending.
    pub failed: mpsc::Sender<anyhow::Error>,
}

/// Starts the filters' thread, which ends when its input does.
pub fn run(stage: Stage, tasks: &Tasks) -> std::io::Result<Handle> {
    let Stage {
        input,
        output,
        settlements,
        store,
        filters,
        remember,
        leadership,
        failed,
    } = stage;
    let (sender, commands) = mpsc::channel(COMMANDS);
    let handle = Handle { commands: sender, shared: Arc::default() };
    let mut runner = Runner {
        runtime: tasks.runtime(),
        input: Some(input),
        output,
        settlements,
        store,
        commands,
        seats: Vec::new(),
        seats_ever: 0,
        waiting: Waiting::default(),
        obeyed: false,
        ready: Vec::new(),
        dropped: IdMemory::new(remember.keep_ms, remember.max),
        epoch: 0,
        leadership,
        names: NameTable::bounded(NEW_NAMES),
        shared: Arc::clone(&handle.shared),
    };
    for slot in filters {
        runner.sit(slot);
    }
    tasks.spawn_thread("filter".into(), move || {
        let alarm = Alarm::new("the filters".into(), failed);
        runner.run();
        drop(alarm);
    })?;
    Ok(handle)
}

/// The thread's own.
pub(super) struct Runner {
    pub(super) runtime: Runtime,
    /// `None` when it has ended.
    input: Option<mpsc::Receiver<Vec<Decided>>>,
    pub(super) output: mpsc::Sender<FilteredBatch>,
    pub(super) settlements: mpsc::Sender<Settlement>,
    pub(super) store: Arc<Store>,
    pub(super) commands: mpsc::Receiver<Command>,
    /// In the order in which they are asked.
    pub(super) seats: Vec<Seat>,
    pub(super) seats_ever: u64,
    waiting: Waiting,
    /// Whether something was done that was asked for, and nothing that had come was taken since.
    obeyed: bool,
    /// Batches whose seat was removed from under them.
    pub(super) ready: Vec<Flow>,
    /// Who dropped a trace, and why, so that its late parts are dropped as well. The correlator has a memory of its own, of all decided traces: it says what
    /// is late. This one says what late parts follow, and lasts longer, by as long as one may take to be gathered.
    pub(super) dropped: IdMemory<Arc<Sampling>>,
    /// The leadership under which what came last was read.
    pub(super) epoch: u32,
    pub(super) leadership: Leadership,
    names: NameTable,
    pub(super) shared: Arc<Shared>,
}

/// The next stage, or the source, has ended: there is nothing more to do.
pub(super) struct Ended;

/// What the thread waited for.
enum Next {
    Command(Command),
    Input(Option<Vec<Decided>>),
    /// Something is to be offered again.
    Again,
    /// There is no time left for that.
    GiveUp,
}

impl Runner {
    fn run(mut self) {
        loop {
            // One, lest whoever asks without end keep every trace waiting.
            if let Ok(command) = self.commands.try_recv() {
                self.obey(command);
                self.obeyed = true;
            }
            match self.step() {
                Ok(true) => continue,
                Ok(false) => {}
                Err(Ended) => break,
            }
            if self.input.is_none() && self.seats.iter().all(|seat| seat.waiting().is_none()) {
                break;
            }
            match self.wait() {
                Next::Command(command) => {
                    self.obey(command);
                    self.obeyed = true;
                }
                Next::Input(Some(decided)) => self.gather(decided),
                Next::Input(None) => self.input = None,
                Next::GiveUp => self.abandon(),
                Next::Again => {}
            }
        }
        self.seats.iter_mut().for_each(Seat::flush);
    }

    /// What is ready goes along; nobody waits for more.
    fn gather(&mut self, first: Vec<Decided>) {
        self.notice(&first);
        self.waiting.extend(first);
        while !self.waiting.is_enough()
            && let Some(more) = self.input.as_mut().and_then(|input| input.try_recv().ok())
        {
            self.notice(&more);
            self.waiting.extend(more);
        }
    }

    /// Moves one batch on; false when none can be moved.
    fn step(&mut self) -> Result<bool, Ended> {
        let now = Instant::now();
        let due = |seat: &Seat| seat.waiting().is_some_and(|(passed, at)| at <= now && self.is_free(passed, seat.id));
        if let Some(at) = self.seats.iter().position(due) {
            let passage = self.at_seat(at, |seat, around| seat.retry(around));
            return self.after(at, passage).map(|()| true);
        }
        if let Some(at) = self.ready.iter().position(|flow| self.is_free(&flow.passed, u64::MAX)) {
            let flow = self.ready.remove(at);
            return self.pass_on(flow).map(|()| true);
        }
        if self.waiting.is_empty() || !self.ready.is_empty() || !self.is_free(&[], u64::MAX) {
            return Ok(false);
        }
        let undecided: HashSet<&TraceId> = self.seats.iter().flat_map(Seat::undecided).collect();
        let decided = self.waiting.cut(|id| undecided.contains(id));
        if decided.is_empty() {
            return Ok(false);
        }
        let decided = self.ours(decided);
        let decided = self.without_followers(decided)?;
        Flow::new(decided).map_or(Ok(()), |flow| self.pass_on(flow)).map(|()| true)
    }

    /// Whether nothing stands in the way of a batch that has passed these seats, `own` aside.
    fn is_free(&self, passed: &[u64], own: u64) -> bool {
        self.seats.iter().all(|seat| seat.has_room() || seat.id == own || passed.contains(&seat.id))
    }

    /// Takes a batch through the filters that it has not passed, and out; unless it is another host's by now, which may be a long time after it was cut.
    fn pass_on(&mut self, flow: Flow) -> Result<(), Ended> {
        if self.leadership.is_over(flow.epoch()) {
            self.let_go(&flow);
            return Ok(());
        }
        match self.seats.iter().position(|seat| !flow.passed.contains(&seat.id)) {
            None => self.finish(flow),
            Some(at) => {
                let passage = self.at_seat(at, |seat, around| seat.take(flow, around));
                self.after(at, passage)
            }
        }
    }

    fn at_seat(&mut self, at: usize, act: impl FnOnce(&mut Seat, &Around<'_>) -> Passage) -> Passage {
        let (commands, leadership) = (&self.commands, &self.leadership);
        let around = Around {
            patience: &self.shared.patience,
            interrupted: &|| !commands.is_empty(),
            is_over: &|epoch| leadership.is_over(epoch),
        };
        act(&mut self.seats[at], &around)
    }

    /// Does what a seat's filter decided, and goes on with what is left.
    fn after(&mut self, at: usize, passage: Passage) -> Result<(), Ended> {
        let seat = &self.seats[at];
        match passage {
            Passage::Held => Ok(()),
            Passage::Over(flow) => {
                self.let_go(&flow);
                Ok(())
            }
            Passage::Abandoned(traces) => {
                tracing::warn!(filter = &*seat.status.name, traces, "traces that the filter did not decide on stay in the log");
                Ok(())
            }
            Passage::Through(trial) => {
                let (mut flow, gone) = carry_out(*trial, seat.on_failure, &seat.status, &mut self.names);
                flow.passed.push(seat.id);
                self.settle(gone)?;
                if flow.rows.is_empty() { Ok(()) } else { self.pass_on(flow) }
            }
        }
    }

    /// Waits for whatever comes first; of what is there, for what is asked of the stage and for traces in turns.
    fn wait(&mut self) -> Next {
        let free = self.ready.is_empty() && self.is_free(&[], u64::MAX);
        if std::mem::take(&mut self.obeyed)
            && free
            && let Some(input) = &mut self.input
        {
            match input.try_recv() {
                Ok(decided) => return Next::Input(Some(decided)),
                Err(TryRecvError::Disconnected) => return Next::Input(None),
                Err(TryRecvError::Empty) => {}
            }
        }
        let offers = self.seats.iter().filter_map(|seat| Some((seat, seat.waiting()?)));
        let next = offers.filter(|(seat, (passed, _))| self.is_free(passed, seat.id)).map(|(seat, (_, at))| (at, seat.takes())).min();
        let (patience, commands, input) = (&self.shared.patience, &mut self.commands, self.input.as_mut().filter(|_| free));
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = in_vain(patience, next), if next.is_some() => Next::GiveUp,
                Some(command) = commands.recv() => Next::Command(command),
                () = sleep_until(next), if next.is_some() => Next::Again,
                decided = receive(input), if input.is_some() => Next::Input(decided),
                else => Next::Input(None),
            }
        })
    }

    /// Lets go of what waits: there is no time to offer it again.
    fn abandon(&mut self) {
        for seat in &mut self.seats {
            let traces = seat.abandon();
            if traces > 0 {
                tracing::warn!(filter = &*seat.status.name, traces, "traces that waited for the filter stay in the log");
            }
        }
    }
}

/// When something is to be offered again, and how long that may take.
type Offer = Option<(Instant, Duration)>;

/// Waits until it is known that there is no time for an offer.
async fn in_vain(patience: &Patience, offer: Offer) {
    if let Some((at, takes)) = offer {
        patience.ends_before(at + takes).await;
    }
}

async fn sleep_until(offer: Offer) {
    if let Some((at, _)) = offer {
        tokio::time::sleep_until(at.into()).await;
    }
}

async fn receive(input: Option<&mut mpsc::Receiver<Vec<Decided>>>) -> Option<Vec<Decided>> {
    input?.recv().await
}
