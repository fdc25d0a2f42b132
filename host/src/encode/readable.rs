//! JSON of others that stands in our documents: only what every reader reads. One value that a reader refuses costs it the whole document.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Levels, at most: serde_json reads 128, jq 1.6 256.
const MAX_NESTING: usize = 64;

/// Whether `json` is well-formed, nested within bounds, and of numbers that a double holds and texts that are Unicode: `1e400` and `"\ud800"` are
/// well-formed, and refused by many.
pub(super) fn is_readable(json: &str) -> bool {
    nesting(json) <= MAX_NESTING && serde_json::from_str::<Readable>(json).is_ok()
}

/// Any value; reading it looks at all of it, and keeps nothing.
struct Readable;

impl<'de> Deserialize<'de> for Readable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Readable)
    }
}

impl<'de> Visitor<'de> for Readable {
    type Value = Readable;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Readable, E> {
        Ok(self)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Readable, E> {
        Ok(self)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Readable, E> {
        Ok(self)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Readable, E> {
        Ok(self)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Readable, E> {
        Ok(self)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Readable, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Readable, A::Error> {
        while items.next_element::<Readable>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Readable, A::Error> {
        while pairs.next_entry::<Readable, Readable>()?.is_some() {}
        Ok(self)
    }
}

/// How deep well-formed JSON is nested.
fn nesting(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_any_reader_would_refuse_is_not_readable() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        for readable in
            ["null", "1e308", "-0.0", "18446744073709551616", r#"{"a":[1,"]"],"b":{}}"#, r#""\ud83d\ude00""#, &deep(MAX_NESTING)]
        {
            assert!(is_readable(readable), "{readable}");
        }
        for other in [
            "",
            "[1,",
            "1e400",
            "[-1e999]",
            r#""\ud800""#,
            r#"{"\udc00":1}"#,
            "\"\0\"",
            "NaN",
            "1 2",
            &deep(MAX_NESTING + 1),
            &deep(100_000),
        ] {
            assert!(!is_readable(other), "{}", &other[..other.len().min(40)]);
        }
        assert_eq!(nesting(r#"["\"[[[\\",{"[":1}]"#), 2);
    }
}
