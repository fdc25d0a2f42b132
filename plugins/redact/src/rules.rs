//! The rules, ready to be applied: expressions compiled, sets of rules as the bits of a word.

use std::ops::Range;

use regex::{RegexSet, RegexSetBuilder};

use crate::config::{Action, Config, DEFAULT_MASK, Place, RuleConfig};
use crate::finder::{Finder, rule_finders};
use crate::hash::Hasher;

/// What a key is followed by to see whether it announces a secret. No ready pattern finds anything in the value itself.
const ANNOUNCED: (&str, &str) = ("=", "xxxxxxxx");

/// Memory that all expressions together may take when compiled, and again that a search for all of them keeps.
const ALL_EXPRESSIONS_BYTES: usize = 16 << 20;

/// The rules of a config.
pub struct Rules {
    rules: Vec<Rule>,
    /// All expressions of all rules at once: most texts match none.
    any: RegexSet,
    /// Those expressions one by one, with the rule that each belongs to.
    finders: Vec<(usize, Finder)>,
    /// The rules that have expressions of the operator's own.
    own: u64,
    globs: RegexSet,
    /// What each glob does to a key that it fits.
    glob_bits: Vec<KeyBits>,
    /// Rules that look at any key, and at texts without one.
    keyless: u64,
    /// Rules that name no pattern: they take the whole value.
    whole: u64,
    /// Rules that look at attributes, at errors and at names.
    places: [u64; 3],
    hasher: Hasher,
}

struct Rule {
    action: Action,
    mask: String,
}

/// Whose expressions are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// All of them.
    All,
    /// Only the operator's own.
    Own,
}

/// Which rules apply somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    /// Those that apply.
    active: u64,
    /// Those that apply, or would inside of a key that they name.
    possible: u64,
    /// Those that apply and take the whole value, because its key announces a secret.
    announced: u64,
}

/// What a key means for the rules.
#[derive(Clone, Copy, Default)]
pub struct KeyBits {
    named: u64,
    excepted: u64,
    announced: u64,
}

/// A part of a text that a rule found.
#[derive(Debug, PartialEq)]
pub struct Spot {
    /// Where, in bytes.
    pub range: Range<usize>,
    /// The rule that says what is done.
    pub rule: usize,
}

impl Rules {
    /// Compiles the rules of a config.
    ///
    /// # Errors
    /// Says which expression is wrong, and why.
    pub fn new(config: &Config) -> Result<Self, String> {
        let (mut finders, mut sources, mut globs, mut glob_bits) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut keyless, mut whole, mut own, mut places) = (0, 0, 0, [0; 3]);
        for (at, rule) in config.rules.iter().enumerate() {
            let bit = 1 << at;
            rule.keys.iter().for_each(|glob| globs.push(glob_expression(glob)));
            glob_bits.resize(globs.len(), KeyBits { named: bit, ..KeyBits::default() });
            rule.except.iter().for_each(|glob| globs.push(glob_expression(glob)));
            glob_bits.resize(globs.len(), KeyBits { excepted: bit, ..KeyBits::default() });
            keyless |= if rule.keys.is_empty() { bit } else { 0 };
            whole |= if rule.patterns.is_empty() && rule.regex.is_empty() { bit } else { 0 };
            own |= if rule.regex.is_empty() { 0 } else { bit };
            rule.places.iter().for_each(|place| places[*place as usize] |= bit);
            for (source, finder) in rule_finders(at, rule)? {
                sources.push(source);
                finders.push((at, finder));
            }
        }
        Ok(Rules {
            rules: config.rules.iter().map(Rule::new).collect(),
            any: set(&sources)?,
            finders,
            own,
            globs: set(&globs)?,
            glob_bits,
            keyless,
            whole,
            places,
            hasher: Hasher::new(config.hash_key.as_deref())?,
        })
    }

    /// The rules that apply to a text in this place, outside of any key.
    #[must_use]
    pub fn plan(&self, place: Place) -> Plan {
        let possible = self.places[place as usize];
        Plan {
            active: possible & self.keyless,
            possible,
            announced: 0,
        }
    }

    /// What a key means for the rules.
    #[must_use]
    pub fn key_bits(&self, key: &str) -> KeyBits {
        let mut all = KeyBits::default();
        for glob in &self.globs.matches(key) {
            all.named |= self.glob_bits[glob].named;
            all.excepted |= self.glob_bits[glob].excepted;
        }
        let announcing: Vec<_> = self.finders.iter().filter(|(_, finder)| finder.announced).collect();
        if !announcing.is_empty() {
            let text = format!("{key}{}{}", ANNOUNCED.0, ANNOUNCED.1);
            let value = text.len() - ANNOUNCED.1.len();
            for (rule, finder) in announcing {
                finder.find(&text, |found| all.announced |= if found.end > value { 1 << rule } else { 0 });
            }
        }
        all
    }

    /// The rule that takes this value as a whole where `plan` applies: the first of those. `true` and its like are no secrets, unless
    /// a rule names their key.
    #[must_use]
    pub fn whole(&self, plan: Plan, value: &str) -> Option<usize> {
        let announced = if matches!(value, "true" | "false" | "null") { 0 } else { plan.announced };
        let rules = plan.active & (self.whole | announced);
        (rules != 0).then(|| rules.trailing_zeros() as usize)
    }

    /// Whether any rule takes values as a whole where `plan` applies.
    #[must_use]
    pub fn takes_whole(&self, plan: Plan) -> bool {
        plan.active & (self.whole | plan.announced) != 0
    }

    /// Whether no rule could find anything in this text, wherever it stands outside of keys and JSON.
    #[must_use]
    pub fn is_clean(&self, text: &str) -> bool {
        !self.any.is_match(text)
    }

    /// What the rules of `plan` find in a text, in order. What overlaps is one spot, and the first of its rules decides.
    #[must_use]
    pub fn spots(&self, text: &str, plan: Plan, whose: Whose) -> Vec<Spot> {
        let rules = plan.active & if whose == Whose::Own { self.own } else { !self.whole };
        if rules == 0 || self.is_clean(text) {
            return Vec::new();
        }
        let mut found = Vec::new();
        for expression in &self.any.matches(text) {
            let (rule, finder) = &self.finders[expression];
            if rules & 1 << rule != 0 && (finder.own || whose == Whose::All) {
                finder.find(text, |range| found.push(Spot { range, rule: *rule }));
            }
        }
        found.sort_by_key(|spot| (spot.range.start, spot.rule));
        let mut spots: Vec<Spot> = Vec::new();
        for spot in found {
            match spots.last_mut() {
                Some(last) if spot.range.start < last.range.end => {
                    last.range.end = last.range.end.max(spot.range.end);
                    last.rule = last.rule.min(spot.rule);
                }
                _ => spots.push(spot),
            }
        }
        spots
    }

    /// What a rule does.
    #[must_use]
    pub fn action(&self, rule: usize) -> Action {
        self.rules[rule].action
    }

    /// What stands for `text` after a rule; for a rule that removes, what stands where nothing can be removed.
    #[must_use]
    pub fn substitute(&self, rule: usize, text: &str) -> String {
        match self.rules[rule].action {
            Action::Hash => self.hasher.hash(text),
            Action::Mask | Action::Remove => self.rules[rule].mask.clone(),
        }
    }
}

impl Plan {
    /// The rules that apply inside of this key as well.
    #[must_use]
    pub fn inside(self, key: KeyBits) -> Self {
        let possible = self.possible & !key.excepted;
        let active = (self.active | key.named) & possible;
        Plan {
            active,
            possible,
            announced: key.announced & active,
        }
    }

    /// Whether nothing could ever apply.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.possible == 0
    }
}

impl Rule {
    fn new(config: &RuleConfig) -> Self {
        Rule {
            action: config.action,
            mask: config.mask.clone().unwrap_or_else(|| DEFAULT_MASK.to_owned()),
        }
    }
}

fn set(expressions: &[String]) -> Result<RegexSet, String> {
    let compiled = RegexSetBuilder::new(expressions).size_limit(ALL_EXPRESSIONS_BYTES).dfa_size_limit(ALL_EXPRESSIONS_BYTES).build();
    compiled.map_err(|error| format!("redact config: all patterns, regex and keys together: {error}"))
}

/// A glob as an expression: `*` is any text, `?` any character, upper and lower case are the same.
fn glob_expression(glob: &str) -> String {
    let mut expression = String::from("(?is)^");
    for c in glob.chars() {
        match c {
            '*' => expression.push_str(".*"),
            '?' => expression.push('.'),
            c => expression.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    expression + "$"
}
