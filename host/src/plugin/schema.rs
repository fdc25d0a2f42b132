//! Whether a config is what a plugin says that it takes, in a JSON Schema of its own.

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, ValidationError};
use serde_json::Value;

use super::schema_size;

/// Bytes of a schema, at most; real ones have a few thousand.
const SCHEMA_BYTES: usize = 256 * 1024;
/// Bytes that one of its regular expressions may take when compiled.
const PATTERN_BYTES: usize = 256 * 1024;
/// Mistakes that are told at once.
const TOLD: usize = 5;

/// Checks `config`, a JSON text, against `schema`.
///
/// # Errors
/// What is wrong with either, after "plugin x": which place of the config, what is there and what was expected.
pub(super) fn check(schema: &str, config: &str) -> Result<(), String> {
    let wrong_schema = |why: String| format!("has a config schema of its own that is not valid, so nothing can be configured: {why}");
    if schema.len() > SCHEMA_BYTES {
        return Err(wrong_schema(format!("it has {} bytes; at most {SCHEMA_BYTES} are read", schema.len())));
    }
    let schema: Value = serde_json::from_str(schema).map_err(|error| wrong_schema(error.to_string()))?;
    schema_size::check(&schema).map_err(wrong_schema)?;
    let config: Value = serde_json::from_str(config).map_err(|error| format!("is given a config that is not JSON: {error}"))?;
    // Nothing is fetched, and no pattern takes longer than its text: a schema is as little trusted as the plugin.
    let options = jsonschema::options().with_draft(Draft::Draft202012).offline();
    let options = options.with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES));
    let validator =
        options.build(&schema).map_err(|error| wrong_schema(format!("{}: {error}", place(error.instance_path().as_str(), "schema"))))?;
    if validator.is_valid(&config) {
        return Ok(());
    }
    let mut mistakes: Vec<String> = validator.iter_errors(&config).take(TOLD + 1).map(|error| explain(&error, &schema)).collect();
    if mistakes.len() > TOLD {
        mistakes[TOLD] = "and more".into();
    }
    Err(format!("does not take its config: {}", mistakes.join("; ")))
}

/// A JSON pointer as people write a place: `config.list.0.key`.
fn place(pointer: &str, root: &str) -> String {
    pointer.split('/').skip(1).fold(root.to_owned(), |place, key| format!("{place}.{}", key.replace("~1", "/").replace("~0", "~")))
}

fn explain(error: &ValidationError<'_>, schema: &Value) -> String {
    let place = place(error.instance_path().as_str(), "config");
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let keys = known_keys(error.schema_path().as_str(), schema);
            let expected = if keys.is_empty() { "none".to_owned() } else { keys.join(", ") };
            format!("{place} has {}; expected keys are {expected}", unexpected.join(", "))
        }
        _ => format!("{place}: {error}"),
    }
}

/// The keys that are described beside an `additionalProperties` at `pointer`.
fn known_keys<'a>(pointer: &str, schema: &'a Value) -> Vec<&'a str> {
    let object = pointer.rsplit_once('/').and_then(|(parent, _)| schema.pointer(parent));
    let properties = object.and_then(|object| object.get("properties")).and_then(Value::as_object);
    properties.map(|properties| properties.keys().map(String::as_str).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{
        "type": "object",
        "properties": {
            "mode": { "enum": ["full", "lines"] },
            "files": { "type": "integer", "minimum": 1 },
            "rules": { "type": "array", "items": { "type": "object", "required": ["name"] } }
        },
        "additionalProperties": false
    }"#;

    #[test]
    fn a_mistake_is_told_with_its_place_and_what_was_expected() {
        let cases = [
            (r#"{"mode":"full","files":3,"rules":[{"name":"x"}]}"#, ""),
            ("{}", ""),
            (r#"{"mode":"half"}"#, r#"config.mode: "half" is not one of "full" or "lines""#),
            (r#"{"files":0}"#, "config.files: 0 is less than the minimum of 1"),
            (r#"{"files":"3"}"#, r#"config.files: "3" is not of type "integer""#),
            (r#"{"rules":[{"name":1},{}]}"#, r#"config.rules.1: "name" is a required property"#),
            (r#"{"colour":1}"#, "config has colour; expected keys are mode, files, rules"),
            (r#"{"mode":1,"files":1.5}"#, r#"config.mode: 1 is not one of "full" or "lines"; config.files: 1.5 is not of type "integer""#),
        ];
        for (config, expected) in cases {
            let said = check(SCHEMA, config).err().unwrap_or_default();
            let expected = if expected.is_empty() { String::new() } else { format!("does not take its config: {expected}") };
            assert_eq!(said, expected, "{config}");
        }
    }

    #[test]
    fn of_many_mistakes_a_few_are_told() {
        let rules = vec!["1"; 20].join(",");
        let said = check(SCHEMA, &format!(r#"{{"rules":[{rules}]}}"#)).expect_err("twenty mistakes");
        assert_eq!((said.matches(';').count(), said.ends_with("; and more")), (5, true), "{said}");
    }

    #[test]
    fn a_schema_that_is_none_is_the_plugins_mistake() {
        let cases = [
            "",
            "{",
            r#"{"type":"colour"}"#,
            r#"{"$ref":"https://example.com/x.json"}"#,
            r##"{"$ref":"#/nowhere"}"##,
            r#"{"pattern":"("}"#,
        ];
        for schema in cases {
            let said = check(schema, r#""x""#).expect_err(schema);
            assert!(said.starts_with("has a config schema of its own that is not valid"), "{schema}: {said}");
        }
        let large = format!(r#"{{"description":"{}"}}"#, "x".repeat(SCHEMA_BYTES));
        assert!(check(&large, "{}").is_err_and(|said| said.contains("at most 262144 are read")));
    }

    /// A schema comes from the plugin: it must neither exhaust the stack nor take for ever.
    #[test]
    fn schemas_that_attack_are_checked_in_no_time() {
        let begin = std::time::Instant::now();
        let cyclic = [
            r##"{"$ref":"#"}"##,
            r##"{"allOf":[{"$ref":"#"},{"not":{"$ref":"#"}}]}"##,
            r##"{"$ref":"#/$defs/a","$defs":{"a":{"allOf":[{"$ref":"#/$defs/b"},{"$ref":"#/$defs/b"}]},"b":{"anyOf":[{"$ref":"#/$defs/a"},{"$ref":"#"}]}}}"##,
            r##"{"properties":{"a":{"allOf":[{"$ref":"#"},{"$ref":"#"},{"$ref":"#"}]}}}"##,
            r#"{"pattern":"^(a|a)*$"}"#,
        ];
        let config = "{\"a\":".repeat(100) + "1" + &"}".repeat(100);
        for schema in cyclic {
            // Whether such a schema holds is its own affair.
            for config in [&config, &format!("{:?}", "a".repeat(1_000) + "!")] {
                drop(check(schema, config));
                assert!(begin.elapsed() < std::time::Duration::from_secs(5), "{schema}");
            }
        }
        let deep = "{\"not\":".repeat(100_000) + "{}" + &"}".repeat(100_000);
        assert!(check(&deep, "{}").is_err());
    }
}
