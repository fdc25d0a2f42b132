//! What was given up, and how much of it is a dead letter by now.

use std::sync::atomic::Ordering;

use redis::Value;

use super::super::Shared;
use super::super::journal::Lines;
use super::super::reply::{EntryId, bytes, push};
use super::look::{PORTION_BYTES, PORTION_ENTRIES};
use crate::decode::{Fields, Told};
use crate::model::{Receipt, Trace};
use crate::source::{Batch, Fate, Settlement};

/// Entries that were given up together, on their way to the dead letters.
///
/// They go in portions of bounded size. Each portion is written and acknowledged in one step, and what follows stays pending: wherever that is cut off, no
/// entry is lost, and none is there twice. That the trace was decided is journalled with the first portion: from then on nobody has the whole trace any more,
/// and what is left of it is a late part, as its late spans are.
#[derive(Debug)]
pub struct GivenUp {
    /// Its receipts are those of the entries that have not been looked at yet.
    settlement: Settlement,
    /// Entries that the log has lost: accounts of the host's own stand in for them, behind all others.
    gone: Vec<Receipt>,
    /// What the entries that have been moved tell of the trace.
    told: Told,
    /// What they do not tell, as far as it has not been written. Known when no entries are left to be looked at.
    accounts: Vec<Fields>,
    /// Portions that were sent, and whose answer was lost. One of them may have been moved, but no two: each watches what the others change.
    sent: Vec<Portion>,
    /// How many entries there were.
    entries: usize,
}

/// What one transaction moves.
#[derive(Debug, Default)]
pub(super) struct Portion {
    /// By what Redis remembers it.
    pub name: String,
    /// So many of the entries that have not been looked at.
    pub entries: usize,
    /// Which of these the log has lost; in order.
    pub gone: Vec<usize>,
    /// Behind them, so many accounts.
    pub accounts: usize,
    /// With these, all is done.
    pub is_last: bool,
    told: Told,
}

impl From<Settlement> for GivenUp {
    fn from(settlement: Settlement) -> GivenUp {
        GivenUp {
            entries: settlement.receipts.list.len(),
            settlement,
            gone: Vec::new(),
            told: Told::default(),
            accounts: Vec::new(),
            sent: Vec::new(),
        }
    }
}

impl GivenUp {
    /// Under which leadership they were read.
    pub fn epoch(&self) -> u32 {
        self.settlement.receipts.epoch
    }

    /// What became of them.
    pub fn fate(&self) -> &Fate {
        &self.settlement.fate
    }

    /// Whether it is not known what became of a portion. Another one that is moved meanwhile would hide it.
    pub fn is_unsure(&self) -> bool {
        !self.sent.is_empty()
    }

    /// Entries that have not been acknowledged.
    pub fn left(&self) -> usize {
        self.settlement.receipts.list.len() + self.gone.len()
    }

    /// Bytes of the trace, and of what is known of it besides when a part has been moved.
    pub fn trace_bytes(&self) -> usize {
        let times = if self.left() < self.entries || !self.gone.is_empty() { 2 } else { 1 };
        trace_of(&self.settlement).map_or(0, Trace::bytes) * times
    }

    /// Lets go of the trace: of entries that the log has lost, nothing but their ids will be written.
    pub fn forget_trace(&mut self) {
        if let Fate::Dead { trace, .. } = &mut self.settlement.fate {
            *trace = None;
        }
        (self.told, self.accounts) = (Told::default(), Vec::new());
        self.settlement.receipts.list.append(&mut self.gone);
    }

    pub(super) fn receipts(&self) -> &[Receipt] {
        &self.settlement.receipts.list
    }

    /// A trace that nobody took was decided all the same: what comes late of it is no new trace.
    pub(super) fn lines(&self, shared: &Shared) -> Lines {
        let mut lines = Lines::default();
        self.settlement.receipts.mark.into_iter().for_each(|mark| lines.add(mark, false, shared.ahead_ms()));
        lines
    }

    /// What goes next, by the fields of the first entries that are left: of all of them, or of as many as fit.
    pub(super) fn portion(&mut self, found: &[Option<&[Value]>]) -> Portion {
        let name = self.name_of(found.len());
        let (list, trace) = (&self.settlement.receipts.list, trace_of(&self.settlement));
        let lost = |at: &usize| found[*at].is_none() && trace.is_some();
        let gone: Vec<usize> = (0..found.len()).filter(lost).collect();
        let mut portion = Portion {
            name,
            gone,
            entries: found.len(),
            ..Portion::default()
        };
        let ends = found.len() == list.len();
        let stands_in = !(portion.gone.is_empty() && self.gone.is_empty());
        if !list.is_empty() {
            self.accounts.clear();
        }
        if let Some(trace) = trace.filter(|_| !list.is_empty() && (stands_in || !ends)) {
            let mut batch = Batch::default();
            for (receipt, fields) in list.iter().zip(found) {
                push(&mut batch, EntryId::of_receipt(receipt), 0, fields.unwrap_or_default());
            }
            portion.told = self.told.clone();
            portion.told.add(&trace.id, batch);
            if ends {
                self.accounts = portion.told.missing(trace);
            }
        }
        if ends {
            let before = found.iter().flatten().map(|fields| size(fields.iter().filter_map(bytes).map(<[u8]>::len))).sum();
            portion.accounts = fitting(&self.accounts, before, found.len());
            portion.is_last = portion.accounts == self.accounts.len();
        }
        portion
    }

    /// No other portion has this name, of these entries or others that this leadership has read.
    fn name_of(&self, found: usize) -> String {
        let list = &self.settlement.receipts.list;
        let first = list.first().or(self.gone.first()).map(Receipt::to_string).unwrap_or_default();
        format!("{first} {} {}", list.len(), if list.is_empty() { self.accounts.len() } else { found })
    }

    /// The accounts that a portion has.
    pub(super) fn accounts_of(&self, portion: &Portion) -> &[Fields] {
        &self.accounts[..portion.accounts]
    }

    /// How many entries the log has lost, with those of a portion, for people.
    pub(super) fn lost(&self, portion: &Portion) -> String {
        format!("{} of {} entries had left the log", self.gone.len() + portion.gone.len(), self.entries)
    }

    /// What a portion acknowledges. Entries that accounts stand in for go with the last account.
    pub(super) fn acknowledged<'a>(&'a self, portion: &'a Portion) -> impl Iterator<Item = &'a Receipt> {
        let list = self.receipts()[..portion.entries].iter().enumerate();
        let own = list.filter(|(at, _)| portion.is_last || portion.gone.binary_search(at).is_err()).map(|(_, receipt)| receipt);
        own.chain(self.gone.iter().filter(|_| portion.is_last))
    }

    /// It is not known what became of this portion.
    pub(super) fn was_sent(&mut self, portion: Portion) {
        self.sent.retain(|sent| sent.name != portion.name);
        self.sent.push(portion);
    }

    /// The portion of those that were sent, if one was, that has been moved: Redis remembers its name.
    pub(super) fn moved_after_all(&mut self, name: Option<&str>) -> Option<Portion> {
        let at = self.sent.iter().position(|sent| Some(&*sent.name) == name)?;
        Some(self.sent.swap_remove(at))
    }

    /// This portion has been moved.
    pub(super) fn moved(&mut self, shared: &Shared, portion: Portion) {
        let before = self.left();
        let mut gone = Vec::new();
        for (at, receipt) in self.settlement.receipts.list.drain(..portion.entries).enumerate() {
            if portion.gone.binary_search(&at).is_ok() {
                gone.push(receipt);
            } else {
                shared.forget_unread(EntryId::of_receipt(&receipt));
            }
        }
        if portion.is_last {
            self.gone.clear();
        } else if trace_of(&self.settlement).is_some() {
            self.gone.append(&mut gone);
        } else {
            // The trace has been let go of since.
            self.settlement.receipts.list.append(&mut gone);
        }
        self.accounts.drain(..portion.accounts.min(self.accounts.len()));
        self.told = portion.told;
        self.settlement.receipts.mark = None;
        self.sent.clear();
        let count = (before - self.left()) as u64;
        shared.status.entries_dead.fetch_add(count, Ordering::Relaxed);
        shared.status.entries_acknowledged.fetch_add(count, Ordering::Relaxed);
    }
}

fn trace_of(settlement: &Settlement) -> Option<&Trace> {
    match &settlement.fate {
        Fate::Dead { trace, .. } => trace.as_deref(),
        Fate::Delivered | Fate::Dropped(_) => None,
    }
}

/// How many accounts fit behind what a portion has already: one at least, if that is nothing.
fn fitting(accounts: &[Fields], mut bytes: usize, entries: usize) -> usize {
    let fits = |(number, account): &(usize, &Fields)| {
        bytes += size(account.iter().flat_map(|(key, value)| [key.len(), value.len()]));
        entries + number == 0 || (bytes <= PORTION_BYTES && entries + number < PORTION_ENTRIES)
    };
    accounts.iter().enumerate().take_while(fits).count()
}

/// Bytes of keys and values of these lengths, with what goes with each.
fn size(texts: impl Iterator<Item = usize>) -> usize {
    texts.map(|length| length + 16).sum()
}
