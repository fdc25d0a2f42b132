//! Results of regular expressions by text: what comes again is looked up instead of matched again.

use std::collections::HashMap;

/// Longer texts are matched each time: those that come again are short, and the cache's memory has a bound.
const MAX_TEXT_BYTES: usize = 1024;

/// A bounded number of results. Those used least lately go first, as near as two generations tell: when the younger is full, it
/// takes the place of the older, and what is used moves to the younger.
#[derive(Debug)]
pub(super) struct Cache {
    size: usize,
    young: HashMap<Box<str>, bool>,
    old: HashMap<Box<str>, bool>,
}

impl Cache {
    /// A cache of at most `size` results.
    pub fn new(size: usize) -> Self {
        Cache {
            size,
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }

    /// What is remembered of `text`, else what `find` finds.
    pub fn get_or(&mut self, text: &str, find: impl FnOnce() -> bool) -> bool {
        if text.len() > MAX_TEXT_BYTES {
            return find();
        }
        if let Some(result) = self.young.get(text) {
            return *result;
        }
        let (text, result) = self.old.remove_entry(text).unwrap_or_else(|| (text.into(), find()));
        // The older one has at most half of the places, the younger what remains.
        if self.young.len() >= self.size.div_ceil(2) {
            self.old = std::mem::take(&mut self.young);
            if self.size == 1 {
                self.old.clear();
            }
        }
        self.young.insert(text, result);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(cache: &mut Cache, text: &str) -> bool {
        let mut matched = false;
        cache.get_or(text, || {
            matched = true;
            true
        });
        matched
    }

    #[test]
    fn a_result_is_found_once_and_remembered_as_it_was() {
        let mut cache = Cache::new(2);
        assert!(!cache.get_or("no", || false) && cache.get_or("yes", || true));
        assert!(!cache.get_or("no", || true) && cache.get_or("yes", || false));
    }

    #[test]
    fn it_never_has_more_than_its_size() {
        for size in [1, 2, 3, 4, 7, 128] {
            let mut cache = Cache::new(size);
            let mut most = 0;
            for n in 0..1_000_u64 {
                asked(&mut cache, &(n * n % 300).to_string());
                most = most.max(cache.young.len() + cache.old.len());
            }
            assert!(most <= size + size % 2 && most >= size.min(2), "{most} of {size}");
        }
    }

    #[test]
    fn what_is_used_stays() {
        let mut cache = Cache::new(4);
        assert!(asked(&mut cache, "used"));
        for n in 0..100 {
            assert!(asked(&mut cache, &n.to_string()));
            assert!(!asked(&mut cache, "used"), "after {n}");
        }
        assert!(asked(&mut cache, "0"));
    }

    #[test]
    fn long_texts_are_not_kept() {
        let mut cache = Cache::new(4);
        let long = "x".repeat(MAX_TEXT_BYTES + 1);
        assert!(asked(&mut cache, &long) && asked(&mut cache, &long));
        assert!(cache.young.is_empty());
    }
}
