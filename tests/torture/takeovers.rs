//! How soon a host that stood by led, after the one that led was killed or had ended.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

/// How a life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    Killed,
    /// When it was asked to, after it had done what was to be done.
    Clean,
}

/// When processes began, led, and ended.
#[derive(Debug, Default)]
pub struct Lives {
    begun: BTreeMap<u32, Timestamp>,
    ended: BTreeMap<u32, (Timestamp, Ending)>,
    /// Moments at which one began to lead, as it wrote them down.
    leads: Vec<(Timestamp, u32)>,
}

impl Lives {
    pub fn began(&mut self, process: u32) {
        self.begun.insert(process, Timestamp::now());
    }

    pub fn ended(&mut self, process: u32, ending: Ending) {
        self.ended.insert(process, (Timestamp::now(), ending));
    }

    pub fn led(&mut self, process: u32, since: Timestamp) {
        self.leads.push((since, process));
    }

    /// How often the lead went from one process to another.
    pub fn take_overs(&self) -> u64 {
        self.pairs().count() as u64
    }

    /// How long nobody led after a leader had ended like this, each time that a host took over which had begun before. In order of length. Whatever else went
    /// wrong meanwhile, Redis and the wire among it, is part of it.
    pub fn gaps(&self, ending: Ending) -> Vec<Duration> {
        let gap = |(before, (at, process)): (u32, (Timestamp, u32))| {
            let (end, how) = self.ended.get(&before)?;
            let stood_by = self.begun.get(&process)? < end;
            (stood_by && *how == ending).then(|| Duration::try_from(at.duration_since(*end)).ok())?
        };
        let mut gaps: Vec<Duration> = self.pairs().filter_map(gap).collect();
        gaps.sort_unstable();
        gaps
    }

    /// Whether the process that led at this moment has neither ended nor lost the lead until that one.
    pub fn led_on(&self, from: Timestamp, until: Timestamp) -> bool {
        let mut leads = self.leads.clone();
        leads.sort_unstable();
        let before = leads.partition_point(|(since, _)| *since <= from);
        let Some((_, leader)) = before.checked_sub(1).map(|last| leads[last]) else { return false };
        let was_followed = leads[before..].iter().any(|(since, process)| *since <= until && *process != leader);
        !was_followed && self.ended.get(&leader).is_none_or(|(end, _)| *end > until)
    }

    fn pairs(&self) -> impl Iterator<Item = (u32, (Timestamp, u32))> {
        let mut leads = self.leads.clone();
        leads.sort_unstable();
        let pairs: Vec<_> = leads.windows(2).filter(|pair| pair[0].1 != pair[1].1).map(|pair| (pair[0].1, pair[1])).collect();
        pairs.into_iter()
    }
}

#[test]
fn only_who_stood_by_takes_over_and_who_was_killed_ended_otherwise() {
    let at = |ms| Timestamp::from_millisecond(ms).expect("a time");
    let lives = Lives {
        begun: BTreeMap::from([(1, at(0)), (2, at(10)), (3, at(500))]),
        ended: BTreeMap::from([(1, (at(100), Ending::Killed)), (2, (at(400), Ending::Clean))]),
        leads: vec![(at(5), 1), (at(350), 2), (at(600), 3)],
    };
    assert_eq!(lives.take_overs(), 2);
    assert_eq!(lives.gaps(Ending::Killed), [Duration::from_millis(250)]);
    assert_eq!(lives.gaps(Ending::Clean), [], "it began after the end");
    let led_on = |from, until| lives.led_on(at(from), at(until));
    assert!(led_on(5, 99) && led_on(360, 399) && led_on(600, 9_999));
    assert!(!led_on(4, 99), "nobody led yet");
    assert!(!led_on(99, 100) && !led_on(120, 130), "it has ended");
    assert!(!led_on(50, 351), "another one led");
}
