//! `docs/PLUGINS.md` says what is true of `NAME.toml`.

use super::*;

fn document() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/PLUGINS.md")).unwrap()
}

/// The line of a table that is about this key.
fn row<'a>(document: &'a str, key: &str) -> &'a str {
    let found = document.lines().find(|line| line.starts_with(&format!("| `{key}` |")));
    found.unwrap_or_else(|| panic!("docs/PLUGINS.md has no line that begins with | `{key}` |"))
}

/// The keys that a table may have, as the parser itself lists them to whoever gives another.
fn keys(text: &str) -> Vec<String> {
    let error = Manifest::parse(text).unwrap_err().to_string();
    let (_, keys) = error.split_once("expected one of ").unwrap();
    keys.split(", ").map(|key| key.trim().trim_matches('`').to_owned()).collect()
}

#[test]
fn every_key_is_described() {
    let document = document();
    let [file, permissions, limits] = ["nosuch = 1", "[permissions]\nnosuch = 1", "[limits]\nnosuch = 1"].map(keys);
    assert!((file.len(), permissions.len(), limits.len()) >= (11, 4, 15), "{file:?} {permissions:?} {limits:?}");
    for key in file.iter().chain(&permissions).chain(&limits) {
        row(&document, key);
    }
    for key in keys("[permissions]\ndirs = [{ nosuch = 1 }]") {
        assert!(row(&document, "dirs").contains(&format!("{key} = \"")), "{key}");
    }
    assert!(["host = ", "private = true"].iter().all(|key| row(&document, "http").contains(key)));
}

#[test]
fn ranges_and_defaults_are_those_of_the_code() {
    let document = document();
    let plain = Manifest::default();
    for (key, range, default) in [
        ("max-traces", format!("| 1 to {MAX_TRACES} traces |"), plain.max_traces),
        ("instances", format!("| 1 to {MAX_INSTANCES} |"), plain.instances),
        ("queue", format!("| 1 to {MAX_QUEUE} batches |"), plain.queue),
    ] {
        let row = row(&document, key);
        assert!(row.contains(&format!("{range} {default} |")), "{row}");
    }
    assert!(row(&document, "enabled").contains(&format!("| `{}` |", plain.enabled)));
    assert!(row(&document, "required").contains(&format!("| `{}` |", plain.required)));
    assert!(row(&document, "order").contains(&format!("| {} |", plain.order)));
    for failing in ["pass", "hold", "dead-letter"] {
        assert!(row(&document, "on-failure").contains(&format!("`\"{failing}\"`")), "{failing}");
        assert!(Manifest::parse(&format!("on-failure = {failing:?}")).is_ok());
    }
}
