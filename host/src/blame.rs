//! Whose fault a failing call is: the trace's, or the plugin's, which fails whatever it is given.
//!
//! A trace is blamed by a witness only: a call with it alone failed, then a call without it worked, then a call with it alone failed again. What failed
//! while nothing else worked proves nothing, however often; nor does what worked before. So an outage of the plugin, whenever it begins, costs no trace.
//!
//! Where there is nothing else that could witness, one trace that fails alone is blamed after [`LONE_TRIES`] in [`LONE_TIME`], provided that the plugin
//! worked before; and then not another one until it works again.

use std::time::{Duration, Instant};

/// Calls with a trace alone that have to fail before it is blamed without a witness.
pub const LONE_TRIES: u32 = 5;
/// How long it has to fail before that.
pub const LONE_TIME: Duration = Duration::from_secs(15);

/// What one plugin in one place has shown.
#[derive(Debug, Default)]
pub struct Blame {
    /// Calls that worked.
    successes: u64,
    /// Whether one has worked since it was put there, or since a trace was last blamed without a witness.
    trusted: bool,
    /// Which of those that were put there one after another it is.
    tenant: u64,
}

/// A trace that made a call fail, alone.
#[derive(Debug, Clone)]
pub struct Suspicion {
    since: Instant,
    tries: u32,
    /// Calls that had worked by the first failure.
    successes: u64,
    tenant: u64,
}

/// Whether a trace is to blame.
#[derive(Debug)]
pub enum Judgement {
    /// It is.
    Guilty,
    /// That remains to be seen.
    Suspected(Suspicion),
}

impl Blame {
    /// A call worked.
    pub fn worked(&mut self) {
        self.successes += 1;
        self.trusted = true;
    }

    /// Another plugin is there now, which has yet to show that it works. What the one before failed with proves nothing about it.
    pub fn begin_anew(&mut self) {
        self.tenant += 1;
        self.trusted = false;
    }

    /// Calls that worked so far.
    pub fn successes(&self) -> u64 {
        self.successes
    }

    /// A call with one trace failed, at `now`. `suspicion` is what came of its earlier failures; `lone`: there is nothing else that could show whose
    /// fault it is.
    pub fn judge(&mut self, suspicion: Option<Suspicion>, lone: bool, now: Instant) -> Judgement {
        let first = || Suspicion {
            since: now,
            tries: 0,
            successes: self.successes,
            tenant: self.tenant,
        };
        let mut suspicion = suspicion.filter(|earlier| earlier.tenant == self.tenant).unwrap_or_else(first);
        suspicion.tries += 1;
        if self.successes > suspicion.successes {
            return Judgement::Guilty;
        }
        let long = suspicion.tries >= LONE_TRIES && now.saturating_duration_since(suspicion.since) >= LONE_TIME;
        if lone && long && std::mem::take(&mut self.trusted) {
            return Judgement::Guilty;
        }
        Judgement::Suspected(suspicion)
    }

    /// Whether another try would tell: a call has worked since the trace fell under suspicion, or another plugin is there.
    pub fn would_tell(&self, suspicion: &Suspicion) -> bool {
        self.tenant != suspicion.tenant || self.successes > suspicion.successes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Judges once; `None`: guilty.
    fn failed(blame: &mut Blame, earlier: Option<Suspicion>, lone: bool, now: Instant) -> Option<Suspicion> {
        match blame.judge(earlier, lone, now) {
            Judgement::Guilty => None,
            Judgement::Suspected(suspicion) => Some(suspicion),
        }
    }

    #[test]
    fn a_trace_is_blamed_when_it_fails_again_after_others_worked() {
        let (mut blame, now) = (Blame::default(), Instant::now());
        blame.worked();
        let mut suspicion = failed(&mut blame, None, false, now);
        assert!(suspicion.is_some(), "what worked before proves nothing");
        for _ in 0..100 {
            suspicion = failed(&mut blame, suspicion, false, now);
            assert!(suspicion.is_some(), "nor does failing again and again");
        }
        blame.worked();
        assert!(suspicion.as_ref().is_some_and(|suspicion| blame.would_tell(suspicion)));
        assert!(failed(&mut blame, suspicion, false, now).is_none());
    }

    #[test]
    fn a_lone_trace_is_blamed_in_time_if_the_plugin_worked_before() {
        let (mut blame, start) = (Blame::default(), Instant::now());
        let again = |blame: &mut Blame| {
            let mut suspicion = None;
            for second in 0..60 {
                suspicion = failed(blame, suspicion, true, start + Duration::from_secs(second));
                if suspicion.is_none() {
                    return Some(Duration::from_secs(second));
                }
            }
            None
        };
        assert_eq!(again(&mut blame), None, "it has yet to show that it works");
        blame.worked();
        assert_eq!(again(&mut blame), Some(LONE_TIME));
        assert_eq!(again(&mut blame), None, "one only: now it may be the plugin");
        blame.worked();
        assert_eq!(again(&mut blame), Some(LONE_TIME));
        let suspicion = failed(&mut blame, None, true, start);
        assert!(failed(&mut blame, suspicion, true, start + LONE_TIME * 9).is_some(), "seldom is not often");
    }

    #[test]
    fn what_one_plugin_failed_with_proves_nothing_about_the_next() {
        let (mut blame, now) = (Blame::default(), Instant::now());
        blame.worked();
        let suspicion = failed(&mut blame, None, false, now);
        blame.worked();
        blame.begin_anew();
        blame.worked();
        let suspicion = failed(&mut blame, suspicion, false, now);
        assert!(suspicion.is_some(), "it has failed once with this one");
        blame.worked();
        assert!(failed(&mut blame, suspicion, false, now).is_none());
    }
}
