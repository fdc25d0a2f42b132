//! A policy: a rule with a name.

use crate::config::Block;
use crate::decision::{Decision, Input};
use crate::rule::{REFUSED, Rule, TYPES};
use serde_json::{Map, Value};

/// Longer names would fill logs and answers.
const MAX_NAME_BYTES: usize = 256;

/// Longer reasons, of policies with many others inside, are cut.
const MAX_REASON_BYTES: usize = 512;

/// How deep policies may be in one another.
const MAX_DEPTH: usize = 8;

/// Types that decide on a trace as a whole, and so are no part of another policy.
const ONLY_TOP: [&str; 2] = ["drop", "composite"];

/// A policy, at the top or inside of another.
#[derive(Debug)]
pub struct Policy {
    /// Its name in the config; of one inside of another that has none, its type.
    pub name: String,
    /// Its type, as written in the config.
    pub kind: &'static str,
    /// What it goes by.
    pub rule: Rule,
}

impl Policy {
    /// Reads a policy that stands `depth` policies deep, at the top for 0.
    ///
    /// # Errors
    /// Names the policy (`at` where it has no name) and says what is wrong, what was given and what is allowed.
    pub fn read(value: Value, at: &str, depth: usize) -> Result<Self, String> {
        let what = if depth == 0 { "policy" } else { "sub policy" };
        let Value::Object(mut fields) = value else {
            return Err(format!("{at}: a policy is an object with a name and a type, and not {value}"));
        };
        let name = name(fields.remove("name"), depth).map_err(|error| format!("{at}: {error}"))?;
        let label = name.as_ref().map_or_else(|| at.to_owned(), |name| format!("{what} {name:?}"));
        let kind = kind(fields.remove("type"), depth).map_err(|error| format!("{label}: {error}"))?;
        let label = format!("{label} ({kind})");
        let block = fields.remove(kind);
        nothing_left(&fields, kind).map_err(|error| format!("{label}: {error}"))?;
        let rule = Rule::read(kind, Block::new(kind, block, depth)).map_err(|error| format!("{label}: {error}"))?;
        Ok(Policy {
            name: name.unwrap_or_else(|| kind.to_owned()),
            kind,
            rule,
        })
    }

    /// What it says of a trace. Limits are used up by asking.
    pub fn evaluate(&mut self, input: &Input<'_>) -> Decision {
        self.rule.evaluate(input)
    }

    /// The reasons that it can have, for people: of a composite policy one for each sub policy, of others one.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        let with = |inside: &str| short(format!("{} ({inside})", self.name));
        match &self.rule {
            Rule::And(rule) => vec![with(&all_of(rule.policies()))],
            Rule::Drop(rule) => vec![with(&all_of(rule.policies()))],
            Rule::Not(rule) => vec![with(&format!("not {}", rule.policy().name))],
            Rule::Composite(rule) => rule.policies().map(|sub| with(&sub.name)).collect(),
            _ => vec![self.name.clone()],
        }
    }

    /// Which of its reasons the last decision had.
    #[must_use]
    pub fn last_reason(&self) -> usize {
        if let Rule::Composite(rule) = &self.rule { rule.last_decided() } else { 0 }
    }
}

fn short(mut reason: String) -> String {
    if reason.len() > MAX_REASON_BYTES {
        reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
        reason.push('…');
    }
    reason
}

fn all_of(policies: &[Policy]) -> String {
    policies.iter().map(|policy| &*policy.name).collect::<Vec<_>>().join(" and ")
}

/// The name, which a policy inside of another may lack, as in the reference.
fn name(value: Option<Value>, depth: usize) -> Result<Option<String>, String> {
    match value {
        Some(Value::String(name)) if name.is_empty() => Err("name is empty; give a name that says what the policy is for".to_owned()),
        Some(Value::String(name)) if name.len() > MAX_NAME_BYTES => {
            Err(format!("name has {} bytes; give at most {MAX_NAME_BYTES}", name.len()))
        }
        Some(Value::String(name)) => Ok(Some(name)),
        None if depth > 0 => Ok(None),
        None => Err("has no name; give a name that says what the policy is for".to_owned()),
        Some(other) => Err(format!("name is {other}; give a text")),
    }
}

fn kind(value: Option<Value>, depth: usize) -> Result<&'static str, String> {
    let given = match value {
        Some(Value::String(kind)) => kind,
        None => return Err(format!("has no type; give one of {}", TYPES.join(", "))),
        Some(other) => return Err(format!("type is {other}; give one of {}", TYPES.join(", "))),
    };
    if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| *refused == given) {
        return Err(format!("type {given} is not supported: {why}"));
    }
    let Some(kind) = TYPES.into_iter().find(|kind| **kind == given) else {
        return Err(format!("type is {given:?}; give one of {}", TYPES.join(", ")));
    };
    if depth > 0 && ONLY_TOP.contains(&kind) {
        return Err(format!("a {kind} policy is not allowed inside of another; list it in policies"));
    }
    if depth > MAX_DEPTH {
        return Err(format!("is more than {MAX_DEPTH} policies deep; make it flatter"));
    }
    Ok(kind)
}

/// Besides name and type, a policy has the block that is named like its type and nothing else.
fn nothing_left(fields: &Map<String, Value>, kind: &str) -> Result<(), String> {
    let Some(key) = fields.keys().next() else { return Ok(()) };
    if TYPES.contains(&&**key) {
        return Err(format!("has a block {key}, but its type is {kind}; change one of them"));
    }
    Err(format!("unknown key {key:?}; a policy has name, type and a block that is named like its type"))
}
