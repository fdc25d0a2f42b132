//! One name: what was seen of it, what was made of that, and what is to be done next. It decides, and does nothing itself.

use std::time::{Duration, Instant};

use crate::plugin::library::{Found, Source};
use crate::plugin::{Kind, Problem};

/// A state of a file is loaded when it has lasted this long.
pub(super) const SETTLES: Duration = Duration::from_millis(300);
/// What is gone is taken out when it has stayed away this long.
const GONE: Duration = Duration::from_secs(2);

/// What is to be done about a name.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// Nothing, until something changes.
    Nothing,
    /// It is to be looked at again soon.
    Wait,
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
    /// What is to be done about `found`, which defines this name now.
    pub fn look(&mut self, found: &Found, now: Instant) -> Step {
        self.gone_since = None;
        if self.busy {
            return Step::Nothing;
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
        if lasted < SETTLES && !found.is_older_than(SETTLES) { Step::Wait } else { Step::Load }
    }

    /// What is to be done while nothing defines this name.
    pub fn miss(&mut self, absence: Absence, now: Instant) -> Step {
        let Absence { meant, has_place } = absence;
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
        let since = *self.gone_since.get_or_insert(now);
        if now.duration_since(since) < GONE { Step::Wait } else { Step::TakeOut }
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
