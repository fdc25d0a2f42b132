//! Numbers that look random, and are the same for the same seed.

use std::ops::Range;
use std::time::Duration;

/// SplitMix64: the seed is all that it needs, and all that a report has to tell.
pub struct Chance {
    state: u64,
}

impl Chance {
    pub fn new(seed: u64) -> Chance {
        Chance { state: seed }
    }

    /// Numbers for another purpose, independent of how many are drawn here.
    pub fn fork(&self, purpose: u64) -> Chance {
        Chance::new(Chance::new(self.state ^ (purpose.wrapping_mul(0x9e37_79b9_7f4a_7c15))).next())
    }

    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number of the range.
    pub fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    /// A time of so many milliseconds.
    pub fn millis(&mut self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.within(range))
    }

    /// True so often in a hundred.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    /// One of these.
    pub fn one_of<'a, T>(&mut self, these: &'a [T]) -> &'a T {
        &these[(self.next() % these.len() as u64) as usize]
    }

    /// One of these, by weight.
    pub fn weighted<'a, T>(&mut self, these: &'a [(u64, T)]) -> &'a T {
        let mut left = self.next() % these.iter().map(|(weight, _)| weight).sum::<u64>();
        for (weight, one) in these {
            match left.checked_sub(*weight) {
                Some(rest) => left = rest,
                None => return one,
            }
        }
        &these[0].1
    }

    /// Bytes of any value.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}
