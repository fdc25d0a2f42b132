//! A filter's place in the row, which outlives the filter: what waits there waits for whichever comes next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Filter;
use super::flow::{BATCH_TRACES, Flow};
use super::status::FilterStatus;
use super::trial::Trial;
use crate::blame::Blame;
use crate::model::TraceId;
use crate::patience::PAUSE;

/// What happens to traces when their filter cannot decide on them: it fails, says that it cannot, or is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// They pass it undecided: those that it fails with, and all while it fails whatever it is given.
    #[default]
    Pass,
    /// Those that it fails with wait, and every batch behind them, until it decides or is replaced.
    Hold,
    /// Those that it fails with become dead letters, provided that it decides on others meanwhile; until that is known they wait.
    DeadLetter,
}

impl OnFailure {
    /// `pass`, `hold` or `dead-letter`.
    pub fn as_str(self) -> &'static str {
        match self {
            OnFailure::Pass => "pass",
            OnFailure::Hold => "hold",
            OnFailure::DeadLetter => "dead-letter",
        }
    }
}

/// A filter with its name and its place.
pub struct Slot {
    /// The plugin's name; one seat for each.
    pub name: String,
    /// Lower ones come first; of equal ones the name decides.
    pub order: i64,
    /// What happens to traces that it cannot decide on.
    pub on_failure: OnFailure,
    /// The filter, or why there is none: then its place is kept, and what comes there is treated as `on_failure` says.
    pub filter: Result<Box<dyn Filter>, String>,
    /// How long it waits for the end of a call, of whichever filter, before it is given up.
    pub within: Duration,
}

impl Slot {
    /// How long to wait where nobody knows how long calls may take.
    pub const WITHIN: Duration = Duration::from_secs(60);
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot")
            .field("name", &self.name)
            .field("order", &self.order)
            .field("on_failure", &self.on_failure)
            .finish_non_exhaustive()
    }
}

pub(super) struct Seat {
    /// Never given to another seat.
    pub id: u64,
    pub order: i64,
    pub on_failure: OnFailure,
    pub status: Arc<FilterStatus>,
    pub(super) filter: Result<Box<dyn Filter>, String>,
    /// What waits for it. Mostly one trial; several when filters were put or moved in between, as they have passed different ones.
    pub(super) held: VecDeque<Trial>,
    /// Whether what waits was only put aside for something short.
    pub(super) interrupted: bool,
    /// When it may be asked again; `None`: it is not known to fail.
    pub(super) retry_at: Option<Instant>,
    pub(super) pause: Duration,
    /// How long its last call took: another may take as long.
    pub(super) took: Duration,
    /// Whose fault its failures are.
    pub(super) blame: Blame,
}

impl Seat {
    pub fn new(id: u64, slot: Slot) -> Seat {
        let Slot { name, order, on_failure, filter, .. } = slot;
        let missing = filter.as_ref().err().cloned();
        Seat {
            id,
            order,
            on_failure,
            status: Arc::new(FilterStatus::new(name.into(), order, on_failure, missing)),
            filter,
            held: VecDeque::new(),
            interrupted: false,
            retry_at: None,
            pause: PAUSE.0,
            took: Duration::ZERO,
            blame: Blame::default(),
        }
    }

    /// Whether another batch may come here: nothing waits, or what waits needs others to show whose fault it is.
    pub fn has_room(&self) -> bool {
        let shows = self.on_failure == OnFailure::DeadLetter && self.filter.is_ok() && !self.interrupted;
        self.held.is_empty() || shows && self.held_traces() < BATCH_TRACES
    }

    fn held_traces(&self) -> usize {
        self.held.iter().map(|trial| trial.flow.rows.len()).sum()
    }

    /// Ids of traces that wait to be decided, late parts aside.
    pub fn undecided(&self) -> impl Iterator<Item = &TraceId> {
        let traces = self.held.iter().flat_map(|trial| trial.flow.batch.traces());
        traces.filter(|trace| trace.part == 0).map(|trace| &trace.id)
    }

    /// The seats that the first of what waits here has passed, and when it is to be offered again.
    pub fn waiting(&self) -> Option<(&[u64], Instant)> {
        Some((&self.held.front()?.flow.passed, self.retry_at?))
    }

    /// How long offering it again may take.
    pub fn takes(&self) -> Duration {
        self.took
    }

    /// Puts another filter here, which takes over what its predecessor had, or none.
    ///
    /// # Errors
    /// It did not take that over; the old one stays.
    pub fn replace(&mut self, slot: Slot) -> Result<(), String> {
        let begin = Instant::now();
        let Slot { order, on_failure, mut filter, .. } = slot;
        if let Ok(new) = &mut filter
            && let Some(state) = self.snapshot()
        {
            let name = &self.status.name;
            new.restore(&state)
                .map_err(|why| format!("the new {name:?} could not take over from the one that runs, which stays: {why}"))?;
        }
        let is_swap = filter.is_ok() && self.filter.is_ok();
        self.flush();
        (self.order, self.on_failure) = (order, on_failure);
        self.filter = filter;
        if is_swap {
            self.status.note_swap(begin.elapsed());
        }
        (self.pause, self.took, self.interrupted) = (PAUSE.0, Duration::ZERO, false);
        self.blame.begin_anew();
        // What waits is offered at once.
        self.held.iter_mut().for_each(Trial::begin_anew);
        self.retry_at = self.held.front().map(|_| Instant::now());
        let mut words = self.status.words();
        (words.order, words.on_failure, words.failing) = (order, on_failure, None);
        words.missing = self.filter.as_ref().err().cloned();
        if let Some(why) = words.missing.clone() {
            words.last_error = Some(why);
        }
        Ok(())
    }

    /// Takes the filter away, and gives back what waited for it.
    pub fn vacate(&mut self) -> impl Iterator<Item = Flow> {
        self.flush();
        self.filter = Err("it was removed".to_owned());
        self.held.drain(..).map(|trial| trial.flow)
    }

    /// Lets go of what waits; its entries stay with the log. Returns the number of traces.
    pub fn abandon(&mut self) -> usize {
        let traces = self.held_traces();
        self.held.clear();
        traces
    }

    /// The filter's report; `None` when it has none.
    pub fn report(&mut self) -> Result<Option<String>, String> {
        match &mut self.filter {
            Ok(filter) => filter.report(),
            Err(why) => Err(why.clone()),
        }
    }

    /// Has the filter write out what it holds back.
    pub fn flush(&mut self) {
        if let Ok(filter) = &mut self.filter
            && let Err(error) = filter.flush()
        {
            tracing::error!(filter = &*self.status.name, error, "flushing failed");
        }
    }

    fn snapshot(&mut self) -> Option<Vec<u8>> {
        let state = self.filter.as_mut().ok()?.snapshot();
        state.unwrap_or_else(|error| {
            // The more reason to replace it.
            tracing::warn!(filter = &*self.status.name, error, "the filter's state cannot be had; its successor begins anew");
            None
        })
    }
}
