//! How much a plugin may write to the log: so much a second, and as much again at once after a silence.

use std::time::{Duration, Instant};

/// What a line costs beside its own bytes: time, level and the plugin's name are written with it.
const LINE_BYTES: usize = 64;
/// What was withheld is told this often.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What is left of one plugin's budget; all of its instances spend from it.
#[derive(Debug, Default)]
pub(super) struct LogBudget {
    /// Since when, and how much there was then. Below zero after a line that was dearer than what was left. `None`: nothing was spent yet.
    left: Option<(Instant, f64)>,
    withheld: Withheld,
    told: Option<Instant>,
}

/// What was not written.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Withheld {
    pub lines: u64,
    pub bytes: u64,
}

impl LogBudget {
    /// Whether a line of so many bytes may be written now.
    pub fn spend(&mut self, bytes: usize, per_second: usize, now: Instant) -> bool {
        let (full, cost) = (per_second as f64, (bytes + LINE_BYTES) as f64);
        let left = match self.left {
            Some((since, left)) => (left + full * now.saturating_duration_since(since).as_secs_f64()).min(full),
            None => full,
        };
        // A line that no budget is large enough for passes when nothing else has been spent.
        let enough = left >= cost.min(full);
        self.left = Some((now, if enough { left - cost } else { left }));
        if !enough {
            self.withheld.lines += 1;
            self.withheld.bytes += bytes as u64;
        }
        enough
    }

    /// What was withheld since it was told last, if it is time to tell.
    pub fn tell(&mut self, now: Instant) -> Option<Withheld> {
        let due = self.told.is_none_or(|told| now.saturating_duration_since(told) >= TELL_EVERY);
        if self.withheld.lines == 0 || !due {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.withheld))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: usize = 1_000;

    #[test]
    fn a_burst_is_as_large_as_a_seconds_worth() {
        let (mut budget, now) = (LogBudget::default(), Instant::now());
        assert_eq!((0..100).filter(|_| budget.spend(36, RATE, now)).count(), 10);
        assert_eq!(budget.tell(now), Some(Withheld { lines: 90, bytes: 90 * 36 }));
        let later = now + Duration::from_secs(3_600);
        assert_eq!((0..100).filter(|_| budget.spend(36, RATE, later)).count(), 10);
    }

    #[test]
    fn a_flood_is_thinned_to_the_rate() {
        let (mut budget, start) = (LogBudget::default(), Instant::now());
        let passed = (0..10_000).filter(|ms| budget.spend(36, RATE, start + Duration::from_millis(*ms))).count();
        assert!((109..=111).contains(&passed), "{passed}");
    }

    #[test]
    fn empty_lines_cost_too() {
        let (mut budget, now) = (LogBudget::default(), Instant::now());
        assert!((0..1_000).filter(|_| budget.spend(0, RATE, now)).count() < 20);
    }

    #[test]
    fn a_line_beyond_every_budget_passes_alone_and_is_paid_off() {
        let (mut budget, now) = (LogBudget::default(), Instant::now());
        assert!(budget.spend(5 * RATE, RATE, now));
        assert!(!budget.spend(1, RATE, now + Duration::from_secs(2)));
        assert!(budget.spend(1, RATE, now + Duration::from_secs(6)));
    }

    #[test]
    fn what_was_withheld_is_told_at_once_and_then_once_a_second() {
        let (mut budget, now) = (LogBudget::default(), Instant::now());
        assert_eq!(budget.tell(now), None);
        assert!(budget.spend(10 * RATE, RATE, now));
        assert!(!budget.spend(7, RATE, now));
        assert_eq!(budget.tell(now), Some(Withheld { lines: 1, bytes: 7 }));
        assert!(!budget.spend(7, RATE, now));
        assert_eq!(budget.tell(now + Duration::from_millis(999)), None);
        assert_eq!(budget.tell(now + Duration::from_secs(1)), Some(Withheld { lines: 1, bytes: 7 }));
    }
}
