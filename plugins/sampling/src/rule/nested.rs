//! `and`, `drop` and `not`: policies made of others.

use serde::Deserialize;
use serde_json::Value;

use crate::config::Block;
use crate::decision::{Decision, Input};
use crate::policy::Policy;

/// Traces that all of its policies sample. They are asked in order up to the first that does not: behind it, a limit is not used.
#[derive(Debug)]
pub struct And(Vec<Policy>);

/// Drops the traces that all of its policies sample, whatever other policies say. They are asked as for [`And`].
#[derive(Debug)]
pub struct Drop(Vec<Policy>);

/// Traces that its policy does not sample.
#[derive(Debug)]
pub struct Not(Box<Policy>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AndSettings {
    and_sub_policy: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DropSettings {
    drop_sub_policy: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NotSettings {
    not_sub_policy: Value,
}

impl And {
    pub(super) fn read(block: Block) -> Result<Self, String> {
        let inside = block.inside();
        let AndSettings { and_sub_policy } = block.settings()?;
        inside.read_all("and_sub_policy", and_sub_policy).map(And)
    }

    pub(super) fn evaluate(&mut self, input: &Input<'_>) -> Decision {
        Decision::sampled_if(all(&mut self.0, input))
    }

    pub(super) fn is_stateful(&self) -> bool {
        self.0.iter().any(|policy| policy.rule.is_stateful())
    }

    /// Its policies, in order.
    #[must_use]
    pub fn policies(&self) -> &[Policy] {
        &self.0
    }
}

impl Drop {
    pub(super) fn read(block: Block) -> Result<Self, String> {
        let inside = block.inside();
        let DropSettings { drop_sub_policy } = block.settings()?;
        inside.read_all("drop_sub_policy", drop_sub_policy).map(Drop)
    }

    pub(super) fn evaluate(&mut self, input: &Input<'_>) -> Decision {
        if all(&mut self.0, input) { Decision::Dropped } else { Decision::NotSampled }
    }

    pub(super) fn is_stateful(&self) -> bool {
        self.0.iter().any(|policy| policy.rule.is_stateful())
    }

    /// Its policies, in order.
    #[must_use]
    pub fn policies(&self) -> &[Policy] {
        &self.0
    }
}

impl Not {
    pub(super) fn read(block: Block) -> Result<Self, String> {
        let inside = block.inside();
        let NotSettings { not_sub_policy } = block.settings()?;
        Ok(Not(Box::new(inside.read("not_sub_policy", not_sub_policy)?)))
    }

    pub(super) fn evaluate(&mut self, input: &Input<'_>) -> Decision {
        Decision::sampled_if(self.0.evaluate(input) == Decision::NotSampled)
    }

    pub(super) fn is_stateful(&self) -> bool {
        self.0.rule.is_stateful()
    }

    /// Its policy.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.0
    }
}

fn all(policies: &mut [Policy], input: &Input<'_>) -> bool {
    policies.iter_mut().all(|policy| policy.evaluate(input) == Decision::Sampled)
}

#[cfg(test)]
mod tests;
