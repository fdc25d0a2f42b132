//! Whether the plugin directory is to be believed: a mount that is away looks like a directory without plugins.

use std::time::Instant;

use super::slot::AWAY;
use crate::plugin::library::Identity;

/// The plugin directory as it was when it was last looked at.
#[derive(Debug, Default)]
pub(super) struct Directory {
    identity: Option<Identity>,
    /// How many names it defined.
    defined: usize,
    /// Rises whenever what is missing there may be missing by mistake.
    state: u64,
    changed_at: Option<Instant>,
}

impl Directory {
    /// It was looked at, and defines so many names. Returns its state: what was last seen in an earlier one is not believed to be gone for good so soon.
    pub fn looked_at(&mut self, identity: Option<Identity>, defined: usize, now: Instant) -> u64 {
        // The first look finds nothing missing.
        let replaced = identity != self.identity;
        // One plugin that goes was taken away; whoever has several does not mean all at once.
        let emptied = self.defined > 1 && defined == 0;
        if replaced || emptied {
            self.state += 1;
            self.changed_at = Some(now);
        }
        (self.identity, self.defined) = (identity, defined);
        self.state
    }

    /// Whether something may be missing by mistake.
    pub fn is_doubted(&self, now: Instant) -> bool {
        self.changed_at.is_some_and(|changed| now.duration_since(changed) < AWAY)
    }

    /// It cannot be read.
    pub fn is_away(&mut self) {
        // Whatever comes in its place is another one, even if it is the same.
        self.identity = None;
    }

    /// What is said while plugins of an earlier state are missing.
    pub fn missing() -> String {
        format!(
            "it is another directory than before, or all that it had is gone at once, as when a mount is missing; what is missing there runs on for {} s",
            AWAY.as_secs()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(dir: &tempfile::TempDir) -> Option<Identity> {
        Identity::of(dir.path())
    }

    #[test]
    fn a_directory_that_was_replaced_emptied_or_away_is_in_another_state() {
        let (first, second) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        let (mut directory, now) = (Directory::default(), Instant::now());
        let begin = directory.looked_at(identity(&first), 3, now);
        for defined in [2, 1, 0, 1, 0, 2] {
            assert_eq!(directory.looked_at(identity(&first), defined, now), begin, "one by one");
        }
        assert_eq!(directory.looked_at(identity(&first), 0, now + AWAY), begin + 1, "both at once");
        assert_eq!(directory.looked_at(identity(&first), 0, now + AWAY), begin + 1);
        assert_eq!((directory.is_doubted(now + AWAY), directory.is_doubted(now + 2 * AWAY)), (true, false));
        assert_eq!(directory.looked_at(identity(&second), 1, now + 3 * AWAY), begin + 2, "it was replaced");
        directory.is_away();
        assert_eq!(directory.looked_at(identity(&second), 1, now + 3 * AWAY), begin + 3, "it was away");
        assert!(directory.is_doubted(now + 3 * AWAY));
    }

    #[test]
    fn a_directory_that_is_made_again_is_another() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("plugins");
        std::fs::create_dir(&path).expect("a directory");
        let before = Identity::of(&path);
        assert_eq!((before.is_some(), &before), (true, &Identity::of(&path)));
        // File systems use the number of a directory again that has just gone.
        std::fs::remove_dir(&path).expect("it was there");
        std::fs::create_dir(&path).expect("a directory");
        assert_ne!(Identity::of(&path), before);
    }
}
