//! A histogram of durations for quantiles: fixed memory, at most 1 % of error, mergeable.
//!
//! Buckets grow with the values: every power of two is cut into 64 equal ones, so a bucket is at most 1/64 of its values wide
//! and its middle is within 1/128 (0.8 %) of any of them. Values below 64 have a bucket each. For all of 64 bits that takes
//! 3776 counters, 30 kB. Two histograms are merged by adding their counters.

/// log2 of the buckets per power of two.
const BITS: u32 = 6;
/// Buckets for every value of 64 bits.
const BUCKETS: usize = (64 - BITS as usize + 1) << BITS;

/// Counts of values by size.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    counts: Box<[u64]>,
    total: u64,
    min: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram {
            counts: vec![0; BUCKETS].into(),
            total: 0,
            min: u64::MAX,
            max: 0,
        }
    }
}

impl Histogram {
    /// Counts a value.
    pub fn add(&mut self, value: u64) {
        if let Some(count) = self.counts.get_mut(bucket(value)) {
            *count += 1;
        }
        self.total += 1;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    /// Number of values.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The value that a share `q` (0 to 1) of all values does not exceed, within 1 %; `None` without values.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<u64> {
        let rank = (q.clamp(0.0, 1.0) * self.total as f64).ceil().max(1.0) as u64;
        let mut below = 0_u64;
        let found = self.counts.iter().position(|count| {
            below = below.saturating_add(*count);
            below >= rank && below > 0
        })?;
        Some(middle(found).clamp(self.min, self.max))
    }

    /// The smallest and largest value, and every counter that is not 0 with its bucket's number.
    #[must_use]
    pub fn parts(&self) -> (u64, u64, Vec<(usize, u64)>) {
        let counts = self.counts.iter().copied().enumerate().filter(|(_, count)| *count != 0);
        (self.min, self.max, counts.collect())
    }

    /// A histogram of such parts.
    ///
    /// # Errors
    /// When they are no histogram's parts.
    pub fn from_parts(min: u64, max: u64, counts: &[(usize, u64)]) -> Result<Self, String> {
        let mut histogram = Histogram { min, max, ..Self::default() };
        for (number, count) in counts {
            let place = histogram.counts.get_mut(*number).ok_or_else(|| format!("the histogram has no bucket {number}"))?;
            *place = place.checked_add(*count).ok_or("a histogram counter is too large")?;
            histogram.total = histogram.total.checked_add(*count).ok_or("the histogram's counters are too large")?;
        }
        if histogram.total > 0 && min > max {
            return Err(format!("the histogram's smallest value {min} is above its largest {max}"));
        }
        Ok(histogram)
    }
}

fn bucket(value: u64) -> usize {
    // Values with up to BITS + 1 significant bits are their own bucket; of larger ones the highest BITS + 1 bits count.
    let shift = (64 - BITS).saturating_sub(value.leading_zeros() + 1);
    (value >> shift) as usize + ((shift as usize) << BITS)
}

fn middle(number: usize) -> u64 {
    let shift = (number >> BITS).saturating_sub(1) as u32;
    let low = (number as u64 - (u64::from(shift) << BITS)) << shift;
    low + ((1_u64 << shift) >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values over all magnitudes, without a random generator to depend on.
    fn values() -> impl Iterator<Item = u64> {
        let mut state = 42_u64;
        (0..200_000).map(move |at| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> (at % 64)
        })
    }

    #[test]
    fn every_bucket_is_within_one_percent_of_its_values() {
        for value in values().chain([0, 1, 63, 64, 65, 127, 128, u64::MAX]) {
            let error = middle(bucket(value)).abs_diff(value) as f64;
            assert!(bucket(value) < BUCKETS && error <= value as f64 * 0.01, "{value}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1, "no bucket is wasted");
        assert!((0..BUCKETS).all(|number| bucket(middle(number)) == number));
    }

    #[test]
    fn quantiles_are_within_one_percent() {
        let (mut histogram, mut all) = (Histogram::default(), values().collect::<Vec<_>>());
        all.iter().for_each(|value| histogram.add(*value));
        all.sort_unstable();
        for q in [0.0, 0.01, 0.5, 0.95, 0.99, 0.999, 1.0] {
            let exact = all[((q * all.len() as f64).ceil() as usize).max(1) - 1] as f64;
            let estimate = histogram.quantile(q).unwrap() as f64;
            assert!((estimate - exact).abs() <= exact * 0.01 + 0.5, "q {q}: {estimate} for {exact}");
        }
    }

    #[test]
    fn few_values_are_exact() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        histogram.add(1_234_567_890);
        assert_eq!([0.5, 0.99].map(|q| histogram.quantile(q)), [Some(1_234_567_890); 2]);
    }

    #[test]
    fn parts_make_the_same_histogram_and_nonsense_makes_none() {
        let mut histogram = Histogram::default();
        values().take(500).for_each(|value| histogram.add(value));
        let (min, max, counts) = histogram.parts();
        assert_eq!(Histogram::from_parts(min, max, &counts).unwrap(), histogram);
        assert!(Histogram::from_parts(0, 1, &[(BUCKETS, 1)]).is_err());
        assert!(Histogram::from_parts(0, 1, &[(0, u64::MAX), (1, 1)]).is_err());
        assert!(Histogram::from_parts(2, 1, &[(0, 1)]).is_err());
    }
}
