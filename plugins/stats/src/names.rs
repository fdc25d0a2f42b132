//! Counters by name, of bounded number and size.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// Longer names are cut; those that are equal up to here count as one.
const MAX_NAME_BYTES: usize = 256;

/// The name of the row for names that had no place.
const OTHER: &str = "other";

/// Counts by name. The first names that come have a counter each; what comes when all places are taken counts as other. So does what is really
/// called `other`, in lists of names: two rows of one name would be taken for one by whoever looks a name up. [`Names::other`] tells them apart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Names {
    counts: HashMap<String, u64>,
    other: u64,
}

impl Names {
    /// Counts `count` under `name`. Answers whether it had to count as other for the first time.
    pub fn add(&mut self, name: &str, count: u64, places: usize) -> bool {
        let name = bounded(name);
        if let Some(known) = self.counts.get_mut(&*name) {
            *known = known.saturating_add(count);
            return false;
        }
        if self.counts.len() < places {
            self.counts.insert(name.into_owned(), count);
            return false;
        }
        let first = self.other == 0;
        self.other = self.other.saturating_add(count);
        first
    }

    /// Counts of names that had no place.
    #[must_use]
    pub fn other(&self) -> u64 {
        self.other
    }

    /// All names, sorted; behind them `other`, when that counts anything.
    #[must_use]
    pub fn sorted(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.counts.keys().map(String::as_str).filter(|name| self.other == 0 || *name != OTHER).collect();
        names.sort_unstable();
        names.extend((self.other > 0).then_some(OTHER));
        names
    }

    /// The `n` names with the highest counts, by count and then name; `other` is one row among them when it counts anything.
    #[must_use]
    pub fn top(&self, n: usize) -> Vec<(&str, u64)> {
        let mut rows: Vec<(&str, u64)> = self.counts.iter().map(|(name, count)| (&**name, *count)).collect();
        match rows.iter_mut().find(|(name, _)| *name == OTHER) {
            Some((_, count)) => *count = count.saturating_add(self.other),
            None => rows.extend((self.other > 0).then_some((OTHER, self.other))),
        }
        rows.sort_unstable_by(|one, two| two.1.cmp(&one.1).then(one.0.cmp(two.0)));
        rows.truncate(n);
        rows
    }

    /// Keeps the highest counts when there are more names than places now; the rest becomes other.
    pub fn shrink_to(&mut self, places: usize) {
        if self.counts.len() <= places {
            return;
        }
        let mut rows: Vec<(String, u64)> = self.counts.drain().collect();
        rows.sort_unstable_by(|one, two| two.1.cmp(&one.1).then_with(|| one.0.cmp(&two.0)));
        let rest = rows.split_off(places);
        self.other = rest.iter().fold(self.other, |sum, (_, count)| sum.saturating_add(*count));
        self.counts = rows.into_iter().collect();
    }
}

fn bounded(name: &str) -> std::borrow::Cow<'_, str> {
    if name.len() <= MAX_NAME_BYTES {
        return name.into();
    }
    format!("{}…", &name[..name.floor_char_boundary(MAX_NAME_BYTES)]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_bound_count_as_other() {
        let mut names = Names::default();
        assert!(!names.add("a", 3, 2) && !names.add("b", 3, 2));
        assert!(names.add("c", 4, 2), "the first that has no place");
        assert!(!names.add("d", 1, 2) && !names.add("a", 1, 2));
        assert_eq!(names.top(10), [("other", 5), ("a", 4), ("b", 3)]);
        assert_eq!((names.sorted(), names.other()), (vec!["a", "b", "other"], 5));
        names.shrink_to(1);
        assert_eq!(names.top(10), [("other", 8), ("a", 4)]);
    }

    #[test]
    fn an_operation_that_is_called_other_shares_the_row() {
        let mut names = Names::default();
        names.add("other", 2, 2);
        names.add("a", 1, 2);
        assert_eq!((names.top(9), names.sorted(), names.other()), (vec![("other", 2), ("a", 1)], vec!["a", "other"], 0));
        names.add("b", 5, 2);
        assert_eq!((names.top(9), names.sorted(), names.other()), (vec![("other", 7), ("a", 1)], vec!["a", "other"], 5));
    }

    #[test]
    fn long_names_are_cut() {
        let mut names = Names::default();
        names.add(&"ü".repeat(10_000), 1, 9);
        names.add(&"ü".repeat(20_000), 1, 9);
        assert_eq!(names.top(9), [(&*format!("{}…", "ü".repeat(128)), 2)]);
    }

    #[test]
    fn equal_counts_are_in_order_of_name() {
        let mut names = Names::default();
        for name in ["b", "c", "a"] {
            names.add(name, 1, 9);
        }
        assert_eq!(names.top(2), [("a", 1), ("b", 1)]);
    }
}
