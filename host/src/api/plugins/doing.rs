//! What a plugin is doing, in one word.

use super::One;
use crate::filter::{FilterSummary, OnFailure};
use crate::plugin::Record;

/// What a plugin is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum Doing {
    /// It is being loaded, and nothing runs under its name yet.
    Loading,
    /// It works; also while another is being loaded in its place.
    Running,
    /// Traces wait for it, and all behind them: it cannot take or decide on them now, or it is a filter that everything has to pass, and it is not
    /// there.
    Holding,
    /// It fails so often that it is only tried now and then; traces pass a filter undecided meanwhile.
    Broken,
    /// It could not be loaded, and nothing runs in its place.
    Failed,
    /// It was taken out.
    Gone,
}

impl Doing {
    pub(in crate::api) const ALL: [Doing; 6] = [Doing::Loading, Doing::Running, Doing::Holding, Doing::Broken, Doing::Failed, Doing::Gone];

    pub(in crate::api) fn of(one: &One<'_>) -> Doing {
        let Record { loaded, loading, problem, .. } = one.record;
        let stage = one.exporter.map(|exporter| exporter.state()).or(one.filter.map(|filter| filter.state));
        let waited_for = |filter: &FilterSummary| filter.on_failure == OnFailure::Hold;
        match (loading, problem) {
            _ if loaded.is_some() => match stage {
                Some("holding") => Doing::Holding,
                Some("broken" | "failing") => Doing::Broken,
                _ => Doing::Running,
            },
            _ if one.filter.is_some_and(waited_for) => Doing::Holding,
            (Some(_), _) => Doing::Loading,
            (None, Some(_)) => Doing::Failed,
            (None, None) => Doing::Gone,
        }
    }

    /// One lower-case word.
    pub(in crate::api) fn as_str(self) -> &'static str {
        match self {
            Doing::Loading => "loading",
            Doing::Running => "running",
            Doing::Holding => "holding",
            Doing::Broken => "broken",
            Doing::Failed => "failed",
            Doing::Gone => "gone",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::{loaded, sampling};
    use crate::export;

    #[test]
    fn what_runs_does_what_its_stage_says() {
        let record = Record {
            loaded: Some(loaded()),
            loading: Some((crate::plugin::Moment::Reading, std::time::SystemTime::UNIX_EPOCH)),
            ..Record::default()
        };
        let holding = Some("it is tried again".to_owned());
        let broken = export::Summary {
            broken: true,
            holding: holding.clone(),
            ..export::Summary::default()
        };
        let holding = export::Summary { holding, ..export::Summary::default() };
        for (exporter, expected) in [(export::Summary::default(), Doing::Running), (holding, Doing::Holding), (broken, Doing::Broken)] {
            let one = One {
                name: "x",
                record: &record,
                exporter: Some(&exporter),
                filter: None,
            };
            assert_eq!(Doing::of(&one), expected);
        }
        for (state, expected) in [("running", Doing::Running), ("holding", Doing::Holding), ("failing", Doing::Broken)] {
            let filter = FilterSummary { state, ..sampling() };
            let one = One {
                name: "x",
                record: &record,
                exporter: None,
                filter: Some(&filter),
            };
            assert_eq!(Doing::of(&one), expected);
        }
    }

    #[test]
    fn a_filter_that_is_gone_and_waited_for_holds() {
        for (on_failure, expected) in [(OnFailure::Hold, Doing::Holding), (OnFailure::Pass, Doing::Gone)] {
            let filter = FilterSummary {
                state: "missing",
                on_failure,
                ..sampling()
            };
            let one = One {
                name: "x",
                record: &Record::default(),
                exporter: None,
                filter: Some(&filter),
            };
            assert_eq!(Doing::of(&one), expected);
        }
    }
}
