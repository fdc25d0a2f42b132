//! The numbers that a plugin keeps of itself.

use std::collections::BTreeMap;

/// A plugin's own numbers, by name. No name is in both.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Numbers {
    /// What only grows while the instance lives.
    pub counters: BTreeMap<String, u64>,
    /// What goes up and down.
    pub gauges: BTreeMap<String, f64>,
}

impl Numbers {
    /// Takes in those of an instance that runs beside: counters are added up, of a gauge the greatest is kept.
    pub fn join(&mut self, other: &Numbers) {
        for (name, count) in &other.counters {
            let own = self.counters.entry(name.clone()).or_default();
            *own = own.saturating_add(*count);
        }
        for (name, value) in &other.gauges {
            self.gauges.entry(name.clone()).and_modify(|own| *own = own.max(*value)).or_insert(*value);
        }
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.counters.len() + self.gauges.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_side_by_side_count_together() {
        let numbers = |written, depth| Numbers {
            counters: [("written".to_owned(), written)].into(),
            gauges: [("depth".to_owned(), depth)].into(),
        };
        let mut all = Numbers::default();
        for part in [numbers(3, 0.5), numbers(4, -1.0), numbers(u64::MAX, f64::NAN)] {
            all.join(&part);
        }
        assert_eq!(all, numbers(u64::MAX, 0.5));
        assert_eq!(all.len(), 2);
    }
}
