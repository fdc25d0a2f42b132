//! One text redacted: a value, an error text, a name or a key.

use crate::config::Action;
use crate::json;
use crate::rules::{Plan, Rules, Spot, Whose};

/// JSON in texts of JSON in texts … is looked into this deep; further in it is text like any other.
const NESTED_JSON: u32 = 4;

/// What becomes of a text.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// It stays as it is.
    Same,
    /// The value goes.
    Remove,
    /// This text takes its place.
    Text(String),
    /// This JSON takes the place of JSON.
    Json(String),
}

/// How a text is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// Text that can be removed. When it looks like JSON, or may hold some, it is looked into as JSON.
    Text,
    /// A value that says that it is JSON.
    Json,
    /// An attribute's key: text that can be removed, and is no JSON.
    Key,
    /// A name, or a key in JSON: text that cannot be removed, and is no JSON.
    Name,
}

/// How many secrets were masked, hashed and removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// For which a mask stands.
    pub masked: u64,
    /// For which a hash stands.
    pub hashed: u64,
    /// That went with the value that held them.
    pub removed: u64,
}

impl Tally {
    /// Adds another's.
    pub fn add(&mut self, other: Tally) {
        self.masked += other.masked;
        self.hashed += other.hashed;
        self.removed += other.removed;
    }

    /// Counts one that was replaced.
    pub(crate) fn replaced(&mut self, action: Action) {
        match action {
            Action::Hash => self.hashed += 1,
            Action::Mask | Action::Remove => self.masked += 1,
        }
    }
}

/// What becomes of a text to which the rules of `plan` apply.
#[must_use]
pub fn redact(rules: &Rules, text: &str, plan: Plan, form: Form) -> (Fate, Tally) {
    let mut tally = Tally::default();
    let fate = redact_nested(rules, text, plan, form, 0, &mut tally);
    (fate, tally)
}

pub(crate) fn redact_nested(rules: &Rules, text: &str, plan: Plan, form: Form, depth: u32, tally: &mut Tally) -> Fate {
    if text.is_empty() || plan.is_empty() {
        return Fate::Same;
    }
    if let Some(rule) = rules.whole(plan, text) {
        return whole(rules, rule, text, form, tally);
    }
    if form == Form::Json || (form == Form::Text && depth < NESTED_JSON && looks_like_json(text)) {
        return json::redact(rules, text, plan, form, depth, tally);
    }
    plain(rules, text, plan, form, tally)
}

/// Whether a text may be JSON, or hold some: `upstream said {"pin": 1}` does.
#[must_use]
pub fn looks_like_json(text: &str) -> bool {
    text.trim_ascii_start().starts_with(['{', '[']) || text.contains('"')
}

/// A text that a rule takes as a whole.
fn whole(rules: &Rules, rule: usize, text: &str, form: Form, tally: &mut Tally) -> Fate {
    if rules.action(rule) == Action::Remove && form != Form::Name {
        tally.removed += 1;
        return Fate::Remove;
    }
    tally.replaced(rules.action(rule));
    Fate::Text(rules.substitute(rule, text))
}

/// A text in which the rules look for their patterns.
pub(crate) fn plain(rules: &Rules, text: &str, plan: Plan, form: Form, tally: &mut Tally) -> Fate {
    replaced(rules, text, &rules.spots(text, plan, Whose::All), form, tally)
}

/// A text without what was found in it.
pub(crate) fn replaced(rules: &Rules, text: &str, spots: &[Spot], form: Form, tally: &mut Tally) -> Fate {
    if spots.is_empty() {
        return Fate::Same;
    }
    if let Some(spot) = spots.iter().find(|spot| rules.action(spot.rule) == Action::Remove) {
        return whole(rules, spot.rule, text, form, tally);
    }
    let (mut redacted, mut done) = (String::with_capacity(text.len()), 0);
    for spot in spots {
        tally.replaced(rules.action(spot.rule));
        redacted.push_str(&text[done..spot.range.start]);
        redacted.push_str(&rules.substitute(spot.rule, &text[spot.range.clone()]));
        done = spot.range.end;
    }
    redacted.push_str(&text[done..]);
    Fate::Text(redacted)
}
