//! Every distinct string of a batch once.

use std::collections::HashMap;

use ahash::RandomState;
use hashbrown::HashTable;

use crate::model::{Key, Name, Text};

/// The string table of a batch. Index 0 is the absent string.
#[derive(Debug, Default)]
pub struct Strings {
    /// All strings after another, UTF-8.
    blob: Vec<u8>,
    /// Where each ends in `blob`.
    ends: Vec<u32>,
    /// Number of strings up to the end of each section: trace columns, span columns, attributes.
    pub sections: [u32; 3],
}

impl Strings {
    /// Number of strings.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether the table has no string, not even the absent one.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Strings `start` … `end` - 1 as one text, and the end of each in it. `None` when there are no such strings.
    pub fn text(&self, start: u32, end: u32) -> Option<(Vec<u8>, Vec<u32>)> {
        let (start, end) = self.range(start, end)?;
        let from = self.start_of(start);
        let to = if end == 0 { 0 } else { self.ends[end - 1] as usize };
        let ends = self.ends[start..end].iter().map(|at| at - from as u32).collect();
        Some((self.blob.get(from..to.max(from))?.to_vec(), ends))
    }

    /// Strings `start` … `end` - 1. `None` when there are no such strings.
    pub fn list(&self, start: u32, end: u32) -> Option<Vec<String>> {
        let (start, end) = self.range(start, end)?;
        Some((start..end).map(|at| self.get(at).to_owned()).collect())
    }

    /// String `at`; the absent string when there is none.
    pub fn get(&self, at: usize) -> &str {
        std::str::from_utf8(self.bytes(at)).unwrap_or_default()
    }

    fn bytes(&self, at: usize) -> &[u8] {
        let Some(end) = self.ends.get(at) else { return &[] };
        self.blob.get(self.start_of(at)..*end as usize).unwrap_or_default()
    }

    fn range(&self, start: u32, end: u32) -> Option<(usize, usize)> {
        let (start, end) = (start as usize, end as usize);
        (start <= end && end <= self.ends.len()).then_some((start, end))
    }

    fn start_of(&self, at: usize) -> usize {
        if at == 0 { 0 } else { self.ends[at - 1] as usize }
    }
}

/// Fills a [`Strings`]. Texts are looked for where they end up: none is held besides.
pub(super) struct StringsBuilder {
    strings: Strings,
    by_name: HashMap<u32, u32, RandomState>,
    by_text: HashTable<u32>,
    hasher: RandomState,
}

impl StringsBuilder {
    /// With room for about so many strings.
    pub fn with_capacity(strings: usize) -> StringsBuilder {
        StringsBuilder {
            strings: Strings { ends: vec![0], ..Strings::default() },
            by_name: HashMap::default(),
            by_text: HashTable::with_capacity(strings),
            hasher: RandomState::new(),
        }
    }

    /// The index of a text of the model; 0 when absent.
    pub fn text(&mut self, text: &Text) -> u32 {
        match text {
            Text::Name(None) => 0,
            Text::Name(Some(name)) => self.name(*name),
            Text::Own(text) => self.present(text),
        }
    }

    /// The index of an attribute's key.
    pub fn key(&mut self, key: Key<'_>) -> u32 {
        match key {
            Key::Name(name) => self.name(name),
            Key::Text(text) => self.present(text),
        }
    }

    fn name(&mut self, name: Name) -> u32 {
        if let Some(index) = self.by_name.get(&name.index()) {
            return *index;
        }
        let index = self.present(name.as_str());
        self.by_name.insert(name.index(), index);
        index
    }

    /// The index of a text that is there, though it may be empty.
    pub fn present(&mut self, text: &str) -> u32 {
        let hash = self.hasher.hash_one(text.as_bytes());
        let strings = &mut self.strings;
        if let Some(index) = self.by_text.find(hash, |index| strings.bytes(*index as usize) == text.as_bytes()) {
            return *index;
        }
        let index = strings.ends.len() as u32;
        strings.blob.extend_from_slice(text.as_bytes());
        strings.ends.push(strings.blob.len() as u32);
        self.by_text.insert_unique(hash, index, |index| self.hasher.hash_one(strings.bytes(*index as usize)));
        index
    }

    /// Ends section `section`, 0 … 2.
    pub fn end_section(&mut self, section: usize) {
        self.strings.sections[section] = self.strings.ends.len() as u32;
    }

    pub fn finish(self) -> Strings {
        self.strings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_string_is_there_once_and_the_empty_one_is_not_the_absent_one() {
        let mut builder = StringsBuilder::with_capacity(0);
        let (own, name) = (Text::own("same"), Text::Name(Name::intern("same")));
        assert_eq!(builder.text(&own), builder.text(&name));
        assert_eq!(builder.text(&Text::ABSENT), 0);
        let empty = builder.present("");
        assert_ne!(empty, 0);
        builder.end_section(0);
        let strings = builder.finish();
        assert_eq!(strings.len(), 3);
        assert_eq!(strings.list(0, 3), Some(vec![String::new(), "same".into(), String::new()]));
        assert_eq!(strings.text(1, 3), Some((b"same".to_vec(), vec![4, 4])));
        assert_eq!(strings.text(0, 0), Some((Vec::new(), Vec::new())));
        assert_eq!(strings.text(2, 1), None);
        assert_eq!(strings.list(0, 4), None);
    }
}
