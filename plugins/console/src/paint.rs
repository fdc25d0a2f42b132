//! Colours, and safe text.

use std::fmt::Display;

use meshtrace_plugin::text::sanitize;

use crate::MAX_TEXT_BYTES;

/// Colours text, or leaves it as it is.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    colored: bool,
}

impl Paint {
    /// With or without colours.
    #[must_use]
    pub fn new(colored: bool) -> Self {
        Paint { colored }
    }

    /// Something failed.
    pub(crate) fn red(self, text: impl Display) -> String {
        self.sgr("31", text)
    }

    /// Something went well.
    pub(crate) fn green(self, text: impl Display) -> String {
        self.sgr("32", text)
    }

    /// Something to note.
    pub(crate) fn yellow(self, text: impl Display) -> String {
        self.sgr("33", text)
    }

    /// Who it was.
    pub(crate) fn cyan(self, text: impl Display) -> String {
        self.sgr("36", text)
    }

    fn sgr(self, code: &str, text: impl Display) -> String {
        if self.colored { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }
}

/// A span's text, safe for the terminal and of bounded length; `absent` when there is none.
pub(crate) fn safe<'a>(text: &'a str, absent: &'a str) -> std::borrow::Cow<'a, str> {
    sanitize(if text.is_empty() { absent } else { text }, MAX_TEXT_BYTES)
}

/// A duration as people read it, `?` when unknown.
pub(crate) fn duration(ns: Option<u64>) -> String {
    ns.map_or_else(|| "?".to_owned(), meshtrace_plugin::text::go_duration)
}
