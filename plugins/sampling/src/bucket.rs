//! The token bucket of `rate_limiting` and `bytes_limiting`.

use std::time::Duration;

/// Tokens that come in at a steady rate up to a bound, as in `golang.org/x/time/rate`, which the reference uses. Full at first.
#[derive(Debug)]
pub struct Bucket {
    per_second: f64,
    burst: u64,
    tokens: f64,
    /// When `tokens` was right.
    last: Duration,
}

impl Bucket {
    /// A full bucket. `per_second` must be above 0.
    #[must_use]
    pub fn new(per_second: u64, burst: u64) -> Self {
        Bucket {
            per_second: per_second as f64,
            burst,
            tokens: burst as f64,
            last: Duration::ZERO,
        }
    }

    /// Takes `amount` tokens, or none if there are not as many. More than `burst` are never to be had.
    pub fn take(&mut self, now: Duration, amount: u64) -> bool {
        let elapsed = now.saturating_sub(self.last);
        let tokens = (self.tokens + elapsed.as_secs_f64() * self.per_second).min(self.burst as f64) - amount as f64;
        // As in the reference, what would be there within a nanosecond is there: rounding must not refuse a whole token.
        let enough = tokens >= 0.0 || -tokens / self.per_second * 1e9 < 1.0;
        if amount > self.burst || !enough {
            return false;
        }
        self.tokens = tokens;
        self.last = self.last.max(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_all(bucket: &mut Bucket, cases: &[(u64, u64, bool)]) {
        for (ms, amount, taken) in cases {
            assert_eq!(bucket.take(Duration::from_millis(*ms), *amount), *taken, "{amount} at {ms} ms");
        }
    }

    #[test]
    fn it_is_full_at_first_and_refills_steadily() {
        let cases = [
            (5, 20, true),
            (5, 1, false),
            (104, 1, false),
            (105, 1, true),
            (105, 1, false),
            (605, 5, true),
            (605, 1, false),
            // A rest of an hour fills it to the bound and not beyond.
            (3_600_000, 21, false),
            (3_600_000, 20, true),
            (3_600_000, 1, false),
        ];
        take_all(&mut Bucket::new(10, 20), &cases);
    }

    #[test]
    fn what_is_refused_takes_nothing() {
        let cases = [(0, 6, true), (0, 5, false), (0, 4, true), (0, 1, false), (0, 0, true)];
        take_all(&mut Bucket::new(5, 10), &cases);
    }

    #[test]
    fn rounding_refuses_no_whole_token() {
        let mut bucket = Bucket::new(10, 1);
        // A tenth of a second ten times is not exactly one second in floating point.
        assert!((1..10_000).all(|tenth| bucket.take(Duration::from_millis(tenth * 100), 1)));
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let cases = [(10_000, 10, true), (0, 1, false), (10_000, 1, false), (10_200, 1, true)];
        take_all(&mut Bucket::new(5, 10), &cases);
    }

    /// How many of 20,000 requests were granted, and a hash of which, found by running `golang.org/x/time/rate` (0.16).
    #[test]
    fn it_grants_what_the_reference_grants() {
        let cases = [
            (10, 20, 1985, 10_738_312_618_781_485_156),
            (7, 9, 2763, 8_940_728_215_623_289_108),
            (1000, 500, 3340, 14_418_996_750_222_810_343),
            (3, 100, 504, 8_964_555_243_599_773_353),
        ];
        for (per_second, burst, granted, which) in cases {
            let mut bucket = Bucket::new(per_second, burst);
            let (mut state, mut ns, mut count, mut hash) = (42_u64, 0, 0, 0xcbf2_9ce4_8422_2325_u64);
            for _ in 0..20_000 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                ns += (state >> 40) % 300_000_000;
                let taken = bucket.take(Duration::from_nanos(ns), (state >> 13) % (burst + 3));
                count += u64::from(taken);
                hash = (hash ^ u64::from(taken)).wrapping_mul(0x0100_0000_01b3);
            }
            assert_eq!((count, hash), (granted, which), "{per_second} {burst}");
        }
    }
}
