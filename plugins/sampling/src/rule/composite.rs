//! `composite`: policies in an order, each with a share of a rate of spans.

use std::collections::{HashMap, HashSet};

use meshtrace_plugin::{Level, log};
use serde::Deserialize;
use serde_json::Value;

use crate::config::Block;
use crate::decision::{Decision, Input};
use crate::policy::Policy;

/// The first policy that samples a trace decides on it: the trace is kept if its spans fit into the policy's share of this second
/// and into what all policies may keep together, and not kept otherwise, whatever the policies behind it would say.
#[derive(Debug)]
pub struct Composite {
    subs: Vec<Sub>,
    /// Spans per second that all may keep together.
    max_total: u64,
    /// Spans per second that no policy has for its own: those without a share use them together.
    rest: u64,
    /// The second of the clock that the counters are of.
    second: u64,
    used_total: u64,
    used_rest: u64,
    last_decided: usize,
}

#[derive(Debug)]
struct Sub {
    policy: Policy,
    /// Spans per second of its own; `None` for a policy that was allocated none.
    share: Option<u64>,
    used: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    max_total_spans_per_second: u64,
    #[serde(default)]
    policy_order: Vec<String>,
    composite_sub_policy: Vec<Value>,
    #[serde(default)]
    rate_allocation: Vec<Allocation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Allocation {
    policy: String,
    #[serde(default)]
    percent: u64,
}

impl Composite {
    pub(super) fn read(block: Block) -> Result<Self, String> {
        let inside = block.inside();
        let Settings {
            max_total_spans_per_second: max_total,
            policy_order,
            composite_sub_policy,
            rate_allocation,
        } = block.settings()?;
        if max_total == 0 {
            return Err("max_total_spans_per_second is 0; give 1 or more".to_owned());
        }
        let mut policies = inside.read_all("composite_sub_policy", composite_sub_policy)?;
        let mut names = HashSet::new();
        if let Some(twice) = policies.iter().find(|policy| !names.insert(&*policy.name)) {
            return Err(format!("composite_sub_policy has {:?} twice; give each a name of its own", twice.name));
        }
        let order = order(&policy_order, &names)?;
        let mut shares = shares(rate_allocation, max_total, &names)?;
        // Those that the order does not name come behind, as they are listed.
        policies.sort_by_key(|policy| order.get(&*policy.name).copied().unwrap_or(usize::MAX));
        let rest = max_total.saturating_sub(shares.values().fold(0, |sum, share| share.saturating_add(sum)));
        if let Some(policy) = policies.iter().find(|policy| rest == 0 && !shares.contains_key(&policy.name)) {
            log!(Level::Warning, "sub policy {:?} samples nothing: rate_allocation leaves no spans per second to it", policy.name);
        }
        let sub = |policy: Policy| Sub {
            share: shares.remove(&policy.name),
            policy,
            used: 0,
        };
        Ok(Composite {
            subs: policies.into_iter().map(sub).collect(),
            max_total,
            rest,
            second: 0,
            used_total: 0,
            used_rest: 0,
            last_decided: 0,
        })
    }

    pub(super) fn evaluate(&mut self, input: &Input<'_>) -> Decision {
        self.turn_to(input.now.as_secs());
        let Some(at) = self.subs.iter_mut().position(|sub| sub.policy.evaluate(input) == Decision::Sampled) else {
            return Decision::NotSampled;
        };
        self.last_decided = at;
        let spans = u64::from(input.trace.span_count());
        let sub = &mut self.subs[at];
        let (used, allowed) = match sub.share {
            Some(share) => (&mut sub.used, share),
            None => (&mut self.used_rest, self.rest),
        };
        let fits = spans <= allowed.saturating_sub(*used) && spans <= self.max_total.saturating_sub(self.used_total);
        if fits {
            *used += spans;
            self.used_total += spans;
        }
        Decision::sampled_if(fits)
    }

    /// Its policies, in the order in which they are asked.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.subs.iter().map(|sub| &sub.policy)
    }

    /// Which of its policies decided on the last trace that one of them sampled.
    #[must_use]
    pub fn last_decided(&self) -> usize {
        self.last_decided
    }

    fn turn_to(&mut self, second: u64) {
        if self.second == second {
            return;
        }
        self.second = second;
        self.used_total = 0;
        self.used_rest = 0;
        self.subs.iter_mut().for_each(|sub| sub.used = 0);
    }
}

/// The place of each policy that `policy_order` names.
fn order(listed: &[String], names: &HashSet<&str>) -> Result<HashMap<String, usize>, String> {
    let mut order = HashMap::new();
    for (at, name) in listed.iter().enumerate() {
        if !names.contains(&**name) {
            return Err(unknown("policy_order", name, names));
        }
        if order.insert(name.clone(), at).is_some() {
            return Err(format!("policy_order has {name:?} twice; name each policy once"));
        }
    }
    Ok(order)
}

/// Spans per second of each policy that `rate_allocation` names: a percentage of all, or without one an equal part.
fn shares(allocations: Vec<Allocation>, max_total: u64, names: &HashSet<&str>) -> Result<HashMap<String, u64>, String> {
    let mut shares = HashMap::new();
    for Allocation { policy, percent } in allocations {
        if !names.contains(&*policy) {
            return Err(unknown("rate_allocation", &policy, names));
        }
        let share = match percent {
            0 => max_total / names.len() as u64,
            1..=100 => (u128::from(max_total) * u128::from(percent) / 100) as u64,
            _ => return Err(format!("rate_allocation gives {policy:?} {percent} percent; give 0 to 100, 0 for an equal part")),
        };
        if shares.insert(policy.clone(), share).is_some() {
            return Err(format!("rate_allocation has {policy:?} twice; name each policy once"));
        }
    }
    Ok(shares)
}

fn unknown(key: &str, name: &str, names: &HashSet<&str>) -> String {
    let mut names: Vec<&str> = names.iter().copied().collect();
    names.sort_unstable();
    format!("{key} has {name:?}, which is not in composite_sub_policy; there are {}", names.join(", "))
}

#[cfg(test)]
mod tests;
