//! The rules that policies go by, one file each, and reading them from the config.

mod boolean_attribute;
mod composite;
mod latency;
mod limiting;
mod nested;
mod numeric_attribute;
mod probabilistic;
mod span_count;
mod status_code;
mod string_attribute;
mod traceidratio;

pub use boolean_attribute::BooleanAttribute;
pub use composite::Composite;
pub use latency::Latency;
pub use limiting::{BytesLimiting, RateLimiting};
pub use nested::{And, Drop, Not};
pub use numeric_attribute::NumericAttribute;
pub use probabilistic::Probabilistic;
pub use span_count::SpanCount;
pub use status_code::StatusCode;
pub use string_attribute::StringAttribute;
pub use traceidratio::TraceIdRatio;

use crate::config::Block;
use crate::decision::{Decision, Input};

/// One rule, by the name that its type has in a config. Each is described in its file, and for operators in the README.
#[derive(Debug)]
pub enum Rule {
    AlwaysSample,
    AlwaysOff,
    TraceIdRatio(TraceIdRatio),
    Latency(Latency),
    NumericAttribute(NumericAttribute),
    StringAttribute(StringAttribute),
    BooleanAttribute(BooleanAttribute),
    StatusCode(StatusCode),
    Probabilistic(Probabilistic),
    RateLimiting(RateLimiting),
    BytesLimiting(BytesLimiting),
    SpanCount(SpanCount),
    And(And),
    Not(Not),
    Drop(Drop),
    Composite(Composite),
}

/// Every type, as it is written in a config.
pub const TYPES: [&str; 16] = [
    "always_sample",
    "always_off",
    "traceidratio",
    "latency",
    "numeric_attribute",
    "string_attribute",
    "boolean_attribute",
    "status_code",
    "probabilistic",
    "rate_limiting",
    "bytes_limiting",
    "span_count",
    "and",
    "not",
    "drop",
    "composite",
];

/// Types of the reference that are not for spans of MCP Mesh, and what to do instead.
pub const REFUSED: [(&str, &str); 3] = [
    ("trace_state", "spans of MCP Mesh carry no trace state, so it would never match; remove this policy"),
    ("trace_flags", "spans of MCP Mesh carry no trace flags, so it would never match; remove this policy"),
    ("ottl_condition", "conditions in OTTL are not known here; say it with string_attribute, numeric_attribute, status_code, and, not"),
];

/// Types that take no block of settings.
const WITHOUT_BLOCK: [&str; 2] = ["always_sample", "always_off"];

impl Rule {
    /// The rule of a type that is one of [`TYPES`].
    ///
    /// # Errors
    /// Says which setting is wrong, what was given and what is allowed.
    pub fn read(kind: &str, block: Block) -> Result<Self, String> {
        if WITHOUT_BLOCK.contains(&kind) {
            block.must_be_empty()?;
        }
        Ok(match kind {
            "always_sample" => Rule::AlwaysSample,
            "always_off" => Rule::AlwaysOff,
            "traceidratio" => Rule::TraceIdRatio(TraceIdRatio::read(block)?),
            "latency" => Rule::Latency(Latency::read(block)?),
            "numeric_attribute" => Rule::NumericAttribute(NumericAttribute::read(block)?),
            "string_attribute" => Rule::StringAttribute(StringAttribute::read(block)?),
            "boolean_attribute" => Rule::BooleanAttribute(BooleanAttribute::read(block)?),
            "status_code" => Rule::StatusCode(StatusCode::read(block)?),
            "probabilistic" => Rule::Probabilistic(Probabilistic::read(block)?),
            "rate_limiting" => Rule::RateLimiting(RateLimiting::read(block)?),
            "bytes_limiting" => Rule::BytesLimiting(BytesLimiting::read(block)?),
            "span_count" => Rule::SpanCount(SpanCount::read(block)?),
            "and" => Rule::And(And::read(block)?),
            "not" => Rule::Not(Not::read(block)?),
            "drop" => Rule::Drop(Drop::read(block)?),
            "composite" => Rule::Composite(Composite::read(block)?),
            other => return Err(format!("the type {other:?} has no rule")),
        })
    }

    /// What the rule says of a trace. Limits are used up by asking.
    pub fn evaluate(&mut self, input: &Input<'_>) -> Decision {
        match self {
            Rule::AlwaysSample => Decision::Sampled,
            Rule::AlwaysOff => Decision::NotSampled,
            Rule::TraceIdRatio(rule) => rule.evaluate(input),
            Rule::Latency(rule) => rule.evaluate(input),
            Rule::NumericAttribute(rule) => rule.evaluate(input),
            Rule::StringAttribute(rule) => rule.evaluate(input),
            Rule::BooleanAttribute(rule) => rule.evaluate(input),
            Rule::StatusCode(rule) => rule.evaluate(input),
            Rule::Probabilistic(rule) => rule.evaluate(input),
            Rule::RateLimiting(rule) => rule.evaluate(input),
            Rule::BytesLimiting(rule) => rule.evaluate(input),
            Rule::SpanCount(rule) => rule.evaluate(input),
            Rule::And(rule) => rule.evaluate(input),
            Rule::Not(rule) => rule.evaluate(input),
            Rule::Drop(rule) => rule.evaluate(input),
            Rule::Composite(rule) => rule.evaluate(input),
        }
    }

    /// Whether what it says of one trace changes what it says of the next. Such a rule is asked about every trace.
    #[must_use]
    pub fn is_stateful(&self) -> bool {
        match self {
            Rule::RateLimiting(_) | Rule::BytesLimiting(_) | Rule::Composite(_) => true,
            Rule::And(rule) => rule.is_stateful(),
            Rule::Not(rule) => rule.is_stateful(),
            Rule::Drop(rule) => rule.is_stateful(),
            _ => false,
        }
    }
}
