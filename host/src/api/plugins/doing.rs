//! What a plugin is doing, in one word.

use super::One;
use crate::plugin::Record;

/// What a plugin is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum Doing {
    /// It is being loaded, and nothing runs under its name yet.
    Loading,
    /// It works; also while another is being loaded in its place.
    Running,
    /// It holds what it was offered, until it can take it; so do those that wait behind.
    Holding,
    /// It fails so often that it is only tried now and then.
    Broken,
    /// It could not be loaded, and nothing runs in its place.
    Failed,
    /// It was taken out.
    Gone,
}

impl Doing {
    pub(in crate::api) fn of(one: &One<'_>) -> Doing {
        let Record { loaded, loading, problem, .. } = one.record;
        if loaded.is_some() {
            return match one.exporter.map(|exporter| exporter.state.as_str()) {
                Some("holding") => Doing::Holding,
                Some("broken") => Doing::Broken,
                _ => Doing::Running,
            };
        }
        match (loading, problem) {
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
    use crate::api::PluginSummary;
    use crate::plugin::{About, Grants, Kind, Loaded, Manifest};

    #[test]
    fn what_runs_does_what_the_exporters_stage_says() {
        let loaded = Loaded {
            kind: Kind::Exporter,
            about: About {
                name: String::new(),
                version: String::new(),
                config_schema: None,
                parallel: false,
            },
            source: String::new(),
            digest: String::new(),
            bytes: 0,
            manifest: Manifest::default(),
            grants: Grants::default(),
            at: std::time::SystemTime::UNIX_EPOCH,
        };
        let record = Record {
            loaded: Some(loaded),
            loading: Some((crate::plugin::Moment::Reading, std::time::SystemTime::UNIX_EPOCH)),
            ..Record::default()
        };
        for doing in [Doing::Running, Doing::Holding, Doing::Broken] {
            let exporter = PluginSummary {
                state: doing.as_str().to_owned(),
                ..PluginSummary::default()
            };
            let one = One {
                name: "x",
                record: &record,
                exporter: Some(&exporter),
            };
            assert_eq!(Doing::of(&one), doing);
        }
    }
}
