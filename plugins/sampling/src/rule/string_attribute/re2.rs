//! Regular expressions as Go's `regexp` package reads them (RE2 syntax), for the `regex` crate.
//!
//! The two are relatives, and most expressions mean the same to both. What does not is rewritten: to Go `\d`, `\s`, `\w` and `\b`
//! are about ASCII, `{` is a brace where it begins no repetition, `[`, `&&` and `~~` in a class are just characters, and `\Q…\E`
//! quotes. What Go refuses, `(?x)` or a back-reference, is refused here.

use std::iter::Peekable;
use std::str::Chars;

use regex::bytes::{Regex, RegexBuilder};

/// The most that Go lets a repetition count to.
const MAX_REPEAT: u32 = 1000;

/// POSIX classes, `[[:alpha:]]`, by the names that both know.
const POSIX: [&str; 14] =
    ["alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word", "xdigit"];

/// The expression, to be found anywhere in a text. It is one over bytes, as the ASCII `\B` may match inside of a character;
/// characters are matched as a whole nevertheless.
///
/// # Errors
/// Says what is wrong with it.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    let translated = Translator {
        rest: pattern.chars().peekable(),
        out: String::new(),
    }
    .translate()?;
    // Its own message shows the translated expression with a caret below; the last line says what is wrong.
    RegexBuilder::new(&translated).build().map_err(|error| {
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("is no regular expression: {reason}")
    })
}

struct Translator<'a> {
    rest: Peekable<Chars<'a>>,
    out: String,
}

impl Translator<'_> {
    fn translate(mut self) -> Result<String, String> {
        while let Some(c) = self.rest.next() {
            match c {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                '{' => self.brace()?,
                '}' => self.out.push_str("\\}"),
                c => self.out.push(c),
            }
        }
        Ok(self.out)
    }

    /// After a backslash outside of a class.
    fn escape(&mut self) -> Result<(), String> {
        match self.rest.peek().copied() {
            Some('Q') => {
                self.rest.next();
                self.quoted();
            }
            Some('b') => self.replace("(?-u:\\b)"),
            Some('B') => self.replace("(?-u:\\B)"),
            Some(c @ ('A' | 'z')) => self.replace(&format!("\\{c}")),
            _ => self.character_escape()?,
        }
        Ok(())
    }

    /// After a backslash, what is allowed inside of a class too.
    fn character_escape(&mut self) -> Result<(), String> {
        match self.rest.next() {
            Some('d') => self.out.push_str("[0-9]"),
            Some('D') => self.out.push_str("[^0-9]"),
            Some('s') => self.out.push_str(r"[\t\n\x0c\r\x20]"),
            Some('S') => self.out.push_str(r"[^\t\n\x0c\r\x20]"),
            Some('w') => self.out.push_str("[0-9A-Za-z_]"),
            Some('W') => self.out.push_str("[^0-9A-Za-z_]"),
            Some(c @ ('p' | 'P')) => self.property(c),
            Some('x') => self.hexadecimal(),
            Some(c @ ('a' | 'f' | 't' | 'n' | 'r' | 'v')) => self.out.extend(['\\', c]),
            Some(c @ '0'..='7') => self.octal(c)?,
            Some(c) if c.is_ascii() && !c.is_ascii_alphanumeric() => self.literal(c),
            Some(c) => return Err(format!("has an unknown escape, \\{c}")),
            None => return Err("ends with a backslash".to_owned()),
        }
        Ok(())
    }

    /// `\x41` or `\x{10ffff}`: both read them alike.
    fn hexadecimal(&mut self) {
        self.out.push_str("\\x");
        if self.rest.peek() == Some(&'{') {
            return self.through('}');
        }
        for _ in 0..2 {
            self.out.extend(self.rest.next_if(char::is_ascii_hexdigit));
        }
    }

    /// `\pL`, `\p{Greek}`, `\p{^Greek}`, which is `\P{Greek}`.
    fn property(&mut self, c: char) {
        if self.rest.next_if_eq(&'{').is_none() {
            self.out.extend(['\\', c]);
            return self.out.extend(self.rest.next());
        }
        let negated = self.rest.next_if_eq(&'^').is_some() != (c == 'P');
        self.out.push_str(if negated { "\\P{" } else { "\\p{" });
        self.through('}');
    }

    /// Everything up to and including `end`, as it is.
    fn through(&mut self, end: char) {
        for c in self.rest.by_ref() {
            self.out.push(c);
            if c == end {
                break;
            }
        }
    }

    /// `\123`: up to three octal digits. One from 1 to 7 alone would be a back-reference.
    fn octal(&mut self, first: char) -> Result<(), String> {
        let mut digits = String::from(first);
        while digits.len() < 3 {
            let Some(digit) = self.rest.next_if(|c| ('0'..='7').contains(c)) else { break };
            digits.push(digit);
        }
        if digits.len() == 1 && first != '0' {
            return Err(format!("has a back-reference, \\{first}; there are none in RE2"));
        }
        let code = u32::from_str_radix(&digits, 8).map_err(|error| format!("has \\{digits}: {error}"))?;
        self.out.push_str(&format!("\\x{{{code:x}}}"));
        Ok(())
    }

    /// Up to `\E` or the end, every character stands for itself.
    fn quoted(&mut self) {
        while let Some(c) = self.rest.next() {
            if c == '\\' && self.rest.next_if_eq(&'E').is_some() {
                return;
            }
            self.literal(c);
        }
    }

    /// After an opening parenthesis: only Go's flags and kinds of group.
    fn group(&mut self) -> Result<(), String> {
        self.out.push('(');
        if self.rest.next_if_eq(&'?').is_none() {
            return Ok(());
        }
        self.out.push('?');
        if let Some(c) = self.rest.next_if(|c| matches!(c, 'P' | '<')) {
            self.out.push(c);
            return match self.rest.peek() {
                Some('=' | '!') if c == '<' => Err("looks behind, (?<…; there is no such thing in RE2".to_owned()),
                _ => Ok(()),
            };
        }
        loop {
            match self.rest.next() {
                Some(c @ ('i' | 'm' | 's' | 'U' | '-')) => self.out.push(c),
                Some(c @ (':' | ')')) => {
                    self.out.push(c);
                    return Ok(());
                }
                Some(c) => return Err(format!("has an unknown group or flag, (?{c}; RE2 has the flags i, m, s and U")),
                None => return Err("ends inside of a group".to_owned()),
            }
        }
    }

    /// After an opening brace: a repetition, or else just a brace.
    fn brace(&mut self) -> Result<(), String> {
        let ahead: String = self.rest.clone().take_while(|c| *c != '}').collect();
        let closed = self.rest.clone().nth(ahead.chars().count()) == Some('}');
        let (low, high) = ahead.split_once(',').unwrap_or((&ahead, ""));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !closed || !is_number(low) || !(high.is_empty() || is_number(high)) {
            self.out.push_str("\\{");
            return Ok(());
        }
        for number in [low, high].into_iter().filter(|number| !number.is_empty()) {
            if !number.parse::<u32>().is_ok_and(|number| number <= MAX_REPEAT) {
                return Err(format!("repeats {number} times; at most {MAX_REPEAT} are allowed"));
            }
        }
        self.out.push_str(&format!("{{{ahead}}}"));
        for _ in ahead.chars().chain(['}']) {
            self.rest.next();
        }
        Ok(())
    }

    /// After an opening bracket.
    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if let Some(c) = self.rest.next_if_eq(&'^') {
            self.out.push(c);
        }
        let mut first = true;
        while first || self.rest.peek() != Some(&']') {
            first = false;
            let (c, next) = self.ahead();
            match (c, next) {
                (Some('['), Some(':')) => self.posix()?,
                (Some('\\'), Some('d' | 'D' | 's' | 'S' | 'w' | 'W' | 'p' | 'P')) => self.class_character()?,
                _ => self.class_range()?,
            }
        }
        self.rest.next();
        self.out.push(']');
        Ok(())
    }

    /// One character of a class, or two with a hyphen between them. A hyphen that is first, last or after a range is a character.
    fn class_range(&mut self) -> Result<(), String> {
        self.class_character()?;
        let (c, next) = self.ahead();
        if c == Some('-') && next.is_some_and(|next| next != ']') {
            self.rest.next();
            self.out.push('-');
            self.class_character()?;
        }
        Ok(())
    }

    fn class_character(&mut self) -> Result<(), String> {
        match self.rest.next() {
            Some('\\') => self.character_escape()?,
            Some(c) => self.literal(c),
            None => return Err("ends inside of a class, […".to_owned()),
        }
        Ok(())
    }

    /// The next two characters.
    fn ahead(&self) -> (Option<char>, Option<char>) {
        let mut ahead = self.rest.clone();
        (ahead.next(), ahead.next())
    }

    /// At the bracket of `[:alpha:]` in a class; without its end it is just a bracket.
    fn posix(&mut self) -> Result<(), String> {
        let ahead: String = self.rest.clone().skip(2).collect();
        let Some((name, _)) = ahead.split_once(":]") else {
            return self.class_range();
        };
        if !POSIX.contains(&name.trim_start_matches('^')) {
            return Err(format!("has an unknown class, [:{name}:]"));
        }
        self.out.push_str(&format!("[:{name}:]"));
        self.rest.nth(name.chars().count() + 3);
        Ok(())
    }

    fn replace(&mut self, with: &str) {
        self.rest.next();
        self.out.push_str(with);
    }

    /// A character that stands for itself, wherever it is.
    fn literal(&mut self, c: char) {
        // Letters and digits must not be escaped, all that has a meaning may be.
        if c.is_ascii_punctuation() && !matches!(c, '<' | '>' | '_') {
            self.out.push('\\');
        }
        self.out.push(c);
    }
}

#[cfg(test)]
mod tests;
