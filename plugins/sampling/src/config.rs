//! The config that `init` takes: what the reference has under `tail_sampling`, as far as it is about policies.

use std::collections::HashSet;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::policy::Policy;

/// Each has a counter, of which a plugin has a bounded number.
const MAX_POLICIES: usize = 128;

/// What is wrong with a config that has no policies is best shown by one that has.
const EXAMPLE: &str = r#"{"policies":[{"name":"errors","type":"status_code","status_code":{"status_codes":["ERROR"]}}]}"#;

/// Settings of the reference that are not about policies, and where their matter is settled here.
const ELSEWHERE: [(&[&str], &str); 5] = [
    (
        &["decision_wait", "decision_wait_after_root_received"],
        "traces come here complete; how long they are waited for is set in the host by MESHTRACE_QUIET_PERIOD, TRACE_TIMEOUT and MESHTRACE_PARENT_WAIT",
    ),
    (
        &["num_traces", "expected_new_traces_per_sec", "block_on_overflow", "num_shards", "tail_storage"],
        "open traces are kept by the host; their bound is set there by MESHTRACE_MAX_OPEN_BYTES",
    ),
    (&["decision_cache"], "decisions are remembered by the host, and late spans follow them"),
    (
        &["maximum_trace_size_bytes"],
        "the host bounds traces by MESHTRACE_MAX_TRACE_BYTES; one that grows beyond is decided early there, and not dropped",
    ),
    (
        &["sampling_strategy", "drop_pending_traces_on_shutdown"],
        "traces are decided when they are complete, and none is dropped on shutdown",
    ),
];

/// The config.
#[derive(Debug)]
pub struct Config {
    /// In the order given.
    pub policies: Vec<Policy>,
    /// Whether the first policy that samples a trace ends its evaluation.
    pub sample_on_first_match: bool,
}

impl Config {
    /// Reads the config's JSON.
    ///
    /// # Errors
    /// Names the policy and the key, says what was given and what is allowed.
    pub fn parse(json: &str) -> Result<Self, String> {
        read(json).map_err(|error| format!("sampling config: {error}"))
    }
}

fn read(json: &str) -> Result<Config, String> {
    let value: Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let Value::Object(mut fields) = value else {
        return Err(format!("an object is expected, such as {EXAMPLE}"));
    };
    let policies = fields.remove("policies").ok_or_else(|| format!("policies is missing; give a list, such as {EXAMPLE}"))?;
    let sample_on_first_match = match fields.remove("sample_on_first_match") {
        None => false,
        Some(Value::Bool(value)) => value,
        Some(other) => return Err(format!("sample_on_first_match is {other}; give true or false")),
    };
    nothing_left(&fields)?;
    let Value::Array(policies) = policies else {
        return Err(format!("policies is {policies}; give a list, such as {EXAMPLE}"));
    };
    if policies.is_empty() {
        return Err("policies is empty, and would keep no trace; give a policy, or remove this filter".to_owned());
    }
    let policies = read_policies("policies", policies, 0)?;
    let mut names = HashSet::new();
    if let Some(twice) = policies.iter().find(|policy| !names.insert(&policy.name)) {
        return Err(format!("policy {:?} comes twice; give each a name of its own", twice.name));
    }
    Ok(Config { policies, sample_on_first_match })
}

fn nothing_left(fields: &Map<String, Value>) -> Result<(), String> {
    let Some(key) = fields.keys().next() else { return Ok(()) };
    match ELSEWHERE.iter().find(|(keys, _)| keys.contains(&&**key)) {
        Some((_, why)) => Err(format!("{key} is not a setting of this filter: {why}; remove it")),
        None => Err(format!("unknown key {key:?}; there are policies and sample_on_first_match")),
    }
}

/// The policies listed under `key`, which stand `depth` policies deep.
fn read_policies(key: &str, list: Vec<Value>, depth: usize) -> Result<Vec<Policy>, String> {
    if list.len() > MAX_POLICIES {
        return Err(format!("{key} has {} policies; give at most {MAX_POLICIES}", list.len()));
    }
    list.into_iter().enumerate().map(|(at, value)| Policy::read(value, &format!("{key}[{at}]"), depth)).collect()
}

/// The settings of one policy: what it has under the name of its type.
#[derive(Debug)]
pub struct Block {
    kind: &'static str,
    value: Option<Value>,
    depth: usize,
}

impl Block {
    /// The block of a policy that stands `depth` policies deep; `None` where it has none.
    #[must_use]
    pub fn new(kind: &'static str, value: Option<Value>, depth: usize) -> Self {
        Block { kind, value, depth }
    }

    /// The settings themselves.
    ///
    /// # Errors
    /// Says which is wrong, what was given and what is allowed.
    pub fn settings<T: DeserializeOwned>(self) -> Result<T, String> {
        let Some(value) = self.value else {
            return Err(format!("has no settings; give them in a block {}", self.kind));
        };
        serde_path_to_error::deserialize(value).map_err(|error| {
            let (path, reason) = (error.path().to_string(), error.inner().to_string());
            // These name the key themselves.
            let named = reason.starts_with("unknown field") || reason.starts_with("missing field");
            if path == "." || named { reason } else { format!("{path}: {reason}") }
        })
    }

    /// For types without settings.
    ///
    /// # Errors
    /// When there are some.
    pub fn must_be_empty(&self) -> Result<(), String> {
        match self.value {
            None => Ok(()),
            Some(_) => Err(format!("takes no settings; remove the block {}", self.kind)),
        }
    }

    /// Where policies inside of this one are read.
    #[must_use]
    pub fn inside(&self) -> Inside {
        Inside(self.depth + 1)
    }
}

/// How deep policies inside of another stand.
#[derive(Clone, Copy, Debug)]
pub struct Inside(usize);

impl Inside {
    /// The policies of a list, at least one.
    ///
    /// # Errors
    /// As [`Policy::read`].
    pub fn read_all(self, key: &str, list: Vec<Value>) -> Result<Vec<Policy>, String> {
        if list.is_empty() {
            return Err(format!("{key} is empty; give at least one policy"));
        }
        read_policies(key, list, self.0)
    }

    /// A single policy.
    ///
    /// # Errors
    /// As [`Policy::read`].
    pub fn read(self, key: &str, value: Value) -> Result<Policy, String> {
        Policy::read(value, key, self.0)
    }
}

#[cfg(test)]
mod tests;
