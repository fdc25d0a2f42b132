//! How many traces were decided, as counters of the plugin and as its report.

use std::collections::HashSet;

use meshtrace_plugin::metrics;
use serde::Serialize;

use crate::policies::Policies;
use crate::policy::Policy;
use crate::rule::Rule;

/// The most that the host takes as the name of a counter.
const MAX_NAME_BYTES: usize = 64;

/// What is counted beside the policies' own decisions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Traces that no policy sampled.
    pub not_sampled: u64,
    /// Late parts, which were passed.
    pub late_parts: u64,
}

/// The counters that the host shows, and what it has been told of each.
#[derive(Debug)]
pub struct Counters {
    names: Vec<String>,
    told: Vec<u64>,
    told_totals: Totals,
}

impl Counters {
    /// A counter per policy: `sampled_NAME`, or `dropped_NAME` for one that drops.
    #[must_use]
    pub fn new(policies: &Policies) -> Self {
        let mut taken = HashSet::new();
        let names: Vec<String> = policies.counts().map(|(policy, _)| name(policy, &mut taken)).collect();
        Counters {
            told: vec![0; names.len()],
            names,
            told_totals: Totals::default(),
        }
    }

    /// Tells the host what has changed.
    pub fn tell(&mut self, policies: &Policies, totals: Totals) {
        let told = self.names.iter().zip(&mut self.told);
        for ((name, told), (_, count)) in told.zip(policies.counts()) {
            tell(name, told, count);
        }
        tell("not_sampled", &mut self.told_totals.not_sampled, totals.not_sampled);
        tell("late_parts", &mut self.told_totals.late_parts, totals.late_parts);
    }
}

fn tell(name: &str, told: &mut u64, count: u64) {
    if *told != count {
        metrics::add(name, count - *told);
        *told = count;
    }
}

/// A counter's name made of a policy's: what is not allowed in it becomes `_`, what is too long is cut, and one that another
/// policy has already gets a number.
fn name(policy: &Policy, taken: &mut HashSet<String>) -> String {
    let verdict = if matches!(policy.rule, Rule::Drop(_)) { "dropped" } else { "sampled" };
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let full: String = verdict.chars().chain(['_']).chain(policy.name.chars().map(allowed)).collect();
    let numbered = |number: usize| {
        let suffix = if number == 1 { String::new() } else { format!("_{number}") };
        let kept = full.len().min(MAX_NAME_BYTES - suffix.len());
        format!("{}{suffix}", &full[..kept])
    };
    let mut number = 1;
    while !taken.insert(numbered(number)) {
        number += 1;
    }
    numbered(number)
}

/// The report's document.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    /// Those that drop first, else in the order of the config.
    pub policies: Vec<Row<'a>>,
    /// Traces that no policy sampled.
    pub not_sampled: u64,
    /// Late parts, which were passed.
    pub late_parts: u64,
}

/// A policy in the report.
#[derive(Debug, Serialize)]
pub struct Row<'a> {
    /// Its name in the config.
    pub name: &'a str,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// Traces that it was the one to decide on: the first to sample them, or the one to drop them.
    pub decided: u64,
}

impl<'a> Report<'a> {
    /// The report of these counts.
    #[must_use]
    pub fn new(policies: &'a Policies, totals: Totals) -> Self {
        let row = |(policy, decided): (&'a Policy, u64)| Row {
            name: &policy.name,
            kind: policy.kind,
            decided,
        };
        let Totals { not_sampled, late_parts } = totals;
        Report {
            policies: policies.counts().map(row).collect(),
            not_sampled,
            late_parts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn names(policies: &[(&str, &str)]) -> Vec<String> {
        let policy = |(name, kind): &(&str, &str)| match *kind {
            "drop" => format!(r#"{{"name":{name:?},"type":"drop","drop":{{"drop_sub_policy":[{{"type":"always_off"}}]}}}}"#),
            kind => format!(r#"{{"name":{name:?},"type":{kind:?}}}"#),
        };
        let list = policies.iter().map(policy).collect::<Vec<_>>().join(",");
        Counters::new(&Policies::new(Config::parse(&format!(r#"{{"policies":[{list}]}}"#)).unwrap())).names
    }

    #[test]
    fn counters_have_names_that_the_host_takes() {
        let long = "x".repeat(200);
        let found = names(&[("Slow-Errors é", "always_sample"), ("slow_errors__", "always_off"), (&long, "always_off"), ("a", "drop")]);
        let expected = ["dropped_a", "sampled_slow_errors__", "sampled_slow_errors___2", &format!("sampled_{}", "x".repeat(56))];
        assert_eq!(found, expected);
    }

    #[test]
    fn long_names_that_are_cut_alike_are_told_apart() {
        let long: Vec<String> = (0..12).map(|n| format!("{}{n}", "y".repeat(100))).collect();
        let found = names(&long.iter().map(|name| (&**name, "always_sample")).collect::<Vec<_>>());
        assert!(found.iter().all(|name| name.len() == MAX_NAME_BYTES));
        assert_eq!(found.iter().collect::<HashSet<_>>().len(), 12);
        assert!(found[11].ends_with("y_12"), "{}", found[11]);
    }
}
