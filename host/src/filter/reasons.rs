//! A filter's reasons: each held once, counted, and bounded, whatever a filter makes up.

use std::collections::HashMap;
use std::sync::Arc;

use ahash::RandomState;

use crate::model::Sampling;

/// Reasons that are counted by themselves; all further ones count as [`OTHER`].
const REASONS: usize = 256;

/// What further reasons are counted as.
const OTHER: &str = "other";

/// Bytes of a reason; the rest is cut off.
const REASON_BYTES: usize = 256;

/// How often a reason was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReasonCount {
    /// As the filter put it; `None` where it gave none.
    pub reason: Option<Arc<str>>,
    /// Traces kept for it.
    pub kept: u64,
    /// Traces dropped for it.
    pub dropped: u64,
}

#[derive(Debug)]
pub(super) struct Reasons {
    filter: Arc<str>,
    none: Counted,
    other: Counted,
    by_text: HashMap<Arc<str>, Counted, RandomState>,
}

/// A reason with the verdicts that its traces share.
#[derive(Debug)]
struct Counted {
    keep: Arc<Sampling>,
    drop: Arc<Sampling>,
    kept: u64,
    dropped: u64,
}

/// The verdict on a dropped trace.
#[derive(Debug)]
pub(super) struct Dropping {
    /// With the reason in its own words.
    pub exact: Arc<Sampling>,
    /// With the reason as it is counted: one of few.
    pub counted: Arc<Sampling>,
}

impl Counted {
    fn new(filter: &Arc<str>, reason: Option<&Arc<str>>) -> Counted {
        let sampling = |keep| {
            Arc::new(Sampling {
                filter: Arc::clone(filter),
                keep,
                reason: reason.cloned(),
            })
        };
        Counted {
            keep: sampling(true),
            drop: sampling(false),
            kept: 0,
            dropped: 0,
        }
    }

    fn count(&self, reason: Option<&Arc<str>>) -> Option<ReasonCount> {
        let Counted { kept, dropped, .. } = *self;
        (kept + dropped > 0).then(|| ReasonCount { reason: reason.cloned(), kept, dropped })
    }
}

impl Reasons {
    pub fn new(filter: Arc<str>) -> Reasons {
        Reasons {
            none: Counted::new(&filter, None),
            other: Counted::new(&filter, Some(&OTHER.into())),
            by_text: HashMap::default(),
            filter,
        }
    }

    /// Counts a keep, and gives the verdict that stays with the trace.
    pub fn kept(&mut self, reason: Option<Arc<str>>) -> Arc<Sampling> {
        let reason = bounded(reason);
        let counted = self.counted(reason.as_ref());
        counted.kept += 1;
        let keep = Arc::clone(&counted.keep);
        self.exact(reason, keep)
    }

    /// Counts a drop, and gives the verdict.
    pub fn dropped(&mut self, reason: Option<Arc<str>>) -> Dropping {
        let reason = bounded(reason);
        let drop = self.counted(reason.as_ref());
        drop.dropped += 1;
        let counted = Arc::clone(&drop.drop);
        Dropping {
            exact: self.exact(reason, Arc::clone(&counted)),
            counted,
        }
    }

    /// What has been counted, by reason in byte order; those without one first.
    pub fn counts(&self) -> Vec<ReasonCount> {
        let mut counts: Vec<ReasonCount> = self.by_text.iter().filter_map(|(text, counted)| counted.count(Some(text))).collect();
        counts.extend(self.none.count(None));
        counts.extend(self.other.count(self.other.keep.reason.as_ref()));
        counts.sort_by(|a, b| a.reason.cmp(&b.reason));
        counts
    }

    fn counted(&mut self, reason: Option<&Arc<str>>) -> &mut Counted {
        let Some(reason) = reason else { return &mut self.none };
        if **reason == *OTHER || (self.by_text.len() >= REASONS && !self.by_text.contains_key(reason)) {
            return &mut self.other;
        }
        let filter = &self.filter;
        self.by_text.entry(Arc::clone(reason)).or_insert_with_key(|reason| Counted::new(filter, Some(reason)))
    }

    /// `counted` where it says the same, else a verdict of its own.
    fn exact(&self, reason: Option<Arc<str>>, counted: Arc<Sampling>) -> Arc<Sampling> {
        if counted.reason == reason {
            return counted;
        }
        Arc::new(Sampling {
            filter: Arc::clone(&self.filter),
            keep: counted.keep,
            reason,
        })
    }
}

/// A reason as it is kept: no empty one, and none that is too long.
fn bounded(reason: Option<Arc<str>>) -> Option<Arc<str>> {
    let reason = reason.filter(|reason| !reason.is_empty())?;
    if reason.len() <= REASON_BYTES {
        return Some(reason);
    }
    Some(reason[..reason.floor_char_boundary(REASON_BYTES)].into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_reasons_share_one_verdict() {
        let mut reasons = Reasons::new("f".into());
        let (one, two) = (reasons.kept(Some("errors".into())), reasons.kept(Some("errors".into())));
        assert!(Arc::ptr_eq(&one, &two));
        assert_eq!((one.decision(), &*one.filter, one.reason.as_deref()), ("keep", "f", Some("errors")));
        let dropped = reasons.dropped(Some("errors".into()));
        assert!(Arc::ptr_eq(&dropped.exact, &dropped.counted));
        assert_eq!(dropped.exact.decision(), "drop");
        reasons.dropped(Some("".into()));
        reasons.dropped(None);
        let count = |reason: Option<&str>, kept, dropped| ReasonCount {
            reason: reason.map(Arc::from),
            kept,
            dropped,
        };
        assert_eq!(reasons.counts(), [count(None, 0, 2), count(Some("errors"), 2, 1)]);
    }

    #[test]
    fn reasons_that_are_too_many_or_too_long_are_bounded() {
        let mut reasons = Reasons::new("f".into());
        for number in 0..1_000 {
            let exact = reasons.dropped(Some(number.to_string().into())).exact;
            assert_eq!(exact.reason.as_deref(), Some(number.to_string().as_str()), "the trace has its own reason all the same");
        }
        let counts = reasons.counts();
        assert_eq!((counts.len(), reasons.by_text.len()), (REASONS + 1, REASONS));
        assert_eq!(counts.iter().find(|count| count.reason.as_deref() == Some(OTHER)).map(|count| count.dropped), Some(744));
        assert_eq!(reasons.dropped(Some("a new one".into())).counted.reason.as_deref(), Some(OTHER), "what is remembered is one of few");
        assert_eq!(reasons.kept(Some("255".into())).reason.as_deref(), Some("255"));
        let long = reasons.kept(Some(("é".repeat(200)).into()));
        assert_eq!(long.reason.as_deref(), Some("é".repeat(128).as_str()));
    }
}
