//! Texts of guests that people read: in the log, in answers, on terminals.

use super::{Counters, Limit, Limits};

/// Whether `c` could change how what is around it looks: control characters, and the invisible ones that reorder text.
fn is_hidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// `text` with all that is hidden in it written out.
pub(super) fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) {
            visible.extend(c.escape_default());
        } else {
            visible.push(c);
        }
    }
    visible
}

/// The first `max` bytes of `text`, or a few less: characters stay whole.
pub(super) fn head(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// Makes texts fit to be read.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub limits: &'a Limits,
    pub counters: &'a Counters,
}

impl Reader<'_> {
    /// `text` without what is hidden in it, and no longer than texts may be.
    pub fn read(self, text: String) -> String {
        let text = if text.contains(is_hidden) { visible(&text) } else { text };
        let max = self.limits.text_bytes;
        if text.len() <= max {
            return text;
        }
        self.counters.hit(Limit::TextBytes);
        format!("{}…", head(&text, max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_written_out() {
        assert_eq!(visible("plain, größer 🎉"), "plain, größer 🎉");
        assert_eq!(visible("a\x1b[31m\r\nb\u{202e}c\u{2066}d\u{200f}e\u{61c}"), r"a\u{1b}[31m\r\nb\u{202e}c\u{2066}d\u{200f}e\u{61c}");
    }

    #[test]
    fn a_text_that_is_too_long_is_cut_between_characters_and_counted() {
        let limits = Limits { text_bytes: 4, ..Limits::default() };
        let counters = Counters::default();
        let reader = Reader { limits: &limits, counters: &counters };
        assert_eq!(reader.read("four".into()), "four");
        assert_eq!(counters.hits().map(|(_, hits)| hits).sum::<u64>(), 0);
        assert_eq!(reader.read("abcdö".into()), "abcd…");
        assert_eq!(reader.read("abcö".into()), "abc…");
        assert_eq!(counters.hits().find(|(limit, _)| *limit == Limit::TextBytes), Some((Limit::TextBytes, 2)));
    }
}
