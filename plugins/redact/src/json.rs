//! JSON redacted in place: strings, numbers and keys one by one, and whole values of keys that a rule names. All else stays as
//! it was written, byte for byte, so nothing is lost of numbers that no parser holds.
//!
//! Text that breaks off, holds JSON among other words, or only looks like it, is looked into as far as it goes, and then searched as
//! text. Expressions of the operator's own see JSON as it is written, too: they may have been made from what was seen there.

use std::borrow::Cow;
use std::ops::Range;

use serde::de::IgnoredAny;
use serde_json::Value;

use crate::config::Action;
use crate::rules::{Plan, Rules, Whose};
use crate::text::{Fate, Form, Tally, plain, redact_nested, replaced};

/// What stands for a value that was removed.
const NOTHING: &str = "null";

/// What becomes of a text that is JSON, or looks like it.
pub(crate) fn redact(rules: &Rules, text: &str, plan: Plan, form: Form, depth: u32, tally: &mut Tally) -> Fate {
    let is_json = is_json(text);
    let mut walk = Walk {
        rules,
        text,
        is_json,
        depth,
        splices: Vec::new(),
        gone: false,
        tally: Tally::default(),
    };
    walk.values(0..text.len(), plan);
    tally.add(walk.tally);
    if walk.gone {
        return Fate::Remove;
    }
    let (walked, done) = walk.spliced();
    let mut spots = rules.spots(&walked, plan, if is_json { Whose::Own } else { Whose::All });
    // What has been replaced is not to be found again: a hash would be hashed.
    spots.retain(|spot| done.get(done.partition_point(|done| done.end < spot.range.end)).is_none_or(|done| spot.range.start < done.start));
    let redacted = match replaced(rules, &walked, &spots, Form::Text, tally) {
        Fate::Same if done.is_empty() => return Fate::Same,
        Fate::Same => walked,
        Fate::Remove => return Fate::Remove,
        Fate::Text(text) | Fate::Json(text) => text,
    };
    if form == Form::Json && is_json && self::is_json(&redacted) { Fate::Json(redacted) } else { Fate::Text(redacted) }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

struct Walk<'a> {
    rules: &'a Rules,
    text: &'a str,
    /// Whether it is JSON from end to end: then no other search comes after.
    is_json: bool,
    depth: u32,
    /// What takes which place, in order.
    splices: Vec<(Range<usize>, String)>,
    /// Whether a rule removes the text for what stands in it between quotes, and it is no JSON in which a part could go.
    gone: bool,
    tally: Tally,
}

impl Walk<'_> {
    /// Redacts the tokens of a range. Only a key to which other rules apply begins a range of its own, and no rule begins or ends to
    /// apply twice: recursion is as deep as twice the number of rules at most.
    fn values(&mut self, range: Range<usize>, plan: Plan) {
        let mut at = range.start;
        while let Some(token) = token(self.text, at..range.end) {
            at = token.range.end;
            match token.kind {
                Kind::String => match colon(self.text, at..range.end) {
                    Some(after) => at = self.member(token.range, after..range.end, plan),
                    None => self.string(token.range, plan),
                },
                // Among other words, quotes around what stands for it would be strange; the search of the text will find it.
                Kind::Number if self.is_json => {
                    let fate = plain(self.rules, &self.text[token.range.clone()], plan, Form::Text, &mut self.tally);
                    self.settle(token.range, fate);
                }
                Kind::Number | Kind::Open | Kind::Close | Kind::Other => {}
            }
        }
    }

    /// Redacts a key, and its value where that takes other rules than what is around. Answers where to go on.
    fn member(&mut self, key: Range<usize>, rest: Range<usize>, plan: Plan) -> usize {
        let name = decoded(&self.text[key.clone()]);
        let fate = redact_nested(self.rules, &name, plan, Form::Name, self.depth, &mut self.tally);
        self.settle(key, fate);
        let inside = plan.inside(self.rules.key_bits(&name));
        // Not for every key: values within values within values would be measured again and again.
        let value = if inside == plan { rest.start..rest.start } else { value(self.text, rest.clone()) };
        if value.is_empty() {
            return rest.start;
        }
        let written = &self.text[value.clone()];
        match self.rules.whole(inside, written) {
            None => self.values(value.clone(), inside),
            Some(_) if matches!(written, NOTHING | "\"\"") => {}
            Some(rule) => {
                let replacement = if self.rules.action(rule) == Action::Remove {
                    self.tally.removed += 1;
                    NOTHING.to_owned()
                } else {
                    self.tally.replaced(self.rules.action(rule));
                    encoded(self.rules.substitute(rule, &decoded(written)))
                };
                self.splices.push((value.clone(), replacement));
            }
        }
        value.end
    }

    fn string(&mut self, range: Range<usize>, plan: Plan) {
        let text = decoded(&self.text[range.clone()]);
        let fate = redact_nested(self.rules, &text, plan, Form::Text, self.depth + 1, &mut self.tally);
        self.settle(range, fate);
    }

    fn settle(&mut self, range: Range<usize>, fate: Fate) {
        match fate {
            Fate::Same => {}
            Fate::Remove if !self.is_json => self.gone = true,
            Fate::Remove => self.splices.push((range, NOTHING.to_owned())),
            Fate::Text(text) | Fate::Json(text) => self.splices.push((range, encoded(text))),
        }
    }

    /// The text with its splices, and where they are in it.
    fn spliced(&self) -> (String, Vec<Range<usize>>) {
        let (mut result, mut done, mut places) = (String::with_capacity(self.text.len()), 0, Vec::new());
        for (range, replacement) in &self.splices {
            result.push_str(&self.text[done..range.start]);
            places.push(result.len()..result.len() + replacement.len());
            result.push_str(replacement);
            done = range.end;
        }
        result.push_str(&self.text[done..]);
        (result, places)
    }
}

struct Token {
    kind: Kind,
    range: Range<usize>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    String,
    Number,
    Open,
    Close,
    /// Commas, colons, `true`, and whatever is no JSON.
    Other,
}

/// The first token of a range. Tokens begin and end beside ASCII characters or at the range's ends, so never inside a character.
fn token(text: &str, range: Range<usize>) -> Option<Token> {
    let bytes = &text.as_bytes()[range.clone()];
    let start = bytes.iter().position(|byte| !byte.is_ascii_whitespace())?;
    let (kind, length) = match bytes[start] {
        b'"' => (Kind::String, string_length(&bytes[start..])),
        b'{' | b'[' => (Kind::Open, 1),
        b'}' | b']' => (Kind::Close, 1),
        b',' | b':' => (Kind::Other, 1),
        first => {
            let ends = |byte: &u8| byte.is_ascii_whitespace() || b"\"{}[],:".contains(byte);
            let length = bytes[start..].iter().position(ends).unwrap_or(bytes.len() - start);
            (if first == b'-' || first.is_ascii_digit() { Kind::Number } else { Kind::Other }, length)
        }
    };
    let start = range.start + start;
    Some(Token { kind, range: start..start + length })
}

/// Bytes from a quote to the quote that ends it, or to the end.
fn string_length(bytes: &[u8]) -> usize {
    let mut escaped = false;
    for (at, byte) in bytes.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    bytes.len()
}

/// Where the text goes on after a colon, if one comes first.
fn colon(text: &str, range: Range<usize>) -> Option<usize> {
    token(text, range).filter(|token| &text[token.range.clone()] == ":").map(|token| token.range.end)
}

/// The first value of a range, objects and arrays with all that is in them; empty when there is none.
fn value(text: &str, range: Range<usize>) -> Range<usize> {
    let Some(first) = token(text, range.clone()) else { return range.end..range.end };
    let (start, mut end, mut open) = (first.range.start, first.range.end, usize::from(first.kind == Kind::Open));
    if matches!(first.kind, Kind::Close) || matches!(&text[first.range], "," | ":") {
        return start..start;
    }
    while open > 0 {
        match token(text, end..range.end) {
            None => return start..range.end,
            Some(token) => {
                end = token.range.end;
                match token.kind {
                    Kind::Open => open += 1,
                    Kind::Close => open -= 1,
                    _ => {}
                }
            }
        }
    }
    start..end
}

/// What a string says. One that broke off, or is none, says what is written.
fn decoded(token: &str) -> Cow<'_, str> {
    let Some(inner) = token.strip_prefix('"') else { return Cow::Borrowed(token) };
    let inner = if token.len() > 1 { inner.strip_suffix('"').unwrap_or(inner) } else { inner };
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    serde_json::from_str(&format!("\"{inner}\"")).map_or(Cow::Borrowed(inner), Cow::Owned)
}

fn encoded(text: String) -> String {
    Value::String(text).to_string()
}
