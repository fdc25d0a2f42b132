//! The string table of a batch: three sections, each one text and the ends of its strings.

use std::cell::OnceCell;

/// The string table, a section at a time as it is needed.
#[derive(Default)]
pub(crate) struct Strings {
    bounds: OnceCell<[u32; 3]>,
    sections: [OnceCell<Section>; 3],
}

/// One section: strings `first`, `first + 1` …, as one text.
#[derive(Default)]
pub(crate) struct Section {
    first: u32,
    text: String,
    ends: Vec<u32>,
}

impl Strings {
    /// A table that is there already, for tests.
    pub(crate) fn filled(texts: &[String]) -> Self {
        let mut section = Section::default();
        for text in texts {
            section.text.push_str(text);
            section.ends.push(u32::try_from(section.text.len()).unwrap_or(u32::MAX));
        }
        let count = u32::try_from(texts.len()).unwrap_or(u32::MAX);
        Strings {
            bounds: OnceCell::from([count; 3]),
            sections: [OnceCell::from(section), OnceCell::new(), OnceCell::new()],
        }
    }

    /// Number of strings.
    pub(crate) fn count(&self) -> u32 {
        self.bounds.get_or_init(fetch_bounds)[2]
    }

    /// The string at `index`; empty for an index that the table does not have.
    pub(crate) fn get(&self, index: u32) -> &str {
        if index == 0 {
            return "";
        }
        let bounds = self.bounds.get_or_init(fetch_bounds);
        match bounds.iter().position(|end| index < *end) {
            Some(number) => self.section(bounds, number).get(index),
            None => "",
        }
    }

    fn section(&self, bounds: &[u32; 3], number: usize) -> &Section {
        self.sections[number].get_or_init(|| {
            let first = if number == 0 { 0 } else { bounds[number - 1] };
            let (text, ends) = fetch_text(first, bounds[number]);
            Section::new(first, text, ends)
        })
    }
}

impl Section {
    /// The contract promises UTF-8; bytes that are not become replacement characters, string by string, as ends would
    /// otherwise shift.
    fn new(first: u32, text: Vec<u8>, mut ends: Vec<u32>) -> Self {
        let text = String::from_utf8(text).unwrap_or_else(|broken| {
            let bytes = broken.as_bytes();
            let (mut repaired, mut begin) = (String::new(), 0);
            for end in &mut ends {
                let stop = (*end as usize).clamp(begin, bytes.len());
                repaired.push_str(&String::from_utf8_lossy(&bytes[begin..stop]));
                (begin, *end) = (stop, u32::try_from(repaired.len()).unwrap_or(u32::MAX));
            }
            repaired
        });
        Section { first, text, ends }
    }

    fn get(&self, index: u32) -> &str {
        let Some(row) = index.checked_sub(self.first).map(|row| row as usize) else { return "" };
        let begin = if row == 0 { Some(&0) } else { self.ends.get(row - 1) };
        match (begin, self.ends.get(row)) {
            // `get`, not indexing: an end inside a character is the host's fault, and no reason to panic.
            (Some(begin), Some(end)) => self.text.get(*begin as usize..*end as usize).unwrap_or(""),
            _ => "",
        }
    }
}

#[cfg(target_family = "wasm")]
fn fetch_bounds() -> [u32; 3] {
    let ends = crate::glue::exporter::meshtrace::plugin::strings::sections();
    [ends.traces, ends.spans, ends.attributes]
}

#[cfg(target_family = "wasm")]
fn fetch_text(start: u32, end: u32) -> (Vec<u8>, Vec<u32>) {
    let texts = crate::glue::exporter::meshtrace::plugin::strings::joined(start, end);
    (texts.utf8, texts.ends)
}

#[cfg(not(target_family = "wasm"))]
fn fetch_bounds() -> [u32; 3] {
    [0; 3]
}

#[cfg(not(target_family = "wasm"))]
fn fetch_text(_start: u32, _end: u32) -> (Vec<u8>, Vec<u32>) {
    Default::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_answer_for_their_own_indexes() {
        let table = Strings {
            bounds: OnceCell::from([2, 2, 4]),
            sections: [
                OnceCell::from(Section::new(0, b"abc".to_vec(), vec![0, 3])),
                OnceCell::from(Section::new(2, Vec::new(), vec![])),
                OnceCell::from(Section::new(2, "é!".as_bytes().to_vec(), vec![2, 3])),
            ],
        };
        let texts: Vec<&str> = (0..5).map(|index| table.get(index)).collect();
        assert_eq!((texts, table.count()), (vec!["", "abc", "é", "!", ""], 4));
    }

    #[test]
    fn broken_text_never_panics() {
        let broken = Section::new(0, b"a\xff\xffb".to_vec(), vec![1, 2, 9, 3]);
        assert_eq!((broken.get(0), broken.get(1)), ("a", "\u{fffd}"));
        let odd_ends = Section::new(0, "é".as_bytes().to_vec(), vec![1, 0, 7]);
        assert!((0..5).all(|index| odd_ends.get(index).is_empty()));
    }
}
