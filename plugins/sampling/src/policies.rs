//! All policies of a config, and the decision that they come to.

use crate::config::Config;
use crate::decision::{Decision, Input};
use crate::policy::Policy;
use crate::rule::Rule;

/// All policies, those that drop first, else in the order of the config.
#[derive(Debug)]
pub struct Policies {
    entries: Vec<Entry>,
    /// Every reason, in the order of the entries; made once, so that deciding makes no text.
    reasons: Vec<String>,
    sample_on_first_match: bool,
}

#[derive(Debug)]
struct Entry {
    policy: Policy,
    stateful: bool,
    /// Its first reason.
    reason: usize,
    decided: u64,
}

/// What becomes of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// A policy samples it; the reason names the first that does.
    Kept(&'a str),
    /// A policy drops it; the reason names it.
    Dropped(&'a str),
    /// No policy samples it.
    NotSampled,
}

impl Policies {
    /// The policies of a config.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let Config { policies, sample_on_first_match } = config;
        let (first, then): (Vec<_>, Vec<_>) = policies.into_iter().partition(|policy| matches!(policy.rule, Rule::Drop(_)));
        let mut reasons = Vec::new();
        let entry = |policy: Policy| {
            let reason = reasons.len();
            reasons.extend(policy.reasons());
            Entry {
                stateful: policy.rule.is_stateful(),
                policy,
                reason,
                decided: 0,
            }
        };
        let entries = first.into_iter().chain(then).map(entry).collect();
        Policies { entries, reasons, sample_on_first_match }
    }

    /// Whether a decision depends on the time.
    #[must_use]
    pub fn is_stateful(&self) -> bool {
        self.entries.iter().any(|entry| entry.stateful)
    }

    /// Decides on a trace: dropped if a policy drops it, else kept if one samples it.
    ///
    /// In the reference every policy is asked about every trace. Here one that could not change the decision is not, unless it
    /// has a limit: a trace that another policy keeps uses it up all the same, as it does there.
    pub fn decide(&mut self, input: &Input<'_>) -> Outcome<'_> {
        let mut kept = None;
        for (at, entry) in self.entries.iter_mut().enumerate() {
            if kept.is_some() && !entry.stateful {
                continue;
            }
            match entry.policy.evaluate(input) {
                Decision::NotSampled => {}
                Decision::Sampled if kept.is_some() => {}
                Decision::Sampled => {
                    kept = Some((at, entry.reason + entry.policy.last_reason()));
                    if self.sample_on_first_match {
                        break;
                    }
                }
                Decision::Dropped => {
                    entry.decided += 1;
                    return Outcome::Dropped(&self.reasons[entry.reason]);
                }
            }
        }
        let Some((at, reason)) = kept else { return Outcome::NotSampled };
        self.entries[at].decided += 1;
        Outcome::Kept(&self.reasons[reason])
    }

    /// Each policy, and how many traces it was the one to decide on.
    pub fn counts(&self) -> impl Iterator<Item = (&Policy, u64)> {
        self.entries.iter().map(|entry| (&entry.policy, entry.decided))
    }
}

#[cfg(test)]
mod tests;
