//! What the tests of all rules need.

use std::time::Duration;

use meshtrace_plugin::testing::{TestResource, TestSpan, TestTrace, batch};
use meshtrace_plugin::{Batch, OwnedValue};
use serde_json::{Value, json};

use crate::config::Block;
use crate::decision::{Decision, Input};
use crate::policy::Policy;

/// A span of which nothing is known.
pub fn span() -> TestSpan {
    TestSpan::default()
}

fn owned(attributes: &[(&str, OwnedValue)]) -> Vec<(String, OwnedValue)> {
    attributes.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

/// A span with attributes.
pub fn with(attributes: &[(&str, OwnedValue)]) -> TestSpan {
    TestSpan { attributes: owned(attributes), ..span() }
}

/// A span of an agent with attributes.
pub fn of_agent(name: &str, attributes: &[(&str, OwnedValue)]) -> TestSpan {
    let resource = TestResource {
        attributes: owned(attributes),
        ..TestResource::default()
    };
    TestSpan {
        agent: name.to_owned(),
        resource,
        ..span()
    }
}

/// A policy's settings as they are read.
pub fn block(kind: &'static str, settings: &str) -> Block {
    Block::new(kind, Some(serde_json::from_str(settings).unwrap()), 0)
}

fn policy(kind: &str, settings: &str) -> Result<Policy, String> {
    let settings: Value = serde_json::from_str(settings).unwrap();
    Policy::read(json!({"name": "p", "type": kind, kind: settings}), "policies[0]", 0)
}

/// Why a policy of this type with these settings is refused.
pub fn refusal(kind: &str, settings: &str) -> String {
    let error = policy(kind, settings).unwrap_err();
    error.strip_prefix(&format!("policy \"p\" ({kind}): ")).unwrap_or_else(|| panic!("{error}")).to_owned()
}

/// Whether a policy samples a trace of these spans.
pub fn ask(kind: &str, settings: &str, spans: Vec<TestSpan>) -> bool {
    Asked::new(kind, settings).at(0, spans)
}

/// Whether a policy samples a trace with this id, 16 bytes of text that are taken as they are.
pub fn asked_of_id(kind: &str, settings: &str, id: &str) -> bool {
    assert_eq!(id.len(), 16);
    Asked::new(kind, settings).decide(
        0,
        TestTrace {
            id: id.to_owned(),
            spans: vec![span()],
            ..TestTrace::default()
        },
    ) == Decision::Sampled
}

/// A policy that is asked several times.
pub struct Asked(pub Policy);

impl Asked {
    /// A policy with these settings.
    pub fn new(kind: &str, settings: &str) -> Self {
        Asked(policy(kind, settings).unwrap())
    }

    /// Whether it samples a trace of these spans at this time.
    pub fn at(&mut self, ms: u64, spans: Vec<TestSpan>) -> bool {
        self.decide(ms, TestTrace { spans, ..TestTrace::default() }) == Decision::Sampled
    }

    /// Whether it samples a trace of this size in bytes at this time.
    pub fn sized(&mut self, ms: u64, bytes: u64) -> bool {
        self.decide(ms, sized(bytes)) == Decision::Sampled
    }

    /// What it says of a trace at this time.
    pub fn decide(&mut self, ms: u64, trace: TestTrace) -> Decision {
        let batch = batch(&[trace]);
        self.0.evaluate(&input(&batch, ms))
    }
}

/// A trace of one span and of this size in bytes, as [`input`] tells it.
pub fn sized(bytes: u64) -> TestTrace {
    let json = vec![b' '; usize::try_from(bytes).unwrap()];
    TestTrace {
        json,
        spans: vec![span()],
        ..TestTrace::default()
    }
}

/// The first trace of a batch at this time; its size is that of its JSON.
pub fn input(batch: &Batch, ms: u64) -> Input<'_> {
    Input {
        batch,
        trace: batch.trace(0).unwrap(),
        now: Duration::from_millis(ms),
        size_bytes: |batch, row| batch.trace(row).unwrap().json().len() as u64,
    }
}
