//! `numeric_attribute`: whether a whole number lies in a range.

use meshtrace_plugin::Value;
use serde::Deserialize;

use crate::attribute::{Found, Key};
use crate::config::Block;
use crate::decision::{Decision, Input};

/// Traces with an attribute of type integer, on a span or an agent, from one bound to another.
#[derive(Debug)]
pub struct NumericAttribute {
    key: Key,
    min: i64,
    max: i64,
    invert: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    key: String,
    min_value: Option<i64>,
    max_value: Option<i64>,
    #[serde(default)]
    invert_match: bool,
}

impl NumericAttribute {
    pub(super) fn read(block: Block) -> Result<Self, String> {
        let Settings { key, min_value, max_value, invert_match } = block.settings()?;
        if min_value.is_none() && max_value.is_none() {
            return Err("has no bound; give min_value, max_value or both".to_owned());
        }
        let (min, max) = (min_value.unwrap_or(i64::MIN), max_value.unwrap_or(i64::MAX));
        if min > max {
            return Err(format!("min_value is {min}, more than max_value, {max}; give at most {max}"));
        }
        Ok(NumericAttribute {
            key: Key::new(key)?,
            min,
            max,
            invert: invert_match,
        })
    }

    pub(super) fn evaluate(&self, input: &Input<'_>) -> Decision {
        let range = self.min..=self.max;
        let within = |found: Found<'_>| found.text().parse().is_ok_and(|number| range.contains(&number));
        Decision::sampled_if(self.key.any(&input.trace, |value| matches!(value, Value::Integer(_)), within) != self.invert)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{ask, of_agent, refusal, with};
    use meshtrace_plugin::OwnedValue;

    #[test]
    fn a_whole_number_is_within_the_bounds() {
        let cases = [
            (r#""min_value":10,"max_value":20"#, 9, false),
            (r#""min_value":10,"max_value":20"#, 10, true),
            (r#""min_value":10,"max_value":20"#, 20, true),
            (r#""min_value":10,"max_value":20"#, 21, false),
            (r#""min_value":10"#, i64::MAX, true),
            (r#""min_value":10"#, 9, false),
            (r#""max_value":10"#, i64::MIN, true),
            (r#""max_value":10"#, 11, false),
            // 0 is a bound like others, not the absence of one.
            (r#""min_value":0"#, -1, false),
            (r#""min_value":0"#, 0, true),
            (r#""max_value":0"#, 0, true),
            (r#""max_value":0"#, 1, false),
            (r#""min_value":0,"max_value":0"#, 0, true),
            (r#""min_value":-5,"max_value":-5"#, -5, true),
            (r#""min_value":10,"max_value":20,"invert_match":true"#, 15, false),
            (r#""min_value":10,"max_value":20,"invert_match":true"#, 21, true),
        ];
        for (bounds, number, sampled) in cases {
            let block = format!(r#"{{"key":"n",{bounds}}}"#);
            assert_eq!(ask("numeric_attribute", &block, vec![with(&[("n", number.into())])]), sampled, "{bounds} {number}");
        }
    }

    #[test]
    fn only_integers_are_looked_at() {
        let values = [OwnedValue::Double(7.0), "7".into(), OwnedValue::Json("7".into()), true.into()];
        for value in values {
            let spans = vec![with(&[("n", value.clone())])];
            // Other types read as 0 in the reference.
            for bounds in [r#""min_value":5,"max_value":9"#, r#""min_value":0,"max_value":9"#] {
                assert!(!ask("numeric_attribute", &format!(r#"{{"key":"n",{bounds}}}"#), spans.clone()), "{value:?} {bounds}");
            }
        }
    }

    #[test]
    fn any_span_or_agent_will_do() {
        let block = r#"{"key":"n","min_value":5,"max_value":9}"#;
        let (no, yes) = (with(&[("n", 4.into())]), with(&[("m", 1.into()), ("n", 5.into())]));
        assert!(ask("numeric_attribute", block, vec![no.clone(), yes]));
        assert!(ask("numeric_attribute", block, vec![no.clone(), of_agent("a", &[("n", 9.into())])]));
        assert!(!ask("numeric_attribute", block, vec![no.clone(), of_agent("a", &[("n", 10.into())])]));
        assert!(!ask("numeric_attribute", block, vec![of_agent("a", &[("n", "5".into())])]));
        // Inverted, all must be outside; to have none is to be outside.
        let inverted = r#"{"key":"n","min_value":5,"max_value":9,"invert_match":true}"#;
        assert!(ask("numeric_attribute", inverted, vec![no.clone(), of_agent("a", &[])]));
        assert!(!ask("numeric_attribute", inverted, vec![no, of_agent("a", &[("n", 9.into())])]));
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(refusal("numeric_attribute", r#"{"key":"n"}"#), "has no bound; give min_value, max_value or both");
        assert_eq!(
            refusal("numeric_attribute", r#"{"key":"n","min_value":2,"max_value":1}"#),
            "min_value is 2, more than max_value, 1; give at most 1"
        );
        assert_eq!(
            refusal("numeric_attribute", r#"{"key":"","min_value":2}"#),
            "key is empty; give the name of an attribute, such as \"service.name\""
        );
        assert_eq!(refusal("numeric_attribute", r#"{"min_value":2}"#), "missing field `key`");
    }
}
