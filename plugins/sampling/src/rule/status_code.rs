//! `status_code`: whether some span has one of these statuses.

use meshtrace_plugin::Status;
use serde::Deserialize;

use crate::config::Block;
use crate::decision::{Decision, Input};

/// Traces with a span that has one of the listed statuses.
#[derive(Debug)]
pub struct StatusCode {
    ok: bool,
    error: bool,
    unset: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    status_codes: Vec<Code>,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
enum Code {
    Ok,
    Error,
    Unset,
}

impl StatusCode {
    pub(super) fn read(block: Block) -> Result<Self, String> {
        let Settings { status_codes } = block.settings()?;
        if status_codes.is_empty() {
            return Err("status_codes is empty; give at least one of \"OK\", \"ERROR\", \"UNSET\"".to_owned());
        }
        Ok(StatusCode {
            ok: status_codes.contains(&Code::Ok),
            error: status_codes.contains(&Code::Error),
            unset: status_codes.contains(&Code::Unset),
        })
    }

    pub(super) fn evaluate(&self, input: &Input<'_>) -> Decision {
        // How many failed is known per trace: spans are read only when that does not settle it.
        if self.error && input.trace.failed_count() > 0 {
            return Decision::Sampled;
        }
        let listed = |status| match status {
            Status::Ok => self.ok,
            Status::Error => self.error,
            Status::Unset => self.unset,
        };
        Decision::sampled_if((self.ok || self.unset) && input.trace.spans().any(|span| listed(span.status())))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{ask, refusal, span};
    use meshtrace_plugin::Status::{Error, Ok, Unset};
    use meshtrace_plugin::testing::TestSpan;

    #[test]
    fn some_span_has_one_of_the_statuses() {
        let cases = [
            (r#"["ERROR"]"#, vec![Ok, Unset], false),
            (r#"["ERROR"]"#, vec![Ok, Error], true),
            (r#"["OK"]"#, vec![Error, Unset], false),
            (r#"["OK"]"#, vec![Error, Ok], true),
            (r#"["UNSET"]"#, vec![Ok, Error], false),
            (r#"["UNSET"]"#, vec![Ok, Unset], true),
            (r#"["OK","ERROR"]"#, vec![Unset, Error], true),
            (r#"["OK","ERROR"]"#, vec![Unset, Ok], true),
            (r#"["ERROR","OK"]"#, vec![Unset], false),
            (r#"["OK","ERROR","UNSET"]"#, vec![Unset], true),
            (r#"["ERROR","ERROR"]"#, vec![Error], true),
        ];
        for (codes, statuses, sampled) in cases {
            let spans = statuses.iter().map(|status| TestSpan { status: *status, ..span() }).collect();
            assert_eq!(ask("status_code", &format!(r#"{{"status_codes":{codes}}}"#), spans), sampled, "{codes} {statuses:?}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            refusal("status_code", r#"{"status_codes":[]}"#),
            "status_codes is empty; give at least one of \"OK\", \"ERROR\", \"UNSET\""
        );
        assert_eq!(
            refusal("status_code", r#"{"status_codes":["OK","error"]}"#),
            "status_codes[1]: unknown variant `error`, expected one of `OK`, `ERROR`, `UNSET`"
        );
        assert_eq!(refusal("status_code", "{}"), "missing field `status_codes`");
    }
}
