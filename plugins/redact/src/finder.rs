//! One expression or scan of a rule, ready to search.

use std::ops::Range;

use regex::{Regex, RegexBuilder};

use crate::config::RuleConfig;
use crate::ready::{self, Look};

/// Memory that one expression may take when compiled, and again that a search for it keeps.
const EXPRESSION_BYTES: usize = 1 << 20;

/// Finds what one pattern or expression describes.
pub(crate) struct Finder {
    search: Search,
    /// Whether it is the operator's own.
    pub(crate) own: bool,
    /// Whether keys may announce what it finds.
    pub(crate) announced: bool,
}

enum Search {
    Expression { regex: Regex, secrets: Vec<String>, accept: fn(&str) -> bool },
    Scan(fn(&str) -> Vec<Range<usize>>),
}

impl Finder {
    /// Calls `found` for each part of the text that is meant, in order.
    pub(crate) fn find(&self, text: &str, mut found: impl FnMut(Range<usize>)) {
        let (regex, secrets, accept) = match &self.search {
            Search::Scan(scan) => return scan(text).into_iter().for_each(found),
            Search::Expression { regex, secrets, accept } => (regex, secrets, accept),
        };
        for hit in regex.captures_iter(text) {
            let groups: Vec<_> = secrets.iter().filter_map(|name| hit.name(name)).filter(|group| !group.is_empty()).collect();
            // Without such groups, or when none took part: the whole.
            let parts = if groups.is_empty() { hit.get(0).into_iter().collect() } else { groups };
            parts.iter().filter(|part| !part.is_empty() && accept(part.as_str())).for_each(|part| found(part.range()));
        }
    }
}

/// The finders of one rule, each with the expression that stands for it in the set.
pub(crate) fn rule_finders(at: usize, rule: &RuleConfig) -> Result<Vec<(String, Finder)>, String> {
    let mut finders = Vec::new();
    for ready in rule.patterns.iter().flat_map(|name| ready::meant(name)) {
        let (expression, search, announced) = match ready.look {
            Look::Scan { hint, scan } => (hint, Search::Scan(scan), false),
            Look::Expression { expression, accept, announced } => (expression, search_for(expression, accept)?, announced),
        };
        finders.push((expression.to_owned(), Finder { search, own: false, announced }));
    }
    for (number, expression) in rule.regex.iter().enumerate() {
        let wrong = |why: String| format!("redact config: rules[{at}].regex[{number}] {expression:?}: {why}");
        let search = search_for(expression, |_| true).map_err(wrong)?;
        if matches!(&search, Search::Expression { regex, .. } if regex.is_match("")) {
            return Err(wrong("it matches the empty text, and so would every text; say what there must be at least".to_owned()));
        }
        finders.push((expression.clone(), Finder { search, own: true, announced: false }));
    }
    Ok(finders)
}

fn search_for(expression: &str, accept: fn(&str) -> bool) -> Result<Search, String> {
    let compiled = RegexBuilder::new(expression).size_limit(EXPRESSION_BYTES).dfa_size_limit(EXPRESSION_BYTES).build();
    let regex = compiled.map_err(|error| error.to_string())?;
    let secrets = regex.capture_names().flatten().filter(|name| name.starts_with("secret")).map(str::to_owned).collect();
    Ok(Search::Expression { regex, secrets, accept })
}
