//! One name: what was seen of it, what was made of that, and what is to be done next. It decides, and does nothing itself.

use std::time::{Duration, Instant};

use crate::plugin::library::{Found, Source};
use crate::plugin::{Kind, Problem};

/// What is gone is taken out when it has stayed away this long.
const GONE: Duration = Duration::from_secs(2);
/// The same, when the directory was replaced, or lost all that it had at once: time enough to mount or copy it anew.
pub(super) const AWAY: Duration = Duration::from_secs(30);

/// What is to be done about a name.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// Nothing, until something changes.
    Nothing,
    /// It is to be looked at again soon.
    Wait,
    /// It is missing, and so may be the whole directory.
    Doubt,
    /// What was found is to be loaded.
    Load,
    /// The component of what runs is gone, for this reason; what runs runs on.
    Keep(String),
    /// That component is back as it was; before it went, this was wrong.
    Return(Option<Problem>),
    /// What runs is to be taken out, and so is a place that it left behind, if that is meant.
    TakeOut,
    /// There is nothing left to remember.
    Forget,
}

/// How a name is absent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Absence {
    /// The state of the directory.
    pub directory: u64,
    /// Its `.toml` is there and switches it off.
    pub meant: bool,
    /// A filter of this name has a place, whether it runs or not.
    pub has_place: bool,
}

/// One name.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// What was loaded last, or tried to.
    attempted: Option<Found>,
    /// What was seen last, and since when it has been so.
    seen: Option<(Found, Instant)>,
    /// Whether it is being loaded or taken out.
    busy: bool,
    running: Option<Kind>,
    /// The state of the directory in which it was there last, and since when it has been missing.
    seen_in: u64,
    gone_since: Option<Instant>,
    kept: Option<Kept>,
}

/// The component of what runs is gone.
#[derive(Debug)]
struct Kept {
    /// What was wrong before it went.
    before: Option<Problem>,
}

impl Slot {
    /// What is to be done about `found`, which defines this name now, in this state of the directory.
    pub fn look(&mut self, found: &Found, directory: u64, now: Instant) -> Step {
        if self.busy {
            return Step::Nothing;
        }
        if self.attempted.as_ref().is_some_and(|attempted| attempted.has_lost(found)) {
            // It would run on other terms, or something else would. Editors take a file away for a moment.
            let missed = self.missed(directory, now);
            if missed != Step::TakeOut {
                return missed;
            }
        } else {
            (self.gone_since, self.seen_in) = (None, directory);
        }
        if self.attempted.as_ref() == Some(found) {
            self.seen = None;
            return self.kept.take().map_or(Step::Nothing, |kept| Step::Return(kept.before));
        }
        if self.running.is_some()
            && let Source::Missing(why) = &found.source
        {
            return if self.kept.is_some() { Step::Nothing } else { Step::Keep(why.clone()) };
        }
        let lasted = match &self.seen {
            Some((seen, since)) if seen == found => now.duration_since(*since),
            _ => {
                self.seen = Some((found.clone(), now));
                Duration::ZERO
            }
        };
        if found.has_settled(lasted) { Step::Load } else { Step::Wait }
    }

    /// What is to be done while nothing defines this name.
    pub fn miss(&mut self, absence: Absence, now: Instant) -> Step {
        let Absence { directory, meant, has_place } = absence;
        let empty = self.attempted.is_none() && self.running.is_none();
        if self.busy {
            return Step::Nothing;
        }
        match (empty, has_place) {
            (true, false) => return Step::Forget,
            _ if meant => return Step::TakeOut,
            // The place is all that is left, and traces wait there.
            (true, true) => return Step::Nothing,
            (false, _) => {}
        }
        self.missed(directory, now)
    }

    /// It is missing. `TakeOut` when it has been so for long enough.
    fn missed(&mut self, directory: u64, now: Instant) -> Step {
        let missing = now.duration_since(*self.gone_since.get_or_insert(now));
        match self.seen_in == directory {
            true if missing < GONE => Step::Wait,
            false if missing < AWAY => Step::Doubt,
            _ => Step::TakeOut,
        }
    }

    /// Nobody can see whether it is there.
    pub fn overlook(&mut self) {
        self.gone_since = None;
    }

    /// It is being loaded as `found` defines it.
    pub fn begin(&mut self, found: Found) {
        (self.attempted, self.busy, self.kept, self.seen) = (Some(found), true, None, None);
    }

    /// It is being taken out. Returns what runs.
    pub fn end(&mut self) -> Option<Kind> {
        self.busy = true;
        self.running
    }

    /// Loading has come to this; `None`: it failed, and what ran before runs on.
    pub fn loaded(&mut self, running: Option<Kind>) {
        self.busy = false;
        self.running = running.or(self.running);
    }

    /// The component of what runs is gone; `before` was wrong until then.
    pub fn keep(&mut self, before: Option<Problem>) {
        self.kept = Some(Kept { before });
    }
}

#[cfg(test)]
mod tests;
