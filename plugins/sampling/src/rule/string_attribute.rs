//! `string_attribute`: whether a text is one of a list, or matches one of a list of regular expressions.

mod cache;
mod re2;

use meshtrace_plugin::Value;
use regex::bytes::Regex;
use serde::Deserialize;

use crate::attribute::{Found, Key};
use crate::config::Block;
use crate::decision::{Decision, Input};
use cache::Cache;

/// Results that are remembered unless `cache_max_size` says otherwise.
const DEFAULT_CACHE: usize = 128;

/// More than this would take more memory than a plugin gets.
const MAX_CACHE: usize = 65_536;

/// Traces with an attribute that is a text, on a span or an agent, which matches.
#[derive(Debug)]
pub struct StringAttribute {
    key: Key,
    matcher: Matcher,
    invert: bool,
}

#[derive(Debug)]
enum Matcher {
    /// In order.
    Exact(Vec<String>),
    /// Found anywhere in the text.
    Regex(Vec<Regex>, Cache),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    key: String,
    values: Vec<String>,
    #[serde(default)]
    enabled_regex_matching: bool,
    /// Without regular expressions there is nothing to remember, and this has no meaning, as in the reference.
    #[serde(default)]
    cache_max_size: usize,
    #[serde(default)]
    invert_match: bool,
}

impl StringAttribute {
    pub(super) fn read(block: Block) -> Result<Self, String> {
        let Settings {
            key,
            mut values,
            enabled_regex_matching,
            cache_max_size,
            invert_match,
        } = block.settings()?;
        if values.is_empty() {
            return Err("values is empty; give at least one text".to_owned());
        }
        if cache_max_size > MAX_CACHE {
            return Err(format!("cache_max_size is {cache_max_size}; give at most {MAX_CACHE}, or 0 for {DEFAULT_CACHE}"));
        }
        let matcher = if enabled_regex_matching {
            let patterns = values.iter().map(|value| re2::compile(value).map_err(|error| format!("values: {value:?} {error}")));
            let size = if cache_max_size == 0 { DEFAULT_CACHE } else { cache_max_size };
            Matcher::Regex(patterns.collect::<Result<_, _>>()?, Cache::new(size))
        } else {
            values.sort_unstable();
            Matcher::Exact(values)
        };
        Ok(StringAttribute {
            key: Key::new(key)?,
            matcher,
            invert: invert_match,
        })
    }

    pub(super) fn evaluate(&mut self, input: &Input<'_>) -> Decision {
        let matcher = &mut self.matcher;
        // JSON is text too, to OTLP and so to the reference.
        let is_text = |value: Value<'_>| matches!(value, Value::Text(_) | Value::Json(_));
        Decision::sampled_if(self.key.any(&input.trace, is_text, |found| matcher.matches(found)) != self.invert)
    }
}

impl Matcher {
    fn matches(&mut self, found: Found<'_>) -> bool {
        match self {
            // An empty value matches nothing; an empty attribute of a span is as good as none, of an agent it is not.
            _ if found == Found::Span("") => false,
            Matcher::Exact(values) => !found.text().is_empty() && values.binary_search_by(|value| (**value).cmp(found.text())).is_ok(),
            Matcher::Regex(patterns, cache) => {
                let bytes = found.text().as_bytes();
                cache.get_or(found.text(), || patterns.iter().any(|pattern| pattern.is_match(bytes)))
            }
        }
    }
}

#[cfg(test)]
mod tests;
