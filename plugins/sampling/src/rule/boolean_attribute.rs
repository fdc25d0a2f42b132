//! `boolean_attribute`: whether a truth value is the wanted one.

use meshtrace_plugin::Value;
use serde::Deserialize;

use crate::attribute::{Found, Key};
use crate::config::Block;
use crate::decision::{Decision, Input};

/// What an OTLP exporter says of a span that never ended.
const OPEN: &str = "mesh.open";

/// Traces with an attribute of type bool, on a span or an agent, that is true, or that is false.
#[derive(Debug)]
pub struct BooleanAttribute {
    key: Key,
    value: bool,
    invert: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    key: String,
    value: bool,
    #[serde(default)]
    invert_match: bool,
}

impl BooleanAttribute {
    pub(super) fn read(block: Block) -> Result<Self, String> {
        let Settings { key, value, invert_match } = block.settings()?;
        Ok(BooleanAttribute {
            key: Key::new(key)?,
            value,
            invert: invert_match,
        })
    }

    pub(super) fn evaluate(&self, input: &Input<'_>) -> Decision {
        let equal = |found: Found<'_>| found.text().parse() == Ok(self.value);
        let is_bool = |value: Value<'_>| matches!(value, Value::Bool(_));
        Decision::sampled_if((self.open(input) || self.key.any(&input.trace, is_bool, equal)) != self.invert)
    }

    fn open(&self, input: &Input<'_>) -> bool {
        self.value && self.key.text() == OPEN && input.trace.spans().any(|span| span.is_open() && span.attribute(OPEN).is_none())
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{ask, of_agent, refusal, span, with};
    use meshtrace_plugin::testing::TestSpan;

    #[test]
    fn a_truth_value_is_the_wanted_one() {
        let cases = [
            (r#""value":true"#, true, true),
            (r#""value":true"#, false, false),
            (r#""value":false"#, false, true),
            (r#""value":false"#, true, false),
            (r#""value":true,"invert_match":true"#, true, false),
            (r#""value":true,"invert_match":true"#, false, true),
        ];
        for (settings, value, sampled) in cases {
            let block = format!(r#"{{"key":"b",{settings}}}"#);
            assert_eq!(ask("boolean_attribute", &block, vec![span(), with(&[("b", value.into())])]), sampled, "{settings} {value}");
            assert_eq!(ask("boolean_attribute", &block, vec![span(), of_agent("a", &[("b", value.into())])]), sampled, "{settings}");
        }
    }

    #[test]
    fn only_truth_values_are_looked_at() {
        // What is of another type, or not there, is neither true nor false.
        for spans in
            [vec![with(&[("b", "true".into())])], vec![with(&[("b", "false".into())])], vec![with(&[("b", 1.into())])], vec![span()]]
        {
            for value in [true, false] {
                assert!(!ask("boolean_attribute", &format!(r#"{{"key":"b","value":{value}}}"#), spans.clone()), "{spans:?}");
                assert!(ask("boolean_attribute", &format!(r#"{{"key":"b","value":{value},"invert_match":true}}"#), spans.clone()));
            }
        }
    }

    #[test]
    fn a_span_that_never_ended_has_the_attribute_that_an_exporter_adds() {
        let open = TestSpan { open: true, ..span() };
        let block = r#"{"key":"mesh.open","value":true}"#;
        assert!(ask("boolean_attribute", block, vec![span(), open.clone()]));
        assert!(!ask("boolean_attribute", block, vec![span()]));
        assert!(!ask("boolean_attribute", r#"{"key":"mesh.open","value":false}"#, vec![span(), open.clone()]));
        // An agent's own attribute of that name goes first, as it does in the export.
        let own = TestSpan {
            open: true,
            ..with(&[("mesh.open", "no".into())])
        };
        assert!(!ask("boolean_attribute", block, vec![own]));
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(refusal("boolean_attribute", r#"{"key":"b"}"#), "missing field `value`");
        assert_eq!(
            refusal("boolean_attribute", r#"{"key":"b","value":"true"}"#),
            "value: invalid type: string \"true\", expected a boolean"
        );
    }
}
