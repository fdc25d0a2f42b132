//! How large a JSON Schema is when every reference in it is written out. A few hundred bytes can refer to each other so that checking against
//! them would take years: a schema comes from a plugin, and is as little trusted.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

/// Objects and arrays of a schema that is written out, at most.
const PARTS: usize = 50_000;
/// How deep they may lie in each other, references included.
const DEPTH: usize = 200;
/// Regular expressions, at most.
const PATTERNS: usize = 64;
/// The version of JSON Schema that the plugin contract names.
const VERSION: &str = "https://json-schema.org/draft/2020-12/schema";

/// Looks whether `schema` can be checked against within a moment.
///
/// # Errors
/// What is too much or not understood in it.
pub(super) fn check(schema: &Value) -> Result<(), String> {
    let mut measure = Measure {
        root: schema,
        sizes: HashMap::new(),
        under_way: HashSet::new(),
        patterns: 0,
    };
    let parts = measure.size(schema, 0)?;
    if parts > PARTS {
        return Err(format!("with its references written out it has more than {PARTS} parts"));
    }
    Ok(())
}

struct Measure<'a> {
    root: &'a Value,
    /// Of what was referred to: where it is → its size.
    sizes: HashMap<&'a str, usize>,
    under_way: HashSet<&'a str>,
    patterns: usize,
}

impl<'a> Measure<'a> {
    fn size(&mut self, part: &'a Value, depth: usize) -> Result<usize, String> {
        if depth > DEPTH {
            return Err(format!("with its references written out it is more than {DEPTH} levels deep"));
        }
        let mut size = 1_usize;
        match part {
            Value::Array(items) => {
                for item in items {
                    size = size.saturating_add(self.size(item, depth + 1)?);
                }
            }
            Value::Object(members) => {
                let inside = !std::ptr::eq(part, self.root);
                for (key, member) in members {
                    size = size.saturating_add(match member {
                        Value::String(_) if key == "$id" && inside => return Err("it has an $id inside; expected one schema".into()),
                        Value::String(text) => self.keyword(key, text, depth)?,
                        _ => self.size(member, depth + 1)?,
                    });
                    if key == "patternProperties" {
                        self.count_patterns(member.as_object().map_or(0, serde_json::Map::len))?;
                    }
                }
            }
            _ => {}
        }
        Ok(size)
    }

    /// The size of what a keyword with a text stands for.
    fn keyword(&mut self, key: &str, text: &'a str, depth: usize) -> Result<usize, String> {
        match key {
            "$ref" => self.reference(text, depth),
            "pattern" => self.count_patterns(1).map(|()| 1),
            "$schema" if text.trim_end_matches('#') != VERSION => Err(format!("its $schema is {text:?}; expected {VERSION:?}, or none")),
            "$dynamicRef" | "$recursiveRef" => Err(format!("it uses {key}; expected $ref")),
            _ => Ok(1),
        }
    }

    fn reference(&mut self, to: &'a str, depth: usize) -> Result<usize, String> {
        let target = match to.strip_prefix('#') {
            Some("") => Some(self.root),
            Some(pointer) if pointer.starts_with('/') => self.root.pointer(pointer),
            _ => return Err(format!("it refers to {to:?}; expected a place in itself, such as \"#/$defs/name\"")),
        };
        let Some(target) = target else { return Err(format!("it refers to {to:?}, and there is no such place in it")) };
        if let Some(size) = self.sizes.get(to) {
            return Ok(*size);
        }
        // What contains itself ends with the config that it describes; the validator sees when it does not.
        if !self.under_way.insert(to) {
            return Ok(1);
        }
        let size = self.size(target, depth + 1)?;
        self.under_way.remove(to);
        self.sizes.insert(to, size);
        Ok(size)
    }

    fn count_patterns(&mut self, more: usize) -> Result<(), String> {
        self.patterns += more;
        if self.patterns > PATTERNS { Err(format!("it has more than {PATTERNS} regular expressions")) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(schema: &str) -> String {
        check(&serde_json::from_str(schema).expect("JSON")).err().unwrap_or_default()
    }

    /// `count` definitions, each of which refers twice to the next.
    fn doubling(count: usize) -> String {
        let one = |n: usize| format!(r##""d{n}":{{"allOf":[{{"$ref":"#/$defs/d{0}"}},{{"$ref":"#/$defs/d{0}"}}]}}"##, n + 1);
        let all: Vec<String> = (0..count).map(one).collect();
        format!(r##"{{"$ref":"#/$defs/d0","$defs":{{{},"d{count}":{{"type":"string"}}}}}}"##, all.join(","))
    }

    #[test]
    fn ordinary_schemas_pass() {
        let tree = r##"{
            "$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://example.com/tree", "type": "object",
            "properties": { "$id": { "type": "string" }, "pattern": { "pattern": "^x" }, "children": { "type": "array", "items": { "$ref": "#" } } },
            "$defs": { "name": { "$ref": "#/$defs/text" }, "text": { "type": "string" } }
        }"##;
        assert_eq!(refused(tree), "");
        assert_eq!(refused(&doubling(8)), "");
    }

    #[test]
    fn what_would_take_for_ever_does_not() {
        assert_eq!(refused(&doubling(60)), "with its references written out it has more than 50000 parts");
        assert_eq!(refused(&doubling(300)), "with its references written out it is more than 200 levels deep");
        let patterns = vec![r#"{"pattern":"a"}"#; 65].join(",");
        assert_eq!(refused(&format!(r#"{{"anyOf":[{patterns}]}}"#)), "it has more than 64 regular expressions");
        let keyed: Vec<String> = (0..65).map(|n| format!(r#""a{n}":{{}}"#)).collect();
        assert_eq!(refused(&format!(r#"{{"patternProperties":{{{}}}}}"#, keyed.join(","))), "it has more than 64 regular expressions");
    }

    #[test]
    fn references_lead_to_places_in_the_schema() {
        let expected = r##"expected a place in itself, such as "#/$defs/name""##;
        for to in ["https://example.com/x.json", "x.json", "#name", "https://example.com/tree#/$defs/name"] {
            assert_eq!(refused(&format!(r#"{{"$ref":{to:?}}}"#)), format!("it refers to {to:?}; {expected}"));
        }
        assert_eq!(refused(r##"{"$ref":"#/nowhere"}"##), r##"it refers to "#/nowhere", and there is no such place in it"##);
        assert_eq!(refused(r#"{"$defs":{"a":{"$id":"x"}}}"#), "it has an $id inside; expected one schema");
        assert_eq!(refused(r##"{"$dynamicRef":"#x"}"##), "it uses $dynamicRef; expected $ref");
        let other =
            r#"its $schema is "http://json-schema.org/draft-07/schema#"; expected "https://json-schema.org/draft/2020-12/schema", or none"#;
        assert_eq!(refused(r#"{"$schema":"http://json-schema.org/draft-07/schema#"}"#), other);
    }
}
